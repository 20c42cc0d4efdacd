/**
 * Letters that are no ASCII and may be compared as if they were, in some language or other, whatever the case of letters: İ, ı and the sign of
 * Kelvin, as bytes of UTF-8.
 */
const folding = ['\u00c4\u00b0', '\u00c4\u00b1', '\u00e2\u0084\u00aa'];

/**
 * Whether a text in UTF-8 may contain another one, whatever the case of letters. False only if PostgreSQL's `ilike` would say so as well in
 * any locale: only it has the last word on what may.
 */
export const mayContain = (text: string): ((bytes: Uint8Array) => boolean) => {
  const runs = text.match(/[\0-\u007f]+/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  const wanted = longest.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (wanted === '') return () => true;
  return (bytes) => {
    // A character for each byte: small letters change none of those that are no letters of ASCII into one.
    const plain = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    return plain.toLowerCase().includes(wanted) || folding.some((letter) => plain.includes(letter));
  };
};

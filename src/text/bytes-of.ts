/** These texts as UTF-8, one after the other. No string is made of all of them: a large one would be in memory once more. */
export const bytesOf = (texts: readonly string[]): Buffer => {
  const bytes = Buffer.allocUnsafeSlow(texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0));
  let at = 0;
  for (const text of texts) at += bytes.write(text, at);
  return bytes;
};

const nothing = Buffer.alloc(0);

/** A piece of an answer that is empty once its reader has taken it: generators on the way hold a piece until they have the next one. */
export function* onePiece(
  bytes: Buffer,
  events: number,
): Generator<{ readonly lines: Buffer; readonly events: number }, void, void> {
  const piece = { lines: bytes, events };
  try {
    yield piece;
  } finally {
    piece.lines = nothing;
  }
}

/** OIDs of PostgreSQL's types, the same in every database. */
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;

const HEADER_BYTES = 20;

/**
 * Arrays in PostgreSQL's binary format, as parameters: the driver sends a Buffer as such. Its text format would have every
 * quote and backslash of a page escaped here and read again there, character by character.
 */
export const textArray = (values: readonly (string | null)[]): Buffer => {
  // One string of bytes for all values: a call per value would cost more than the bytes do.
  const ascii = !beyondAscii.test(values.join(''));
  const pieces: string[] = [];
  let hasNull = false;
  for (const value of values) {
    if (value === null) {
      hasNull = true;
      pieces.push('\xff\xff\xff\xff');
    } else {
      const bytes = ascii ? value : Buffer.from(value, 'utf8').toString('latin1');
      pieces.push(lengthBytes(bytes.length), bytes);
    }
  }
  const text = pieces.join('');
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + text.length);
  bytes.write(text, writeHeader(bytes, values.length, hasNull, TEXT), 'latin1');
  return bytes;
};

/** See `textArray`. */
export const integerArray = (values: readonly (number | null)[]): Buffer => {
  const nulls = values.reduce<number>((count, value) => count + (value === null ? 1 : 0), 0);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + values.length * 8 - nulls * 4);
  let at = writeHeader(bytes, values.length, nulls > 0, INT4);
  for (const value of values) {
    at = bytes.writeInt32BE(value === null ? -1 : 4, at);
    if (value !== null) at = bytes.writeInt32BE(value, at);
  }
  return bytes;
};

const LENGTH_BYTES = 4;

/** See `textArray`. Each value is the text of a JSON value; long ones, each of which is written by itself. */
export const jsonArray = (texts: readonly string[]): Buffer => {
  const size = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + LENGTH_BYTES, HEADER_BYTES);
  const bytes = Buffer.allocUnsafe(size);
  let at = writeHeader(bytes, texts.length, false, JSON_TYPE);
  for (const text of texts) {
    const length = bytes.write(text, at + LENGTH_BYTES, 'utf8');
    bytes.writeInt32BE(length, at);
    at += LENGTH_BYTES + length;
  }
  return bytes;
};

/** Dimensions, whether there are nulls, the type; then the length and the lower bound of the one dimension. */
const writeHeader = (bytes: Buffer, length: number, hasNull: boolean, type: number): number => {
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt32BE(hasNull ? 1 : 0, at);
  at = bytes.writeInt32BE(type, at);
  at = bytes.writeInt32BE(length, at);
  return bytes.writeInt32BE(1, at);
};

const beyondAscii = /[^\0-\x7f]/;

const fourBytes = (length: number): string =>
  String.fromCharCode((length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);

const usualLengths = Array.from({ length: 4_096 }, (_, length) => fourBytes(length));

const lengthBytes = (length: number): string => usualLengths[length] ?? fourBytes(length);

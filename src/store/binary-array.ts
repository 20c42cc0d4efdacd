/** OIDs of PostgreSQL's types, the same in every database. */
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
/** Of one character of JavaScript, as UTF-8. */
const MOST_BYTES = 3;

/**
 * Arrays in PostgreSQL's binary format, as parameters: the driver sends a Buffer as such. Its text format would have every
 * quote and backslash of a page escaped here and read again there, character by character.
 */
export const textArray = (values: readonly (string | null)[]): Buffer => stringArray(values, TEXT);

/** See `textArray`. Each value is the text of a JSON value. */
export const jsonArray = (texts: readonly string[]): Buffer => stringArray(texts, JSON_TYPE);

const stringArray = (values: readonly (string | null)[], type: number): Buffer => {
  // Measuring each text beforehand would cost as much as writing it.
  let [most, hasNull] = [HEADER_BYTES, false];
  for (const value of values) {
    most += LENGTH_BYTES + (value?.length ?? 0) * MOST_BYTES;
    if (value === null) hasNull = true;
  }
  const bytes = Buffer.allocUnsafe(most);
  let at = writeHeader(bytes, values.length, hasNull, type);
  // Each is written in its place: strings put together first would be a megabyte of garbage a page.
  for (const value of values) {
    const length = value === null ? 0 : bytes.write(value, at + LENGTH_BYTES, 'utf8');
    at = bytes.writeInt32BE(value === null ? -1 : length, at) + length;
  }
  return bytes.subarray(0, at);
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

/** Dimensions, whether there are nulls, the type; then the length and the lower bound of the one dimension. */
const writeHeader = (bytes: Buffer, length: number, hasNull: boolean, type: number): number => {
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt32BE(hasNull ? 1 : 0, at);
  at = bytes.writeInt32BE(type, at);
  at = bytes.writeInt32BE(length, at);
  return bytes.writeInt32BE(1, at);
};

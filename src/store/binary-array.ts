import { NULL, type PageRows, PLACES, REPLACED } from '../domain/entry-columns.ts';

/** OIDs of PostgreSQL's types, the same in every database. */
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
/** Shorter values are copied here, byte by byte: a call costs more. */
const SHORT_BYTES = 48;

/**
 * Arrays in PostgreSQL's binary format, as parameters: the driver sends a Buffer as such. Its text format would have every
 * quote and backslash of a page escaped here and read again there, character by character.
 */
export const textArray = (rows: PageRows, at: number): Buffer => stringArray(rows, at, TEXT);

/** See `textArray`. Each value is the text of a JSON value. */
export const jsonArray = (rows: PageRows, at: number): Buffer => stringArray(rows, at, JSON_TYPE);

const stringArray = (rows: PageRows, place: number, type: number): Buffer => {
  const { bytes, spans } = rows;
  const target = Buffer.allocUnsafe(sizeOf(rows, place));
  let at = writeHeader(target, rows.firsts.length, true, type);
  for (let row = 0; row < rows.firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    const value = start === REPLACED ? (rows.replaced.get(index) ?? '') : undefined;
    const from = at + LENGTH_BYTES;
    if (start === NULL) {
      at = target.writeInt32BE(-1, at);
    } else if (value !== undefined) {
      const length = target.write(value, from, 'utf8');
      at = target.writeInt32BE(length, at) + length;
    } else {
      const length = (spans[index + 1] ?? start) - start;
      target.writeInt32BE(length, at);
      copy(bytes, start, length, target, from);
      at = from + length;
    }
  }
  return target;
};

const sizeOf = ({ spans, replaced, firsts }: PageRows, place: number): number => {
  let size = HEADER_BYTES + firsts.length * LENGTH_BYTES;
  for (let row = 0; row < firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    if (start === REPLACED) size += Buffer.byteLength(replaced.get(index) ?? '');
    else if (start !== NULL) size += (spans[index + 1] ?? start) - start;
  }
  return size;
};

const copy = (source: Buffer, start: number, length: number, target: Buffer, at: number): void => {
  if (length > SHORT_BYTES) {
    source.copy(target, at, start, start + length);
    return;
  }
  for (let index = 0; index < length; index += 1) target[at + index] = source[start + index] ?? 0;
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

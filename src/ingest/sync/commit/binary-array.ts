import { NULL, type PageRows, PLACES, REPLACED } from '../../entries/entry-columns.ts';

/** OIDs of PostgreSQL's types, the same in every database. */
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
/** Shorter values are copied here, byte by byte: a call costs more. */
const SHORT_BYTES = 48;

type ElementType = 'text' | 'json';
const oids = { text: TEXT, json: JSON_TYPE } as const satisfies Record<ElementType, number>;

/** How many bytes `writeArray` writes. */
export const sizeOfArray = ({ spans, replaced, firsts }: PageRows, place: number): number => {
  let size = HEADER_BYTES + firsts.length * LENGTH_BYTES;
  for (let row = 0; row < firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    if (start === REPLACED) size += Buffer.byteLength(replaced.get(index) ?? '');
    else if (start !== NULL) size += (spans[index + 1] ?? start) - start;
  }
  return size;
};

/**
 * Writes the values of one place of all rows as an array in PostgreSQL's binary format, into exactly `sizeOfArray` bytes. The text
 * format would have every quote and backslash of a page escaped here and read again there, character by character.
 */
export const writeArray = (rows: PageRows, place: number, type: ElementType, target: Buffer): void => {
  const { bytes, spans } = rows;
  let at = writeHeader(target, rows.firsts.length, true, oids[type]);
  for (let row = 0; row < rows.firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    const from = at + LENGTH_BYTES;
    if (start === NULL) {
      at = target.writeInt32BE(-1, at);
    } else if (start === REPLACED) {
      const length = target.write(rows.replaced.get(index) ?? '', from, 'utf8');
      at = target.writeInt32BE(length, at) + length;
    } else {
      const length = (spans[index + 1] ?? start) - start;
      target.writeInt32BE(length, at);
      copy(bytes, start, length, target, from);
      at = from + length;
    }
  }
};

const copy = (source: Buffer, start: number, length: number, target: Buffer, at: number): void => {
  if (length > SHORT_BYTES) {
    source.copy(target, at, start, start + length);
    return;
  }
  for (let index = 0; index < length; index += 1) target[at + index] = source[start + index] ?? 0;
};

/** An array of integers, as `writeArray` writes those of texts. */
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

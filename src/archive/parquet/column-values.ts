import type { ColumnMetaData, SchemaElement } from 'hyparquet';
import { type ColumnPage, type PageCodec, pagesOf } from './column-pages.ts';
import { readRuns } from './number-runs.ts';

/** A value for each row: bytes of UTF-8, a number, or null. */
export type ColumnValues = ArrayLike<unknown>;

const [PLAIN, PLAIN_DICTIONARY, RLE_DICTIONARY] = [0, 2, 8];
const MAX_BITS = 24;
const codecs: readonly string[] = ['ZSTD', 'UNCOMPRESSED'] satisfies readonly PageCodec[];
const types: readonly string[] = ['BYTE_ARRAY', 'INT64', 'INT32'];

/**
 * The values of a column of a row group, or those of some rows, which are given in ascending order: nothing is made of the other rows then,
 * and what is made keeps none of the column's memory. Undefined: the column is written in a way that this does not read. It takes a fraction of
 * the time of a reader for all that Parquet has.
 */
export const readValues = (
  chunk: Buffer,
  { codec, type }: Pick<ColumnMetaData, 'codec' | 'type'>,
  { repetition_type: repetition }: Pick<SchemaElement, 'repetition_type'>,
  rows?: readonly number[],
): ColumnValues | undefined => {
  if (!codecs.includes(codec) || !types.includes(type) || repetition !== 'OPTIONAL') return undefined;
  const pages = pagesOf(chunk, codec as PageCodec);
  if (pages === undefined || !pages.every(isRead)) return undefined;
  let dictionary: Entries | undefined;
  let first = 0;
  const parts: ColumnValues[] = [];
  for (const page of pages) {
    if (page.isDictionary) {
      dictionary = entriesOf(type, page.content(), 0, page.values, rows !== undefined);
      continue;
    }
    const end = first + page.values;
    const within = rows?.filter((row) => row >= first && row < end).map((row) => row - first);
    if (within === undefined || within.length > 0) {
      const values = valuesOf(type, page, dictionary, within);
      if (values === undefined) return undefined;
      parts.push(values);
    }
    first = end;
  }
  return parts.length === 1 ? parts[0] : parts.flatMap((part) => Array.from(part));
};

const isRead = ({ isDictionary, encoding }: ColumnPage): boolean =>
  encoding === PLAIN || encoding === PLAIN_DICTIONARY || (encoding === RLE_DICTIONARY && !isDictionary);

/** Values one behind the other, without nulls. */
interface Entries {
  at(index: number): unknown;
  /** All of them, if that is less work than one by one. */
  readonly all?: ColumnValues;
}

const valuesOf = (
  type: string,
  page: ColumnPage,
  dictionary: Entries | undefined,
  rows: readonly number[] | undefined,
): ColumnValues | undefined => {
  const content = page.content();
  const levelBytes = content.readUInt32LE(0);
  const places = placesOf(readRuns(content, 4, 1, page.values));
  const start = 4 + levelBytes;
  const entries =
    page.encoding === PLAIN
      ? entriesOf(type, content, start, places.count, rows !== undefined)
      : dictionary && referencesOf(dictionary, content, start, places.count);
  if (entries === undefined) return undefined;
  const at = places.of;
  if (rows !== undefined) return rows.map((row) => valueAt(entries, at === undefined ? row : at[row]));
  if (at === undefined && entries.all !== undefined) return entries.all;
  // In a loop: Array.from takes three times as long.
  const values: unknown[] = new Array(page.values);
  for (let row = 0; row < page.values; row += 1) values[row] = valueAt(entries, at === undefined ? row : at[row]);
  return values;
};

const NOTHING = -1;

const valueAt = (entries: Entries, place: number | undefined): unknown =>
  place === undefined || place === NOTHING ? null : entries.at(place);

/** Where the value of each row is among those that are there; `of` undefined: all are. */
const placesOf = (levels: Uint32Array): { readonly of: Int32Array | undefined; readonly count: number } => {
  let count = 0;
  for (const level of levels) count += level;
  if (count === levels.length) return { of: undefined, count };
  const places = new Int32Array(levels.length).fill(NOTHING);
  let next = 0;
  for (let row = 0; row < levels.length; row += 1) {
    if (levels[row] !== 1) continue;
    places[row] = next;
    next += 1;
  }
  return { of: places, count };
};

const referencesOf = (dictionary: Entries, content: Buffer, start: number, count: number): Entries | undefined => {
  const width = count === 0 ? 0 : content.readUInt8(start);
  if (width > MAX_BITS) return undefined;
  const numbers = readRuns(content, start + 1, width, count);
  return { at: (index) => dictionary.at(numbers[index] ?? 0) };
};

const entriesOf = (type: string, content: Buffer, start: number, count: number, areCopied: boolean): Entries => {
  if (type === 'BYTE_ARRAY') return textsOf(content, start, count, areCopied);
  const bytesEach = type === 'INT64' ? 8 : 4;
  const end = start + count * bytesEach;
  if (end > content.length) throw new Error('a page has less numbers than it says');
  if (type === 'INT32') return { at: (index) => content.readInt32LE(start + 4 * index) };
  const view = new BigInt64Array(new Uint8Array(content.subarray(start, end)).buffer);
  return { at: (index) => view[index], all: view };
};

/** The same object for the same entry. */
const textsOf = (content: Buffer, start: number, count: number, areCopied: boolean): Entries => {
  const { buffer, byteOffset, length } = content;
  const ends = new Uint32Array(count);
  const view = new DataView(buffer, byteOffset, length);
  let at = start;
  for (let index = 0; index < count; index += 1) {
    at += 4 + view.getUint32(at, true);
    ends[index] = at;
  }
  if (at > length) throw new Error('a text ends behind its page');
  const made: unknown[] = new Array(count);
  return {
    at: (index) => {
      const known = made[index];
      if (known !== undefined) return known;
      const from = 4 + (index === 0 ? start : (ends[index - 1] ?? 0));
      const bytes = new Uint8Array(buffer, byteOffset + from, (ends[index] ?? from) - from);
      const value = areCopied ? bytes.slice() : bytes;
      made[index] = value;
      return value;
    },
  };
};

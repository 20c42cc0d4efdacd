import type { ColumnMetaData, SchemaElement } from 'hyparquet';
import { type ColumnPage, NumberCursor, type PageCodec, pagesOf } from './column-pages.ts';

/** For each row bytes of UTF-8, a number, or null. */
type ColumnValues = ArrayLike<unknown>;

const [PLAIN, PLAIN_DICTIONARY, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, RLE_DICTIONARY] = [0, 2, 5, 6, 8];
const ofPage: readonly number[] = [DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, RLE_DICTIONARY];
const MAX_BITS = 24;
const LENGTH_BYTES = 4;
const codecs: readonly string[] = ['ZSTD', 'UNCOMPRESSED'] satisfies readonly PageCodec[];
const types: readonly string[] = ['BYTE_ARRAY', 'INT64', 'INT32'];

/**
 * The values of all rows, or of some, which are given in ascending order: then nothing is made of other rows, and what is made keeps none of the
 * column's memory. Undefined: the column is written in a way that this does not read. A reader of all that Parquet has takes several times as long.
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
      const where = { start: 0, count: page.values, areCopied: rows !== undefined };
      dictionary = entriesOf(type, page.content(), where);
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
  encoding === PLAIN || encoding === PLAIN_DICTIONARY || (ofPage.includes(encoding) && !isDictionary);

interface Entries {
  at(index: number): unknown;
  /** If that is less work than one by one. */
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
  const where = { start: 4 + levelBytes, count: places.count, areCopied: rows !== undefined };
  const entries = entriesOfPage(type, page.encoding, content, where, dictionary);
  if (entries === undefined) return undefined;
  const at = places.of;
  if (rows !== undefined) return rows.map((row) => valueAt(entries, at === undefined ? row : at[row]));
  if (at === undefined && entries.all !== undefined) return entries.all;
  // A loop: Array.from takes three times as long.
  const values: unknown[] = new Array(page.values);
  for (let row = 0; row < page.values; row += 1) values[row] = valueAt(entries, at === undefined ? row : at[row]);
  return values;
};

const NOTHING = -1;

const valueAt = (entries: Entries, place: number | undefined): unknown =>
  place === undefined || place === NOTHING ? null : entries.at(place);

/** Where the value of a row is among those that are not null; `of` undefined: none is. */
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

/** `areCopied`: what is made keeps none of the page's memory. */
interface Where {
  readonly start: number;
  readonly count: number;
  readonly areCopied: boolean;
}

const entriesOfPage = (
  type: string,
  encoding: number,
  content: Buffer,
  where: Where,
  dictionary: Entries | undefined,
): Entries | undefined => {
  if (encoding === PLAIN) return entriesOf(type, content, where);
  if (encoding === RLE_DICTIONARY || encoding === PLAIN_DICTIONARY) {
    return dictionary && referencesOf(dictionary, content, where);
  }
  const isText = type === 'BYTE_ARRAY';
  if (isText !== (encoding === DELTA_LENGTH_BYTE_ARRAY)) return undefined;
  return isText ? measuredTextsOf(content, where) : deltasOf(type, content, where);
};

const referencesOf = (dictionary: Entries, content: Buffer, { start, count }: Where): Entries | undefined => {
  const width = count === 0 ? 0 : content.readUInt8(start);
  if (width > MAX_BITS) return undefined;
  const numbers = readRuns(content, start + 1, width, count);
  return { at: (index) => dictionary.at(numbers[index] ?? 0) };
};

const entriesOf = (type: string, content: Buffer, { start, count, areCopied }: Where): Entries => {
  if (type === 'BYTE_ARRAY') return prefixedTextsOf(content, { start, count, areCopied });
  const bytesEach = type === 'INT64' ? 8 : 4;
  const end = start + count * bytesEach;
  if (end > content.length) throw new Error('a page has less numbers than it says');
  if (type === 'INT32') return { at: (index) => content.readInt32LE(start + 4 * index) };
  const view = new BigInt64Array(new Uint8Array(content.subarray(start, end)).buffer);
  return { at: (index) => view[index], all: view };
};

/** A page of nulls alone has no numbers. */
const deltasOf = (type: string, content: Buffer, { start, count }: Where): Entries | undefined => {
  const numbers = count === 0 ? new Float64Array() : readDeltas(content, start, count)?.numbers;
  if (numbers === undefined) return undefined;
  if (type === 'INT32') return { at: (index) => numbers[index] };
  const all = new BigInt64Array(count);
  for (let index = 0; index < count; index += 1) all[index] = BigInt(numbers[index] ?? 0);
  return { at: (index) => all[index], all };
};

const prefixedTextsOf = (content: Buffer, { start, count, areCopied }: Where): Entries => {
  const ends = new Uint32Array(count);
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let at = start;
  for (let index = 0; index < count; index += 1) {
    at += LENGTH_BYTES + view.getUint32(at, true);
    ends[index] = at;
  }
  return textsOf(content, ends, { start, between: LENGTH_BYTES, areCopied });
};

const measuredTextsOf = (content: Buffer, { start, count, areCopied }: Where): Entries | undefined => {
  const lengths = count === 0 ? { numbers: new Float64Array(), end: start } : readDeltas(content, start, count);
  if (lengths === undefined) return undefined;
  const ends = new Uint32Array(count);
  let at = lengths.end;
  for (let index = 0; index < count; index += 1) {
    at += lengths.numbers[index] ?? 0;
    ends[index] = at;
  }
  return textsOf(content, ends, { start: lengths.end, between: 0, areCopied });
};

/** One behind the other, with `between` bytes before each. An entry always gives the same object. */
const textsOf = (
  content: Buffer,
  ends: Uint32Array,
  { start, between, areCopied }: { readonly start: number; readonly between: number; readonly areCopied: boolean },
): Entries => {
  if ((ends.at(-1) ?? start) > content.length) throw new Error('a text ends behind its page');
  const made: unknown[] = new Array(ends.length);
  return {
    at: (index) => {
      const known = made[index];
      if (known !== undefined) return known;
      const from = between + (index === 0 ? start : (ends[index - 1] ?? 0));
      const length = (ends[index] ?? from) - from;
      const bytes = new Uint8Array(content.buffer, content.byteOffset + from, length);
      const value = areCopied ? bytes.slice() : bytes;
      made[index] = value;
      return value;
    },
  };
};

interface DeltaNumbers {
  readonly numbers: Float64Array;
  readonly end: number;
}

/** With what is left of a byte they must fit into the 53 bits of a number. */
const MAX_DELTA_BITS = 45;

/**
 * Parquet's encoding DELTA_BINARY_PACKED: a first number, and blocks of differences, which are packed with as few bits as each part of a block
 * needs. Undefined: a number or a difference is too large to be exact here. Throws if there are not `count` numbers.
 */
export const readDeltas = (bytes: Buffer, start: number, count: number): DeltaNumbers | undefined => {
  const cursor = new NumberCursor(bytes, start);
  const blockSize = cursor.unsigned();
  const parts = cursor.unsigned();
  const total = cursor.unsigned();
  if (total !== count) throw new Error(`a page has ${total} numbers, and says ${count}`);
  const numbers = new Float64Array(count);
  let value = cursor.signed();
  if (count > 0) numbers[0] = value;
  const partSize = blockSize / parts;
  if (!(partSize >= 1)) throw new Error('a block of no numbers');
  for (let done = 1; done < count; ) {
    const least = cursor.signed();
    const widths = bytes.subarray(cursor.at, cursor.at + parts);
    cursor.skip(parts);
    if (!Number.isSafeInteger(least) || widths.some((width) => width > MAX_DELTA_BITS)) return undefined;
    for (let part = 0; part < parts && done < count; part += 1) {
      const width = widths[part] ?? 0;
      const size = (width * partSize) / 8;
      const end = Math.min(count, done + partSize);
      unpack(bytes.subarray(cursor.at, cursor.at + size), width, numbers.subarray(done, end));
      cursor.skip(size);
      for (; done < end; done += 1) {
        value += least + (numbers[done] ?? 0);
        numbers[done] = value;
      }
    }
  }
  return numbers.every(Number.isSafeInteger) ? { numbers, end: cursor.at } : undefined;
};

/** By arithmetic: operators of bits know 32 of them. */
const unpack = (packed: Buffer, width: number, into: Float64Array): void => {
  if (8 * packed.length < into.length * width) throw new Error('a page has less numbers than it says');
  if (width === 0) return;
  const range = 2 ** width;
  let [at, held, bits] = [0, 0, 0];
  for (let n = 0; n < into.length; n += 1) {
    while (bits < width) {
      held += (packed[at] ?? 0) * 2 ** bits;
      at += 1;
      bits += 8;
    }
    into[n] = held % range;
    held = Math.floor(held / range);
    bits -= width;
  }
};

/** The first `count` numbers of a list of runs, as Parquet has numbers of `width` bits: repeated ones, and packed ones by eight. */
const readRuns = (bytes: Buffer, start: number, width: number, count: number): Uint32Array => {
  const numbers = new Uint32Array(count);
  if (width === 0) return numbers;
  const bytesEach = (width + 7) >> 3;
  let [at, done] = [start, 0];
  while (done < count) {
    let [header, shift] = [0, 0];
    for (;;) {
      const byte = bytes.readUInt8(at);
      at += 1;
      header |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    if ((header & 1) === 0) {
      const end = Math.min(count, done + (header >>> 1));
      if (end === done) throw new Error('a run of no numbers');
      numbers.fill(bytes.readUIntLE(at, bytesEach), done, end);
      at += bytesEach;
      done = end;
    } else {
      const size = (header >>> 1) * width;
      done = unpackRun(bytes.subarray(at, at + size), width, numbers, done);
      at += size;
    }
  }
  return numbers;
};

const unpackRun = (bytes: Buffer, width: number, numbers: Uint32Array, done: number): number => {
  const end = Math.min(numbers.length, done + Math.floor((8 * bytes.length) / width));
  if (end === done) throw new Error('a run of no numbers');
  const mask = 2 ** width - 1;
  // Up to 24 bits and what is left of a byte fit into 32.
  let [at, held, bits] = [0, 0, 0];
  for (let n = done; n < end; n += 1) {
    while (bits < width) {
      held |= (bytes[at] ?? 0) << bits;
      at += 1;
      bits += 8;
    }
    numbers[n] = held & mask;
    held >>>= width;
    bits -= width;
  }
  return end;
};

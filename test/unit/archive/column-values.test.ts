import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ColumnMetaData, FileMetaData } from 'hyparquet';
import { beforeAll, describe, expect, test } from 'vitest';
import { columnsOf } from '../../../src/archive/columns.ts';
import { pagesOf } from '../../../src/archive/parquet/column-pages.ts';
import { readDeltas, readValues } from '../../../src/archive/parquet/column-values.ts';
import { quoted, ROWS_OF_GROUP, withDuck, writeParquet } from '../../../src/archive/parquet/parquet.ts';
import { readColumns, readFooter } from '../../../src/archive/parquet/row-groups.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

const EVENTS = 2 * ROWS_OF_GROUP + 1_234;
const random = seededRandom(17);
const among = (count: number) => Math.floor(random() * count);
const letters = ['a', 'é', '😀', '', '"', '\\', '\n', '\u0001'];

/** How a column of texts may look: with few values, many or one, with nulls here and there, in runs, everywhere or nowhere. */
const shapes: readonly ((row: number) => Value)[] = [
  () => null,
  () => 'always the same',
  () => `one of some ${among(3)}`,
  () => (random() < 0.5 ? null : `sometimes ${among(20)}`),
  () => (random() < 0.01 ? `seldom ${among(1_000_000)}` : null),
  (row) => (row % 5_000 < 2_500 ? null : `in runs ${Math.floor(row / 700)}`),
  () => `of many ${among(3_000)}`,
  (row) => `each another ${row} ${among(1_000_000)}`,
  () => (random() < 0.3 ? null : Array.from({ length: among(40) }, () => letters[among(letters.length)]).join('')),
  (row) => (row === ROWS_OF_GROUP - 1 ? 'x'.repeat(300_000) : `short ${row}`),
  (row) => (row < ROWS_OF_GROUP ? null : 'only later'),
];
const numbers: readonly ((row: number) => Value)[] = [
  () => among(2_000_000_000) - 1_000_000_000,
  () => (random() < 0.4 ? null : 200 + among(4)),
];

/** At even steps, and at steps of up to two hours, backwards as well. */
const times: readonly ((row: number) => Value)[] = [
  (row) => 1_700_000_000_000_000 + row * 1_001,
  (row) => 1_700_000_000_000_000 + row * 1_000_000 + among(7_200_000_000),
];

const columns = columnsOf.events.filter(({ name }) => name !== 'position');
const rowOf = (row: number): Row => ({
  position: row + 1,
  ...Object.fromEntries(
    columns.map(({ name, type, isTime }, n) => {
      if (isTime === true) return [name, times[n % times.length]?.(row) ?? null];
      const kinds = type === 'VARCHAR' ? shapes : numbers;
      return [name, kinds[n % kinds.length]?.(row) ?? null];
    }),
  ),
});

const versions = ['v2', 'v1'] as const;
const { folder: directory, file: writeFile } = temporaryFolder();
const rows = Array.from({ length: EVENTS }, (_, row) => rowOf(row));

/** As it is written, and as earlier versions of orgtrail wrote it. */
beforeAll(async () => {
  const lines = rows.map((row) => JSON.stringify(row));
  const file = writeFile('rows.ndjson', lines.map((line) => `${line}\n`).join(''));
  const longestLineBytes = Math.max(...lines.map((line) => Buffer.byteLength(line)));
  const written = { file, longestLineBytes, largestGroupBytes: 20_000_000 };
  const [v2, v1] = versions.map((version) => join(directory, `${version}.parquet`)) as [string, string];
  await writeParquet(written, v2, { kind: 'events', feedId: 'a feed', directory, metadata: { kind: 'events' } });
  await withDuck({ memoryMb: 512, directory }, (connection) =>
    connection.run(
      `copy (select * from read_parquet(${quoted(v2)})) to ${quoted(v1)}
       (format parquet, parquet_version v1, compression zstd, row_group_size ${ROWS_OF_GROUP})`,
    ),
  );
  objects.set('v2', await openObject(v2)).set('v1', await openObject(v1));
});
const names = ['position', ...columns.map(({ name }) => name)];

describe.each(versions)('the values of a column, as DuckDB writes it in %s', (version) => {
  test('are those that were written, without another reader', () => {
    const { bytes, footer } = objectOf(version);
    expect(footer.groups).toHaveLength(3);
    const encodings = new Set<string>();
    for (const { place, group } of groupsOf(footer)) {
      for (const name of names) {
        const column = group?.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)
          ?.meta_data as ColumnMetaData;
        const element = footer.metadata.schema.find((each) => each.name === name);
        const from = Number(column.dictionary_page_offset ?? column.data_page_offset);
        const chunk = bytes.subarray(from, from + Number(column.total_compressed_size));
        const values = readValues(chunk, column, element ?? {});
        const written = rows.slice(place.rowStart, place.rowEnd).map((row) => row[name]);
        expect(values === undefined ? undefined : Array.from(values, plain), name).toEqual(written);
        for (const encoding of column.encodings) encodings.add(encoding);
      }
    }
    expect([...encodings].sort()).toEqual(encodingsOf[version]);
  });

  test('are read of some rows alone, with one request, and keep nothing of the others in memory', async () => {
    const { bytes, footer, read } = objectOf(version);
    for (const { place } of groupsOf(footer)) {
      const count = place.rowEnd - place.rowStart;
      for (const wanted of [[0], [count - 1], [...new Set(Array.from({ length: 25 }, () => among(count)))]]) {
        wanted.sort((a, b) => a - b);
        let requests = 0;
        const counted = (from: number, to: number) => {
          requests += 1;
          return read(from, to);
        };
        const source = { footer, sizeBytes: bytes.length, read: counted };
        const found = await readColumns(source, place, { names, atOnce: true, rows: wanted });
        expect(requests).toBe(1);
        for (const name of names) {
          const written = wanted.map((row) => rows[place.rowStart + row]?.[name]);
          expect(Array.from(found[name] as ArrayLike<unknown>, plain), name).toEqual(written);
          for (const value of Array.from(found[name] as ArrayLike<unknown>)) {
            if (value instanceof Uint8Array) expect(value.buffer.byteLength).toBe(value.length);
          }
        }
      }
    }
  });

  test('are of several pages; and are left to another reader if they are written in another way', async () => {
    const { bytes, footer, read } = objectOf(version);
    const column = footer.metadata.row_groups[0]?.columns[0]?.meta_data as ColumnMetaData;
    const from = Number(column.data_page_offset);
    const chunk = bytes.subarray(from, from + Number(column.total_compressed_size));
    const optional = { repetition_type: 'OPTIONAL' } as const;
    expect(readValues(chunk, column, optional)).toHaveLength(ROWS_OF_GROUP);
    const twice = Buffer.concat([chunk, chunk]);
    const pages = Array.from(readValues(twice, column, optional) ?? [], plain);
    expect([pages.length, pages[7], pages[ROWS_OF_GROUP + 7]]).toEqual([2 * ROWS_OF_GROUP, 8, 8]);
    const some = readValues(twice, column, optional, [3, ROWS_OF_GROUP, 2 * ROWS_OF_GROUP - 1]);
    expect(Array.from(some ?? [], plain)).toEqual([4, 1, ROWS_OF_GROUP]);
    expect(readValues(chunk, { ...column, codec: 'SNAPPY' }, optional)).toBeUndefined();
    expect(readValues(chunk, { ...column, type: 'DOUBLE' }, optional)).toBeUndefined();
    expect(readValues(chunk, column, { repetition_type: 'REPEATED' })).toBeUndefined();
    expect(() => readValues(chunk.subarray(0, -1), column, optional)).toThrow('ends behind its column');
    // The header of a page begins with a field that is a list.
    expect(readValues(Buffer.from([0x19, ...chunk]), column, optional)).toBeUndefined();
    // As if it were compressed in another way: the package reads it, and rejects.
    const [place] = footer.groups;
    if (place === undefined) throw new Error('no row group');
    const other = structuredClone(footer);
    const changed = other.metadata.row_groups[0]?.columns[0]?.meta_data;
    if (changed !== undefined) changed.codec = 'SNAPPY';
    const source = { footer: other, sizeBytes: bytes.length, read };
    await expect(readColumns(source, place, { names: ['position'], atOnce: false })).rejects.toThrow();
  });
});

/** 7 is the first of some numbers, in one block of 128 in four parts; the least difference is -2. */
const page = (count: number, ...widthsAndBits: readonly number[]) =>
  Buffer.from([0x80, 0x01, 4, count, 14, 3, ...widthsAndBits]);

test('differences are the first one, and what is added to it', () => {
  // 1, 0, 3 and 2 more than the least difference, in two bits each; the rest of the part is filled up.
  const bytes = page(5, 2, 0, 0, 0, 0b10_11_00_01, 0, 0, 0, 0, 0, 0, 0, 99);
  expect(readDeltas(bytes, 0, 5)).toEqual({ numbers: Float64Array.from([7, 6, 4, 5, 5]), end: bytes.length - 1 });
});

test('differences are none, or one', () => {
  expect(readDeltas(Buffer.from([0x80, 0x01, 4, 0, 0]), 0, 0)?.numbers).toHaveLength(0);
  expect(readDeltas(Buffer.from([0x80, 0x01, 4, 1, 13]), 0, 1)?.numbers).toEqual(Float64Array.of(-7));
});

test('differences are left to another reader if they are not exact here', () => {
  expect(readDeltas(page(3, 46, 0, 0, 0, ...Array(184).fill(0)), 0, 3)).toBeUndefined();
  const large = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
  expect(readDeltas(Buffer.from([0x80, 0x01, 4, 1, ...large]), 0, 1)).toBeUndefined();
});

test.each([
  ['another count', page(5, 0, 0, 0, 0), 'has 5 numbers'],
  ['a part that is cut', page(4, 2, 0, 0, 0), 'less numbers'],
  ['a block of nothing', Buffer.from([0, 0, 4, 0]), 'no numbers'],
  ['an end too early', Buffer.from([0x80, 0x01]), 'range'],
])('differences are refused: %s', (_, bytes, message) => expect(() => readDeltas(bytes, 0, 4)).toThrow(message));

/** A page of two values, not compressed, whose header has a text in its inner struct. */
const pageWith = (text: string, content: string): Buffer => {
  const [length, size] = [Buffer.byteLength(text), 2 * content.length];
  const inner = [0x15, 4, 0x15, 0, 0x18, length, ...Buffer.from(text), 0];
  return Buffer.from([0x15, 0, 0x15, size, 0x15, size, 0x2c, ...inner, 0, ...Buffer.from(content)]);
};

test('a text in the header of a page is passed over', () => {
  const pages = pagesOf(Buffer.concat([pageWith('least', 'abc'), pageWith('', 'defg')]), 'UNCOMPRESSED');
  expect(pages?.map(({ values, content }) => [values, content().toString()])).toEqual([
    [2, 'abc'],
    [2, 'defg'],
  ]);
});

type Value = string | number | null;

type Row = Readonly<Record<string, Value>>;

interface ParquetObject {
  readonly bytes: Buffer;
  readonly footer: Awaited<ReturnType<typeof readFooter>>;
  readonly read: (from: number, to: number) => Promise<Buffer>;
}

type Version = (typeof versions)[number];

const encodingsOf: Readonly<Record<Version, readonly string[]>> = {
  v2: ['DELTA_BINARY_PACKED', 'DELTA_LENGTH_BYTE_ARRAY', 'RLE_DICTIONARY'],
  v1: ['PLAIN', 'PLAIN_DICTIONARY'],
};

const objects = new Map<Version, ParquetObject>();

const openObject = async (file: string): Promise<ParquetObject> => {
  const bytes = await readFile(file);
  const read = async (from: number, to: number) => bytes.subarray(from, to);
  return { bytes, read, footer: await readFooter(bytes.length, read) };
};

const objectOf = (version: Version): ParquetObject => {
  const object = objects.get(version);
  if (object === undefined) throw new Error(`no object of ${version}`);
  return object;
};

const plain = (value: unknown): Value => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return typeof value === 'bigint' ? Number(value) : ((value ?? null) as Value);
};

const groupsOf = ({ metadata, groups }: ParquetObject['footer']) =>
  groups.map((place) => ({ place, group: (metadata as FileMetaData).row_groups[place.index] }));

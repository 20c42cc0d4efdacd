import { setImmediate } from 'node:timers/promises';
import type { AsyncBuffer, ColumnMetaData, FileMetaData, RowGroup } from 'hyparquet';
import { decompressZstd } from './column-pages.ts';
import { readValues } from './column-values.ts';

/** Gives bytes of an object, from the first up to, not including, the second. */
type ReadRange = (from: number, to: number) => Promise<Buffer>;

/** A row group, as the footer says where it is and which positions it has. */
export interface GroupPlace {
  /** Which it is of those of its object, from 0 on. */
  readonly index: number;
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** In microseconds since 1970. */
  readonly firstActionTime: bigint;
  readonly lastActionTime: bigint;
  /** What it takes in memory. */
  readonly bytes: number;
}

export interface ParquetFooter {
  readonly metadata: FileMetaData;
  readonly groups: readonly GroupPlace[];
}

/** Columns by name. Texts are bytes of UTF-8, times are microseconds since 1970, and null is null. */
export type GroupColumns<Name extends string> = Readonly<Record<Name, ArrayLike<unknown>>>;

/** Most footers are smaller. */
const FOOTER_BYTES = 131_072;

/** No value becomes a string or a Date: what is read goes on as bytes. */
const parsers = {
  stringFromBytes: (bytes: Uint8Array): Uint8Array => bytes,
  timestampFromMicroseconds: (microseconds: bigint): bigint => microseconds,
};
const compressors = { ZSTD: decompressZstd };

/** Only who reads an archive needs it. */
const loadReader = () => import('hyparquet');

const fileOf = (byteLength: number, read: ReadRange): AsyncBuffer => ({
  byteLength,
  slice: async (from, to = byteLength) => exactBytes(await read(from, to)),
});

/** The package takes buffers that have nothing else in them. */
const exactBytes = ({ buffer, byteOffset, byteLength }: Buffer): ArrayBuffer =>
  byteOffset === 0 && byteLength === buffer.byteLength
    ? (buffer as ArrayBuffer)
    : (buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);

/** `time`: the column whose statistics are `firstActionTime` and `lastActionTime`. */
export const readFooter = async (sizeBytes: number, read: ReadRange, time = 'action_time'): Promise<ParquetFooter> => {
  const file = fileOf(sizeBytes, read);
  const { parquetMetadataAsync } = await loadReader();
  const metadata = await parquetMetadataAsync(file, { initialFetchSize: FOOTER_BYTES, geoparquet: false, parsers });
  let rowStart = 0;
  const groups = metadata.row_groups.map((group, index) => {
    const place = { index, ...placeOf(group, rowStart, time) };
    rowStart = place.rowEnd;
    return place;
  });
  return { metadata, groups };
};

const placeOf = (group: RowGroup, rowStart: number, time: string): Omit<GroupPlace, 'index'> => {
  const [firstPosition, lastPosition] = boundsOf(group, 'position');
  const [firstActionTime, lastActionTime] = boundsOf(group, time);
  return {
    rowStart,
    rowEnd: rowStart + Number(group.num_rows),
    firstPosition: Number(firstPosition),
    lastPosition: Number(lastPosition),
    firstActionTime,
    lastActionTime,
    bytes: Number(group.total_byte_size),
  };
};

/** By the statistics of the group. */
const boundsOf = ({ columns }: RowGroup, name: string): readonly [bigint, bigint] => {
  const column = columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)?.meta_data;
  const { min_value: first, max_value: last } = column?.statistics ?? {};
  if (typeof first === 'bigint' && typeof last === 'bigint') return [first, last];
  throw new Error(`a row group does not say what its column ${name} has`);
};

interface GroupSource {
  readonly footer: ParquetFooter;
  readonly sizeBytes: number;
  readonly read: ReadRange;
}

export interface WantedColumns<Name extends string> {
  readonly names: readonly Name[];
  /** They lie one behind the other, and are read with one request. */
  readonly atOnce: boolean;
  /** In ascending order. Only these rows have values then, in this order; undefined: all have. */
  readonly rows?: readonly number[];
}

/** Some columns of a row group. The process is left to others between two of them. */
export const readColumns = async <Name extends string>(
  source: GroupSource,
  place: GroupPlace,
  { names, atOnce, rows }: WantedColumns<Name>,
): Promise<GroupColumns<Name>> => {
  const { metadata } = source.footer;
  const group = metadata.row_groups[place.index];
  const read = atOnce ? await readAtOnce(group, names, source.read) : source.read;
  const columns: Partial<Record<Name, ArrayLike<unknown>>> = {};
  for (const name of names) {
    const column = columnOf(group, name);
    const { from, to } = rangeOf(column);
    const element = metadata.schema.find((each) => each.name === name);
    const values = element && readValues(await read(from, to), column, element, rows);
    columns[name] = values ?? (await readByPackage({ ...source, read }, place, name, rows));
    await setImmediate();
  }
  return columns as GroupColumns<Name>;
};

/** What is written in another way than DuckDB wrote it until now. */
const readByPackage = async (
  { footer: { metadata }, sizeBytes, read }: GroupSource,
  { rowStart, rowEnd }: GroupPlace,
  column: string,
  rows: readonly number[] | undefined,
): Promise<ArrayLike<unknown>> => {
  const { parquetScan } = await loadReader();
  const file = fileOf(sizeBytes, read);
  const columns = [column];
  const scan = await parquetScan({
    file,
    metadata,
    columns,
    rowStart,
    rowEnd,
    parsers,
    compressors,
    useOffsetIndex: false,
  });
  const values = await scan.readColumn({ column, rowStart, rowEnd });
  return rows === undefined ? values : rows.map((row) => values[row]);
};

const columnOf = (group: RowGroup | undefined, name: string): ColumnMetaData => {
  const found = group?.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === name)?.meta_data;
  if (found === undefined) throw new Error(`a row group has no column ${name}`);
  return found;
};

const rangeOf = ({ dictionary_page_offset, data_page_offset, total_compressed_size }: ColumnMetaData) => {
  const from = Number(dictionary_page_offset ?? data_page_offset);
  return { from, to: from + Number(total_compressed_size) };
};

const readAtOnce = async (
  group: RowGroup | undefined,
  names: readonly string[],
  read: ReadRange,
): Promise<ReadRange> => {
  const ranges = names.map((name) => rangeOf(columnOf(group, name)));
  const begin = Math.min(...ranges.map(({ from }) => from));
  const bytes = await read(begin, Math.max(...ranges.map(({ to }) => to)));
  return async (from, to) => bytes.subarray(from - begin, to - begin);
};

/** False only if the statistics of a column of texts say that no row of the group has exactly this value. They may be cut at their ends. */
export const mayHaveValue = (
  { row_groups: groups }: FileMetaData,
  { index }: Pick<GroupPlace, 'index'>,
  column: string,
  value: string,
): boolean => {
  const found = groups[index]?.columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === column)?.meta_data;
  const { min_value: min, max_value: max } = found?.statistics ?? {};
  if (!(min instanceof Uint8Array) || !(max instanceof Uint8Array)) return true;
  const bytes = Buffer.from(value);
  // A maximum that was cut may be lower than what it stands for.
  return Buffer.compare(bytes, min) >= 0 && Buffer.compare(bytes.subarray(0, max.length), max) <= 0;
};

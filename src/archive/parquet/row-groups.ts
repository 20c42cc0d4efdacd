import { setImmediate } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import type { AsyncBuffer, ColumnMetaData, FileMetaData, RowGroup } from 'hyparquet';

type ReadRange = (from: number, to: number) => Promise<Buffer>;

export interface GroupPlace {
  /** In its object, from 0 on. */
  readonly index: number;
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** Microseconds since 1970. */
  readonly firstActionTime: bigint;
  readonly lastActionTime: bigint;
  readonly bytes: number;
}

export interface ParquetFooter {
  readonly metadata: FileMetaData;
  readonly groups: readonly GroupPlace[];
}

/** Texts are bytes of UTF-8, times microseconds since 1970, and null is null. */
export type GroupColumns<Name extends string> = Readonly<Record<Name, ArrayLike<unknown>>>;

const FOOTER_BYTES = 131_072;

/** What is read goes on as bytes: no value becomes a string or a Date. */
const parsers = {
  stringFromBytes: (bytes: Uint8Array): Uint8Array => bytes,
  timestampFromMicroseconds: (microseconds: bigint): bigint => microseconds,
};

/** Node.js makes more memory as soon as all is used. */
const SPARE_BYTES = 64;

/** In memory of the right size at once: by default Node.js makes pieces of 16 KiB, and joins them. */
const decompressZstd = (input: Uint8Array, outputBytes: number): Buffer => {
  const output = zstdDecompressSync(input, { chunkSize: outputBytes + SPARE_BYTES });
  if (output.length !== outputBytes) throw new Error(`a page has ${output.length} bytes, and says ${outputBytes}`);
  return output;
};

const compressors = { ZSTD: decompressZstd };

/** Only for those who read an archive. */
const loadReader = () => import('hyparquet');

const fileOf = (byteLength: number, read: ReadRange): AsyncBuffer => ({
  byteLength,
  slice: async (from, to = byteLength) => exactBytes(await read(from, to)),
});

/** The package takes buffers with nothing else in them. */
const exactBytes = ({ buffer, byteOffset, byteLength }: Buffer): ArrayBuffer =>
  byteOffset === 0 && byteLength === buffer.byteLength
    ? (buffer as ArrayBuffer)
    : (buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);

export const readFooter = async (sizeBytes: number, read: ReadRange): Promise<ParquetFooter> => {
  const file = fileOf(sizeBytes, read);
  const { parquetMetadataAsync } = await loadReader();
  const metadata = await parquetMetadataAsync(file, { initialFetchSize: FOOTER_BYTES, geoparquet: false, parsers });
  let rowStart = 0;
  const groups = metadata.row_groups.map((group, index) => {
    const place = { index, ...placeOf(group, rowStart) };
    rowStart = place.rowEnd;
    return place;
  });
  return { metadata, groups };
};

const placeOf = (group: RowGroup, rowStart: number): Omit<GroupPlace, 'index'> => {
  const [firstPosition, lastPosition] = boundsOf(group, 'position');
  const [firstActionTime, lastActionTime] = boundsOf(group, 'action_time');
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

interface WantedColumns<Name extends string> {
  readonly names: readonly Name[];
  /** They lie one behind the other: one request is enough. */
  readonly atOnce: boolean;
}

/** Between two columns the process does other work. */
export const readColumns = async <Name extends string>(
  { footer: { metadata }, sizeBytes, read: readRange }: GroupSource,
  { index, rowStart, rowEnd }: GroupPlace,
  { names, atOnce }: WantedColumns<Name>,
): Promise<GroupColumns<Name>> => {
  const { parquetScan } = await loadReader();
  const read = atOnce ? await readAtOnce(metadata.row_groups[index], names, readRange) : readRange;
  const file = fileOf(sizeBytes, read);
  const wanted = { rowStart, rowEnd, parsers, compressors, useOffsetIndex: false };
  const columns: Partial<Record<Name, ArrayLike<unknown>>> = {};
  for (const name of names) {
    const scan = await parquetScan({ file, metadata, columns: [name], ...wanted });
    columns[name] = await scan.readColumn({ column: name, rowStart, rowEnd });
    await setImmediate();
  }
  return columns as GroupColumns<Name>;
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

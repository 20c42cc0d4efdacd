import { columnsOf, FEED_ID, type ObjectKind } from '../columns.ts';
import { quoted, withDuck } from './duckdb.ts';

/** Rows as lines of JSON, which DuckDB reads piece by piece. */
export interface LinesFile {
  readonly file: string;
  readonly longestLineBytes: number;
  /** Of as many rows as a row group has, at most. */
  readonly largestGroupBytes: number;
}

export interface ParquetOptions {
  readonly kind: ObjectKind;
  /** In every row. */
  readonly feedId: string;
  /** For what does not fit into memory. */
  readonly directory: string;
  /** Into the footer, by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Of the format. Default 2. */
  readonly version?: ParquetVersion | undefined;
}

/** Encodings of version 1 are read by everything that reads Parquet; version 2 is smaller. */
export type ParquetVersion = 1 | 2;

const MEBIBYTE = 1_048_576;
const MEMORY_MB = 128;
/** A row group of ordinary events; what is larger takes memory beyond the usual. */
const ORDINARY_GROUP_MB = 20;
/** Version 2 at this level is 11 % smaller than what DuckDB takes by itself, version 1 at level 3 (decision 84). */
const ARCHIVE_ZSTD_LEVEL = 10;
/** DuckDB has groups of whole vectors of 2,048 rows: this is as near to 10,000 as it comes. */
export const ROWS_OF_GROUP = 10_240;

/** Writes one Parquet file, in the order of the lines, with zstd. The file is not synchronized to the disk: it is for reading at once. */
export const writeParquet = async (lines: LinesFile, target: string, options: ParquetOptions): Promise<void> => {
  const { kind, feedId, directory, metadata, version = 2 } = options;
  const columns = columnsOf[kind];
  const select = columns.map(({ name, isTime }) =>
    isTime === true ? `make_timestamptz("${name}") as "${name}"` : `"${name}"`,
  );
  select.splice(1, 0, `${quoted(feedId)} as "${FEED_ID}"`);
  const types = columns.map(({ name, type }) => `${quoted(name)}: ${quoted(type)}`).join(', ');
  const facts = Object.entries(metadata).map(([name, value]) => `${name}: ${quoted(value)}`);
  const objectBytes = Math.max(MEBIBYTE, lines.longestLineBytes + 1_024);
  await withDuck({ memoryMb: memoryFor(lines), directory }, async (connection) => {
    await connection.run(
      `copy (select ${select.join(', ')} from read_json(${quoted(lines.file)}, format = 'newline_delimited',
         maximum_object_size = ${objectBytes}, columns = {${types}}))
       to ${quoted(target)} (format parquet, parquet_version v${version}, compression zstd, compression_level ${ARCHIVE_ZSTD_LEVEL},
         row_group_size ${ROWS_OF_GROUP}, kv_metadata {${facts.join(', ')}})`,
    );
  });
};

const memoryFor = ({ longestLineBytes, largestGroupBytes }: LinesFile): number => {
  const groupMb = Math.max(0, largestGroupBytes / MEBIBYTE - ORDINARY_GROUP_MB);
  return Math.ceil(MEMORY_MB + 4 * groupMb + 8 * (longestLineBytes / MEBIBYTE));
};

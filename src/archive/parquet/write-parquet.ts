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
}

const MEBIBYTE = 1_048_576;
const MEMORY_MB = 128;
/** A row group of ordinary events; what is larger takes memory beyond the usual. */
const ORDINARY_GROUP_MB = 20;
/** DuckDB has groups of whole vectors of 2,048 rows: this is as near to 10,000 as it comes. */
export const ROWS_OF_GROUP = 10_240;

/** Writes one Parquet file, in the order of the lines, with zstd. The file is not synchronized to the disk: it is for reading at once. */
export const writeParquet = async (lines: LinesFile, target: string, options: ParquetOptions): Promise<void> => {
  const columns = columnsOf[options.kind];
  const types = columns.map(({ name, type }) => `${quoted(name)}: ${quoted(type)}`).join(', ');
  const values = columns.map(({ name, isTime }) =>
    isTime === true ? `make_timestamptz("${name}") as "${name}"` : `"${name}"`,
  );
  values.splice(1, 0, `${quoted(options.feedId)} as "${FEED_ID}"`);
  const metadata = Object.entries(options.metadata).map(([name, value]) => `${name}: ${quoted(value)}`);
  const objectBytes = Math.max(MEBIBYTE, lines.longestLineBytes + 1_024);
  await withDuck({ memoryMb: memoryFor(lines), directory: options.directory }, async (connection) => {
    await connection.run(
      `copy (select ${values.join(', ')} from read_json(${quoted(lines.file)}, format = 'newline_delimited',
         maximum_object_size = ${objectBytes}, columns = {${types}}))
       to ${quoted(target)} (format parquet, compression zstd, row_group_size ${ROWS_OF_GROUP}, kv_metadata {${metadata.join(', ')}})`,
    );
  });
};

const memoryFor = ({ longestLineBytes, largestGroupBytes }: LinesFile): number => {
  const groupMb = Math.max(0, largestGroupBytes / MEBIBYTE - ORDINARY_GROUP_MB);
  return Math.ceil(MEMORY_MB + 4 * groupMb + 8 * (longestLineBytes / MEBIBYTE));
};

import type { DuckDBConnection } from '@duckdb/node-api';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import {
  type ArchiveColumn,
  type Bounds,
  boundedOf,
  boundOf,
  columnsOf,
  FEED_ID,
  type Field,
  fieldsOf,
  hashedOf,
  LONGEST_READ,
  type ObjectFacts,
  type ObjectKind,
  orderOf,
} from '../columns.ts';

/** DuckDB reads lines of JSON piece by piece. */
export interface LinesFile {
  readonly file: string;
  readonly longestLineBytes: number;
  /** Of the rows of one row group at most. */
  readonly largestGroupBytes: number;
}

/** Everything that reads Parquet reads version 1; version 2 is smaller. */
export type ParquetVersion = 1 | 2;

const MEBIBYTE = 1_048_576;
const MEMORY_MB = 128;
/** An ordinary row group; a larger one takes more memory. */
const ORDINARY_GROUP_MB = 20;
/** Version 2 at this level is 11 % smaller than by DuckDB's defaults, version 1 at level 3 (docs/decisions/22). */
const ARCHIVE_ZSTD_LEVEL = 10;
/** Groups of DuckDB are whole vectors of 2,048 rows: this is as near to 10,000 as it comes. */
export const ROWS_OF_GROUP = 10_240;

/** `directory`: for what does not fit into memory. The file is not synchronized to the disk: it is for reading at once. */
export const writeParquet = async (
  lines: LinesFile,
  target: string,
  options: {
    readonly kind: ObjectKind;
    readonly feedId: string;
    readonly directory: string;
    readonly metadata: Readonly<Record<string, string>>;
    readonly version?: ParquetVersion | undefined;
  },
): Promise<void> => {
  const { kind, feedId, directory, metadata, version = 2 } = options;
  const columns = columnsOf[kind];
  const select = columns.map(({ name, isTime }) =>
    isTime === true ? `make_timestamptz("${name}") as "${name}"` : `"${name}"`,
  );
  select.splice(1, 0, `${quoted(feedId)} as "${FEED_ID}"`);
  const types = columns.map(({ name, type }) => `${quoted(name)}: ${quoted(type)}`).join(', ');
  const ids = fieldsOf[kind].map(({ id, name }) => `${name}: ${id}`);
  const facts = Object.entries(metadata).map(([name, value]) => `${name}: ${quoted(value)}`);
  const objectBytes = Math.max(MEBIBYTE, lines.longestLineBytes + 1_024);
  await withDuck({ memoryMb: memoryFor(lines), directory }, async (connection) => {
    await connection.run(
      `copy (select ${select.join(', ')} from read_json(${quoted(lines.file)}, format = 'newline_delimited',
         maximum_object_size = ${objectBytes}, columns = {${types}}))
       to ${quoted(target)} (format parquet, parquet_version v${version}, compression zstd, compression_level ${ARCHIVE_ZSTD_LEVEL},
         row_group_size ${ROWS_OF_GROUP}, field_ids {${ids.join(', ')}}, kv_metadata {${facts.join(', ')}})`,
    );
  });
};

const memoryFor = ({ longestLineBytes, largestGroupBytes }: LinesFile): number => {
  const groupMb = Math.max(0, largestGroupBytes / MEBIBYTE - ORDINARY_GROUP_MB);
  return Math.ceil(MEMORY_MB + 4 * groupMb + 8 * (longestLineBytes / MEBIBYTE));
};

const MEMORY_MB_2 = 120;
/** Three hashes as texts, which wait to be joined. */
const BYTES_OF_ROW = 136;

/** Row by row. Rejects if the file is no Parquet, or has other columns. */
export const factsOfParquet = async (
  file: string,
  options: {
    readonly kind: ObjectKind;
    /** How many rows it has, or should have. */
    readonly events: number;
    readonly directory: string;
    /** For the largest row. */
    readonly moreMemoryMb?: number;
  },
): Promise<ObjectFacts> => {
  const { ids, columns } = hashedOf[options.kind];
  const order = orderOf[options.kind];
  const bounded = fieldsOf[options.kind].filter(({ name }) => boundedOf[options.kind].includes(name));
  const lines = (value: string) => `sha256(string_agg(${value}, chr(10) order by ${order}))`;
  const memoryMb = MEMORY_MB_2 + Math.ceil((options.events * BYTES_OF_ROW) / 1_000_000) + (options.moreMemoryMb ?? 0);
  return await withDuck({ memoryMb, directory: options.directory }, async (connection) => {
    const reader = await connection.runAndReadAll(
      `with hashed as materialized (
         select position${options.kind === 'changes' ? ', change_id' : ''}, ${ids} as ids, sha256(raw) as raw_sha,
           sha256(concat_ws(chr(31), ${columns})) as columns_sha from read_parquet(${quoted(file)}))
       select count(*)::double, min(position)::double, max(position)::double,
         ${lines('ids')}, ${lines('raw_sha')}, ${lines('columns_sha')},
         (select [${bounded.map(boundsOf).join(', ')}] from read_parquet(${quoted(file)}))::json::varchar,
         (select footer_size from parquet_file_metadata(${quoted(file)}))::double from hashed`,
    );
    const [events, firstPosition, lastPosition, idsSha256, rawSha256, columnsSha256, bounds, footerBytes] =
      reader.getRows()[0] ?? [];
    return {
      events: Number(events ?? 0),
      firstPosition: Number(firstPosition ?? 0),
      lastPosition: Number(lastPosition ?? 0),
      idsSha256: String(idsSha256),
      rawSha256: String(rawSha256),
      columnsSha256: String(columnsSha256),
      bounds: readBounds(bounded, String(bounds)),
      footerBytes: Number(footerBytes),
    };
  });
};

/** A text as far as its bound needs it. */
const boundsOf = ({ name, type }: Field): string => {
  const value = type === 'timestamptz' ? `epoch_us(${name})` : name;
  const read = (bound: string) => `left(${bound}(${value})::varchar, ${LONGEST_READ})`;
  return `[(count(*) - count(${name}))::varchar, ${read('min')}, ${read('max')}]`;
};

const readBounds = (fields: readonly Field[], text: string): Bounds => {
  const read: readonly (readonly [nulls: string, min: string | null, max: string | null])[] = JSON.parse(text);
  return Object.fromEntries(
    fields.map(({ id }, index) => [
      id,
      boundOf(Number(read[index]?.[0]), read[index]?.[1] ?? null, read[index]?.[2] ?? null),
    ]),
  );
};

const MEMORY_MB_3 = 200;

/** Hands over some rows at once, in the order in which they were written: that of the position. `select`: in the SQL of DuckDB. */
export const rowsOfParquet = async (
  file: string,
  { directory, select }: { readonly directory: string; readonly select: readonly string[] },
  take: (rows: readonly (readonly unknown[])[]) => Promise<void>,
): Promise<void> =>
  await withDuck({ memoryMb: MEMORY_MB_3, directory }, async (connection) => {
    const result = await connection.stream(`select ${select.join(', ')} from read_parquet(${quoted(file)})`);
    for await (const rows of result.yieldRows()) await take(rows);
  });

/** As PostgreSQL reads it: a text is always quoted, so that it is never taken for null. */
export const writeCsv = async (
  file: string,
  target: string,
  { directory, columns }: { readonly directory: string; readonly columns: readonly ArchiveColumn[] },
): Promise<void> =>
  await withDuck({ memoryMb: MEMORY_MB_3, directory }, async (connection) => {
    const select = columns.map(({ name, isTime }) => {
      if (isTime === true) return `make_timestamp(epoch_us("${name}"))::varchar || '+00' as "${name}"`;
      return name === 'defects' ? `'{' || defects || '}' as defects` : `"${name}"`;
    });
    const texts = columns.filter(({ type }) => type === 'VARCHAR').map(({ name }) => `"${name}"`);
    await connection.run(
      `copy (select ${select.join(', ')} from read_parquet(${quoted(file)})) to ${quoted(target)}
       (format csv, header false, nullstr '', force_quote (${texts.join(', ')}))`,
    );
  });

/** In memory, for one piece of work; the package is optional and large: loaded only here. Throws OrgtrailError `configuration` if it is missing. */
export const withDuck = async <T>(
  options: {
    readonly memoryMb: number;
    readonly directory: string;
    readonly settings?: Readonly<Record<string, string>>;
  },
  use: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> => {
  const { memoryMb, directory, settings } = options;
  const { DuckDBInstance } = await loadDuck();
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: `${memoryMb}MB`,
    temp_directory: directory,
    // Unused memory goes back to the system: by default DuckDB keeps tens of megabytes.
    allocator_flush_threshold: '8MB',
    allocator_bulk_deallocation_flush_threshold: '16MB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    ...settings,
  });
  try {
    const connection = await instance.connect();
    try {
      await connection.run('set write_buffer_row_group_count = 1');
      return await use(connection);
    } finally {
      connection.closeSync();
    }
  } finally {
    instance.closeSync();
  }
};

/** Also called at start, so that it is said before there is work. `asker`: what needs it. */
export const loadDuck = async (asker = 'the archive'): Promise<typeof import('@duckdb/node-api')> => {
  try {
    return await import('@duckdb/node-api');
  } catch (error) {
    throw new OrgtrailError('configuration', `${asker} needs DuckDB, which is not installed here: ${reasonOf(error)}`, {
      hint: 'install the package @duckdb/node-api beside orgtrail; docs/archive.md says how',
      cause: error,
    });
  }
};

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

import { availableParallelism } from 'node:os';
import type {
  DuckDBConnection,
  DuckDBPreparedStatement,
  DuckDBResult,
  DuckDBValueConverter,
  Json,
} from '@duckdb/node-api';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { instantOf } from '../columns.ts';
import { loadDuck, quoted, withDuck } from './parquet.ts';

export interface QueryResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  rows(): AsyncIterable<readonly (readonly QueryValue[])[]>;
}

export interface QueryDuckOptions {
  readonly directory: string;
  readonly memoryMb: number;
  readonly spillMb: number;
  /** `audit_events`, in the SQL of DuckDB. */
  readonly view: string;
  /** The view reads them: nothing else can be opened. */
  readonly files: readonly string[];
}

const MAX_THREADS = 4;
const LONGEST_REASON = 500;
const INTERRUPT_EVERY_MS = 50;
const NO_WORDS = 'Error in native callback';

/**
 * Runs one SQL statement of a user, who can read the view `audit_events` and nothing else: no other file, no network, no setting. Rejects with
 * OrgtrailError `usage` for what DuckDB refuses, and for anything but one statement that only reads (`readingOf`). On abort it stops.
 */
export const runUserQuery = async <T>(
  sql: string,
  options: QueryDuckOptions,
  take: (result: QueryResult) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> =>
  await withUserConnection(options, async (connection) => {
    const release = stopsOnAbort(connection, signal);
    try {
      const statement = await prepareOne(connection, sql);
      signal?.throwIfAborted();
      const result = await inWords(statement.stream());
      return await take(await resultOf(result, signal));
    } finally {
      release();
    }
  });

/** An interrupt between two steps of a statement is lost: it is repeated until the returned function is called. */
const stopsOnAbort = (connection: DuckDBConnection, signal: AbortSignal | undefined): (() => void) => {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    connection.interrupt();
    timer = setInterval(() => connection.interrupt(), INTERRUPT_EVERY_MS);
  };
  signal?.throwIfAborted();
  signal?.addEventListener('abort', stop, { once: true });
  return () => {
    signal?.removeEventListener('abort', stop);
    clearInterval(timer);
  };
};

/** Rejects as `runUserQuery` would before it reads anything: the view needs only its columns. */
export const checkUserQuery = async (sql: string, options: QueryDuckOptions): Promise<void> =>
  await withUserConnection(options, async (connection) => {
    await prepareOne(connection, sql);
  });

const withUserConnection = async <T>(
  { directory, memoryMb, spillMb, view, files }: QueryDuckOptions,
  use: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> => {
  const settings = {
    threads: String(Math.min(MAX_THREADS, availableParallelism())),
    max_temp_directory_size: `${spillMb}MB`,
    allow_community_extensions: 'false',
  };
  return await withDuck({ memoryMb, directory, settings }, async (connection) => {
    await connection.run("set timezone = 'UTC'");
    await connection.run(`create view audit_events as ${view}`);
    await connection.run(`set allowed_paths = [${files.map(quoted).join(', ')}]`);
    await connection.run('set enable_external_access = false');
    await connection.run('set lock_configuration = true');
    return await use(connection);
  });
};

const prepareOne = async (connection: DuckDBConnection, sql: string): Promise<DuckDBPreparedStatement> => {
  const { StatementType } = await loadDuck();
  // The package has no words for a text without any.
  const statements = await inWords(connection.extractStatements(`${sql}\n;`), 'there is no statement');
  if (statements.count !== 1) throw refused(`there are ${statements.count} statements, not one`);
  const [, explained] = explain.exec(sql) ?? [];
  const reading = await readingOf(connection, explained ?? sql);
  if (reading.kind === 'fault') throw refused(reading.reason, 'docs/query.md lists the functions that give rows');
  const statement = await inWords(statements.prepare(0));
  const { statementType, parameterCount } = statement;
  if (statementType === StatementType.EXPLAIN) requireExplained(explained, reading);
  else if (statementType !== StatementType.SELECT || reading.kind === 'other') {
    throw refused('only a statement that reads is run: select, with, from, describe, summarize, explain');
  }
  if (parameterCount > 0) throw refused('it has parameters, which have no values');
  return statement;
};

const explain =
  /^\s*explain(?:\s+analyze\b)?\s*(?:\(\s*(?:analyze|format\s+\w+)(?:\s*,\s*(?:analyze|format\s+\w+))*\s*\))?(?![\w"])\s*(\S[\s\S]*)$/i;

/** `explain analyze` runs what it explains. */
const requireExplained = (explained: string | undefined, { kind }: Reading): void => {
  if (explained === undefined) throw refused('explain must be its first word, with the statement behind it');
  if (kind === 'other') throw refused('explain takes a statement that reads: select, with, from');
};

const resultOf = async (result: DuckDBResult, signal: AbortSignal | undefined): Promise<QueryResult> => {
  const names = result.deduplicatedColumnNames();
  const types = result.columnTypes();
  const convert = queryValueConverter(await loadDuck());
  return {
    columns: names.map((name, index) => ({ name, type: String(types[index]) })),
    rows: async function* () {
      const rows = result.yieldConvertedRows(convert)[Symbol.asyncIterator]();
      while (true) {
        signal?.throwIfAborted();
        const next = await inWords(rows.next());
        if (next.done === true) return;
        yield next.value;
      }
    },
  };
};

const refused = (reason: string, hint?: string): OrgtrailError =>
  new OrgtrailError('usage', `the query: ${reason}`, {
    hint: hint ?? "`orgtrail query 'describe audit_events'` lists the columns; docs/query.md has examples",
  });

const inWords = async <T>(work: Promise<T>, instead?: string): Promise<T> => {
  try {
    return await work;
  } catch (error) {
    const [words = ''] = reasonOf(error).split(/\n\s*\n/);
    const line = words.replaceAll(/\s+/g, ' ').trim().slice(0, LONGEST_REASON);
    if (line.startsWith('Out of Memory Error'))
      throw refused(
        `it takes more memory or disk than it may: ${line}`,
        'a larger --memory, a shorter time, or a limit',
      );
    throw refused(line === NO_WORDS && instead !== undefined ? instead : line);
  }
};

/**
 * A statement may read rows from them. Others of DuckDB open files, change how it works (`enable_logging` prints to stdout), or run a text as SQL
 * (`query`). What a later version brings is refused until it stands here.
 */
export const rowFunctions: ReadonlySet<string> = new Set([
  'duckdb_columns',
  'duckdb_functions',
  'duckdb_keywords',
  'duckdb_memory',
  'duckdb_settings',
  'duckdb_tables',
  'duckdb_types',
  'duckdb_views',
  'generate_series',
  'histogram',
  'histogram_values',
  'icu_calendar_names',
  'json_each',
  'json_tree',
  'pg_timezone_names',
  'pragma_show',
  'pragma_table_info',
  'pragma_version',
  'range',
  'repeat',
  'repeat_row',
  'summary',
  'unnest',
]);

/** They do more than compute a value: one writes to the log, the other holds up the statement without an end. */
export const effects: ReadonlySet<string> = new Set(['sleep_ms', 'write_log']);

/** `other`: no statement that selects, or none that can be read. `fault`: what a statement does beside reading. */
type Reading = { readonly kind: 'plain' | 'other' } | { readonly kind: 'fault'; readonly reason: string };

/** By the tree of DuckDB's own parser, before anything is bound: no function can hide, and what runs a text as SQL is refused. */
const readingOf = async (connection: DuckDBConnection, sql: string): Promise<Reading> => {
  const parse = await connection.prepare('select json_serialize_sql($1::varchar)');
  parse.bindVarchar(1, sql);
  const [[text] = []] = (await parse.runAndReadAll()).getRows();
  const parsed = parsedJson(String(text));
  if (parsed === undefined) return { kind: 'fault', reason: 'it has a number that no double can hold' };
  if (!isObject(parsed) || parsed['error'] !== false) return { kind: 'other' };
  const reason = firstFault(parsed['statements']);
  return reason === undefined ? { kind: 'plain' } : { kind: 'fault', reason };
};

/** Undefined: DuckDB writes the infinity that `1e400` is as it is, which is no JSON. */
const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const firstFault = (tree: unknown): string | undefined => {
  const open = [tree];
  while (open.length > 0) {
    const node = open.pop();
    if (typeof node !== 'object' || node === null) continue;
    const reason = isObject(node) ? faultOf(node) : undefined;
    if (reason !== undefined) return reason;
    open.push(...Object.values(node));
  }
  return undefined;
};

const faultOf = (node: Readonly<Record<string, unknown>>): string | undefined => {
  if (node['type'] === 'TABLE_FUNCTION') {
    const name = nameOf(node['function']);
    return rowFunctions.has(name) ? undefined : `${name}() is not a function that a statement may read rows from`;
  }
  const name = nameOf(node);
  return effects.has(name) ? `${name}() does more than compute a value` : undefined;
};

const nameOf = (node: unknown): string => (isObject(node) ? String(node['function_name'] ?? '').toLowerCase() : '');

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export type QueryValue = Json;

const LAST_MICROS = 8_640_000_000_000_000_000n;

/** Integers are numbers if those are exact, else texts; times are as in the feed; everything else is DuckDB's own JSON. */
const queryValueConverter =
  ({
    JsonDuckDBValueConverter,
    DuckDBTimestampTZValue,
  }: typeof import('@duckdb/node-api')): DuckDBValueConverter<QueryValue> =>
  (value, type, self) => {
    if (typeof value === 'bigint') {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    if (value instanceof DuckDBTimestampTZValue && value.micros <= LAST_MICROS && value.micros >= -LAST_MICROS)
      return instantOf(value.micros);
    return JsonDuckDBValueConverter(value, type, self);
  };

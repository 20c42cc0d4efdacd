import type { DuckDBConnection } from '@duckdb/node-api';

/**
 * Functions that a statement may read rows from. Others of DuckDB open files, change how it works (`enable_logging` prints to stdout), or run
 * a text as SQL (`query`). What a later version brings is refused until it stands here.
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

/** Functions for a value that do more than compute it: one writes to the log, the other holds up the statement without an end. */
export const effects: ReadonlySet<string> = new Set(['sleep_ms', 'write_log']);

/** `other`: no statement that selects, or none that can be read. `fault` says what a statement does beside reading. */
export type Reading = { readonly kind: 'plain' | 'other' } | { readonly kind: 'fault'; readonly reason: string };

/**
 * Says whether a text only reads, by the tree that DuckDB's own parser makes of it, before anything of it is bound. Functions cannot hide:
 * what runs a text as SQL is refused, and the tree has names as they are called.
 */
export const readingOf = async (connection: DuckDBConnection, sql: string): Promise<Reading> => {
  const parse = await connection.prepare('select json_serialize_sql($1::varchar)');
  parse.bindVarchar(1, sql);
  const [[text] = []] = (await parse.runAndReadAll()).getRows();
  const parsed = parsedJson(String(text));
  if (parsed === undefined) return { kind: 'fault', reason: 'it has a number that no double can hold' };
  if (!isObject(parsed) || parsed['error'] !== false) return { kind: 'other' };
  const reason = firstFault(parsed['statements']);
  return reason === undefined ? { kind: 'plain' } : { kind: 'fault', reason };
};

/** Undefined for what is no JSON: DuckDB writes the infinity that `1e400` is as it is. */
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

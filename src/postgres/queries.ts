import { DrizzleQueryError } from 'drizzle-orm';
import { NodePgDatabase, NodePgSession } from 'drizzle-orm/node-postgres';
import { type PgColumn, PgDialect, type PgPreparedQuery, type PreparedQueryConfig } from 'drizzle-orm/pg-core';
import type { SelectResultFields } from 'drizzle-orm/query-builders/select.types';
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './pool.ts';
import { sqlState } from './sql-state.ts';

/**
 * Runs statements that can change nothing, each with a time limit, and with times as text in UTC. Compiling a statement costs more than
 * it saves if only a page of rows is wanted: off. On abort they are cancelled.
 */
export const readOnly = async <T>(
  pool: Pool,
  timeoutMs: number,
  run: (client: PoolClient) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> => {
  if (!Number.isSafeInteger(timeoutMs)) throw new Error('the time limit must be an integer');
  return await inTransaction(
    pool,
    async (client) => {
      await client.query(
        `set transaction read only; set local statement_timeout = ${timeoutMs}; set local timezone = 'UTC';` +
          " set local datestyle = 'ISO'; set local jit = off",
      );
      return await run(client);
    },
    signal,
  );
};

/** True if the server ended a statement because its time was over. */
export const isTimeout = (error: unknown): boolean => sqlState(error) === '57014';

/** Its transactions are left out: `inTransaction` and `readOnly` know what to do about a connection that breaks, and give their client. */
type Db = Omit<NodePgDatabase, 'transaction'>;

/** A row of what a statement selects: `select(columns)` without a join that may add nulls, or `returning(columns)`. */
export type Row<Columns> = Readonly<SelectResultFields<Columns>>;

/**
 * The query builder over a pool, or over the connection of a transaction. It throws what `query` of these throws, never an error with the
 * parameters of the statement: among them are hashes of tokens, and errors are logged.
 */
export const db = (client: Pool | PoolClient): Db => {
  const dialect = new PgDialect();
  return new NodePgDatabase(dialect, new Session(client, dialect, undefined), undefined);
};

/**
 * What a statement that is written in SQL selects of a table: `e.action_type as "actionType"`, so that its rows are of the types of the
 * schema. Numbers of 64 bits come as numbers.
 */
export const selectList = (alias: string, columns: Readonly<Record<string, PgColumn>>): string =>
  Object.entries(columns)
    .map(([field, column]) => {
      const cast = column.getSQLType() === 'bigint' ? '::float8' : '';
      return `${alias}.${column.name}${cast} as "${field}"`;
    })
    .join(', ');

type Empty = Record<string, never>;

class Session extends NodePgSession<Empty, Empty> {
  override prepareQuery<T extends PreparedQueryConfig>(
    ...query: Parameters<NodePgSession<Empty, Empty>['prepareQuery']>
  ): PgPreparedQuery<T> {
    const prepared = super.prepareQuery<T>(...query);
    const execute = prepared.execute.bind(prepared);
    prepared.execute = (values) => execute(values).catch(throwCause);
    return prepared;
  }
}

const throwCause = (error: unknown): never => {
  throw error instanceof DrizzleQueryError ? error.cause : error;
};

/** For JSON.stringify: PostgreSQL keeps neither NUL nor half a surrogate pair. */
export const storable = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : value;

import { DrizzleQueryError } from 'drizzle-orm';
import { NodePgDatabase, NodePgSession } from 'drizzle-orm/node-postgres';
import { type PgColumn, PgDialect, type PgPreparedQuery, type PreparedQueryConfig } from 'drizzle-orm/pg-core';
import type { SelectResultFields } from 'drizzle-orm/query-builders/select.types';
import { type Connection, type Pool, type PoolClient, Query, type QueryResult, type QueryResultRow } from 'pg';
import { inTransaction, onConnection } from './pool.ts';
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

/** What the driver's queries and connections have beside what its types say. */
interface ExtendedQuery {
  callback: (error: Error | null, result: QueryResult) => void;
  prepare: (connection: Connection) => void;
}

const BIND = 0x42;
/** A message that is copied: to give a socket a hundred pieces costs more. */
const SMALL_BYTES = 200_000;
const TEXT_FORMAT = 0;
const BINARY_FORMAT = 1;

/** A parameter: its text, or the binary format of its type. */
export type PageParameter = string | number | boolean | null | Buffer | readonly (string | number)[];

/**
 * Runs a statement whose parameters are large. The driver would copy them into a message that grows with each of them, several
 * megabytes of memory a page; here they go to the socket as they are. They must stay as they are until this resolves; if it
 * rejects, the connection is closed, and may still be reading from them. Errors are those of `Pool.query`.
 */
export const pageQuery = async <Row extends QueryResultRow>(
  pool: Pool,
  text: string,
  parameters: readonly PageParameter[],
): Promise<QueryResult<Row>> =>
  await onConnection(
    pool.connect(),
    (client) =>
      new Promise<QueryResult<Row>>((resolve, reject) => {
        const query = new Query({ text, queryMode: 'extended' } as { text: string }) as Query & ExtendedQuery;
        query.callback = (error, rows) => (error === null ? resolve(rows as QueryResult<Row>) : reject(error));
        query.prepare = (connection) => {
          connection.parse({ name: '', text, types: [] }, true);
          for (const piece of bindMessage(parameters)) connection.stream.write(piece);
          connection.describe({ type: 'P', name: '' }, true);
          connection.execute({ portal: '' }, true);
          connection.sync();
        };
        client.query(query);
      }),
  );

/** The message that gives the parameters to the unnamed statement: in one piece if it is small, else in many, none of them copied. */
const bindMessage = (parameters: readonly PageParameter[]): readonly Buffer[] => {
  const values = parameters.map((value) =>
    value === null || Buffer.isBuffer(value) ? value : Buffer.from(textOf(value)),
  );
  // Two empty names, how many formats, these, how many parameters; at the end one format for all columns of the result.
  const head = Buffer.alloc(5 + 2 + 2 + values.length * 2 + 2);
  let at = 7;
  at = head.writeInt16BE(values.length, at);
  for (const parameter of parameters)
    at = head.writeInt16BE(Buffer.isBuffer(parameter) ? BINARY_FORMAT : TEXT_FORMAT, at);
  head.writeInt16BE(values.length, at);
  const end = Buffer.alloc(4);
  end.writeInt16BE(1, 0);
  end.writeInt16BE(TEXT_FORMAT, 2);
  const pieces = [head, ...values.flatMap((value) => [lengthOf(value), ...(value === null ? [] : [value])]), end];
  head[0] = BIND;
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  head.writeInt32BE(size - 1, 1);
  return size <= SMALL_BYTES ? [Buffer.concat(pieces, size)] : pieces;
};

const lengthOf = (value: Buffer | null): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(value?.length ?? -1, 0);
  return length;
};

const textOf = (value: Exclude<PageParameter, null | Buffer>): string =>
  typeof value === 'object'
    ? `{${value.map((element) => (typeof element === 'number' ? element : `"${element.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`
    : String(value);

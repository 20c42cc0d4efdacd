import { Pool, type PoolClient } from 'pg';
import { OrgtrailError } from '../errors.ts';

/** How long a new connection may take: a database that does not answer is said to be unreachable, not waited for. */
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The connections of one process. Sends no startup parameters but the name, so that it works behind pgbouncer in
 * transaction mode. `onIdleError` hears of connections that broke while nobody used them (a restart of the server).
 */
export const createPool = (databaseUrl: string, max: number, onIdleError: (error: Error) => void): Pool => {
  const pool = new Pool({
    connectionString: databaseUrl,
    max,
    application_name: 'orgtrail',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  pool.on('error', onIdleError);
  return pool;
};

/** Runs statements in one transaction, on a connection of its own. Only for what one statement cannot do. */
export const inTransaction = async <T>(pool: Pool, run: (client: PoolClient) => Promise<T>): Promise<T> => {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onError = (error: Error) => {
    broken = error;
  };
  // A connection that breaks also fails its statement; without a listener it would end the process as well.
  client.on('error', onError);
  try {
    await client.query('begin');
    const result = await run(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(onError);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
};

/** Throws OrgtrailError `database_unreachable` (exit 4), with the server's own words and without the password. */
export const requireReachable = async (pool: Pool, databaseUrl: string): Promise<void> => {
  try {
    await pool.query('select 1');
  } catch (error) {
    throw new OrgtrailError('database_unreachable', `PostgreSQL at ${describeUrl(databaseUrl)}: ${reasonOf(error)}`, {
      hint: 'check DATABASE_URL (postgres://USER:PASSWORD@HOST:5432/DATABASE), that the server runs, and that it lets this host in',
      cause: error,
    });
  }
};

/** Host, port and database of a connection string, never its credential. For messages. */
export const describeUrl = (databaseUrl: string): string => {
  try {
    const url = new URL(databaseUrl);
    return `${url.host || 'localhost'}${url.pathname}`;
  } catch {
    return '(a DATABASE_URL that cannot be read)';
  }
};

/** What went wrong, in the words of the driver or the server; a refused connection to several addresses has only a code. */
export const reasonOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((inner: unknown) => reasonOf(inner)).join('; ');
  }
  return error instanceof Error ? error.message || error.name : String(error);
};

const dataFaultClasses = ['22', '54'];

/** SQLSTATE of an error of the server; undefined for faults of the connection and for bugs. */
export const sqlState = (error: unknown): string | undefined => {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
};

/** What to do where the account lacks a right (SQLSTATE 42501); undefined for any other error. */
export const explainForbidden = (error: unknown): OrgtrailError | undefined => {
  if (sqlState(error) !== '42501' || !(error instanceof Error)) return undefined;
  return new OrgtrailError('configuration', `the database account may not do this: ${error.message}`, {
    hint: 'as the owner run `orgtrail migrate --roles`, then grant orgtrail_ingest (or for reading orgtrail_reader) to the account',
    cause: error,
  });
};

/** True where the server refused the data itself (class 22: data exception, 54: a limit such as the stack depth). */
export const isDataFault = (error: unknown): boolean => dataFaultClasses.includes(sqlState(error)?.slice(0, 2) ?? '');

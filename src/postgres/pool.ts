import {
  Client,
  type ClientBase,
  type ClientConfig,
  type Connection,
  Pool,
  type PoolClient,
  type QueryConfig,
} from 'pg';
import { codeOf, OrgtrailError, reasonOf } from '../base/errors.ts';
import { connectionStringOf, type DatabaseUrl, readDatabaseUrl } from './database-url.ts';
import { databaseCause, databaseTrouble, sqlState } from './sql-state.ts';

/** The type of the driver's pool, for rooms that pass one on and run no SQL. */
export type { Pool } from 'pg';

/**
 * How long a new connection may take: a database that does not answer is said to be unreachable, not waited for.
 * `?connect_timeout=` in the URL (seconds, as libpq has it) sets another limit.
 */
const CONNECT_TIMEOUT_MS = 10_000;
/**
 * How long a statement may take, a thousand times what the commit of a full page does. Without a limit, a connection whose
 * other end has gone silently would be waited on indefinitely. `?query_timeout=` in the URL sets another one.
 */
const STATEMENT_TIMEOUT_MS = 60_000;
/** For what may rightly take long: migrations, and waiting for another replica that migrates. */
export const LONG_STATEMENT_TIMEOUT_MS = 1_800_000;
/**
 * A connection that was just opened pays for its first page of each statement: 50 ms of CPU. Ticks are seconds apart, and the driver's own limit is
 * 10 s.
 */
const IDLE_TIMEOUT_MS = 60_000;
/** The kernel's own is two hours. */
const KEEP_ALIVE_AFTER_MS = 10_000;
const CLEAR_TEXT_REFUSED = 'the server asks for the password in clear text, over a connection without encryption';

/**
 * The connections of one process. Sends no startup parameters but the name, so that it works behind pgbouncer in
 * transaction mode. `onIdleError` is called for connections that broke while idle (a restart of the server), `onJump`
 * hears in the server's words that a statement of this process let positions jump (after a failover).
 */
export const createPool = (
  databaseUrl: DatabaseUrl,
  max: number,
  onIdleError: (error: Error) => void,
  onJump: (words: string) => void = () => {},
): Pool => {
  const config = clientConfig(databaseUrl);
  const pool = new Pool({
    ...config,
    Client: clientClass(databaseUrl),
    max,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    onConnect: prepare(onJump),
  });
  pool.on('error', onIdleError);
  return pool;
};

/**
 * Compiling a page's statement, which touches every partition, takes a second each time, and running it milliseconds. (A server built
 * without LLVM, as the embedded one, has no such thing.) Behind pgbouncer it holds for the server connection that it meets.
 *
 * After a failover every connection is a new one, so comparing timelines here comes before anything else on the new server.
 */
const prepare =
  (onJump: (words: string) => void) =>
  async (client: ClientBase): Promise<void> => {
    client.on('notice', ({ code, message }) => {
      if (code === JUMP_WARNING) onJump(message ?? '');
    });
    await client.query(`set jit = off; ${END_WITH_CLIENT}; ${READ_AS_WRITTEN}; ${compareTimeline}`);
  };

/**
 * The server ends a statement whose connection was closed. Otherwise it would go on with it, or wait for a lock, and each new
 * attempt would add another such backend until no connection is left. A server on Windows cannot look, and refuses the setting.
 */
const END_WITH_CLIENT = `select set_config('client_connection_check_interval', '1s', false)
  where version() !~* 'windows|visual c|mingw|msvc'`;

/** Whatever a role or a database sets: numbers keep all their digits, and the tables, which are in `public`, are found. */
const READ_AS_WRITTEN = `set extra_float_digits = 1;
  select set_config('search_path', concat_ws(', ', 'public', nullif(current_setting('search_path'), '')), false)
    where not 'public' = any(current_schemas(false))`;

/** One dedicated connection, not yet connected: for LISTEN. */
export const createClient = (databaseUrl: DatabaseUrl): Client =>
  new (clientClass(databaseUrl))(clientConfig(databaseUrl));

/**
 * The driver's client, with the password and the TLS options of each connection read when it is made: they are renewed, and a daemon runs
 * for months. It sends no password as clear text over a connection without TLS, unless the URL says sslmode=disable.
 */
const clientClass = (databaseUrl: DatabaseUrl): typeof Client => {
  const { tls } = readDatabaseUrl(latestUrl(databaseUrl));
  return class extends Client {
    constructor(config?: string | ClientConfig) {
      const connectionString = connectionStringOf(latestUrl(databaseUrl));
      super(typeof config === 'string' ? config : { ...config, connectionString, ...(tls && { ssl: tls() }) });
    }

    /** What the driver calls if the server asks for the password itself. */
    protected _handleAuthCleartextPassword(message: unknown): void {
      if (tls !== undefined || this.host.startsWith('/')) sendClearText.call(this, message);
      else refuseClearText(this);
    }
  };
};

const { _handleAuthCleartextPassword: sendClearText } = Client.prototype as unknown as {
  _handleAuthCleartextPassword(message: unknown): void;
};

const refuseClearText = (client: Client): void => {
  const { connection } = client as unknown as { readonly connection: Connection };
  connection.emit('error', new Error(CLEAR_TEXT_REFUSED));
  connection.stream.destroy();
};

const latestUrl = (databaseUrl: DatabaseUrl): string => (typeof databaseUrl === 'string' ? databaseUrl : databaseUrl());

const clientConfig = (databaseUrl: DatabaseUrl) => {
  const { connectionString, sslnegotiation, connectTimeoutMs } = readDatabaseUrl(latestUrl(databaseUrl));
  return {
    connectionString,
    ...(sslnegotiation && { sslnegotiation }),
    application_name: 'orgtrail',
    connectionTimeoutMillis: connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
  };
};

/** A statement that may take much longer than others. */
export const longStatement = (text: string, values: unknown[] = []): QueryConfig => {
  const config = { text, values, query_timeout: LONG_STATEMENT_TIMEOUT_MS };
  return config;
};

/**
 * Runs statements in one transaction, on a connection of its own. Only for what one statement cannot do. Should this
 * process vanish in the middle, the server lets go of the locks after a minute. On abort its statement is cancelled and its connection
 * closed.
 */
export const inTransaction = async <T>(
  pool: Pool,
  run: (client: PoolClient) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> => {
  const client = await acquire(pool, signal);
  let broken: Error | undefined;
  const onError = (error: Error) => {
    broken = error;
  };
  // A connection that breaks also fails its statement; without a listener it would end the process as well.
  client.on('error', onError);
  try {
    // Local to the transaction: nothing of it stays on a connection that a pooler shares.
    await client.query("begin; set local idle_in_transaction_session_timeout = '60s'");
    const result = await abandonOnAbort(run(client), signal);
    await client.query('commit');
    return result;
  } catch (error) {
    // On a connection that is broken or does not answer, closing it is all that can be done: the server rolls back.
    if (sqlState(error) === undefined && !(error instanceof OrgtrailError)) broken ??= asError(error);
    else await client.query('rollback').catch(onError);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
};

/** As above, without a transaction: the connection is closed if `run` rejects. */
export const onConnection = async <T>(connecting: Promise<PoolClient>, run: (client: PoolClient) => Promise<T>) => {
  const client = await connecting;
  const onError = () => {};
  client.on('error', onError);
  try {
    const result = await run(client);
    client.release();
    return result;
  } catch (error) {
    client.release(asError(error));
    throw error;
  } finally {
    client.off('error', onError);
  }
};

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** Throws OrgtrailError `database_unreachable` (exit 4), with the server's own words and without the password. */
export const requireReachable = async (pool: Pool, databaseUrl: string): Promise<void> => {
  try {
    await pool.query('select 1');
  } catch (error) {
    throw new OrgtrailError('database_unreachable', `PostgreSQL at ${describeUrl(databaseUrl)}: ${reasonOf(error)}`, {
      hint: adviceOn(error),
      cause: error,
    });
  }
};

/** By code (Node's, or a SQLSTATE) or words: what to try. */
const advice: readonly (readonly [what: RegExp, hint: string])[] = [
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY_LEAF|GET_ISSUER)|CERT_SIGNATURE/,
    "name the CA that signed the server's certificate: sslrootcert=/path/to/ca.pem in DATABASE_URL",
  ],
  [
    /ERR_TLS_CERT_ALTNAME/,
    "connect by a name or address that the server's certificate has, or have it made for this one",
  ],
  [/CERT_(HAS_EXPIRED|NOT_YET_VALID)/, "renew the server's certificate, or check the clocks"],
  [/does not support SSL/, 'turn ssl on in the server; sslmode=disable only if the network in between is trusted'],
  [/no encryption|SSL off/, 'the server requires TLS: add sslmode=verify-full to DATABASE_URL'],
  [
    /clear text/,
    'encrypt the connection (sslmode=verify-full in DATABASE_URL), or make the server use scram-sha-256; sslmode=disable sends the password anyway',
  ],
  [
    /client certificate|ALERT/i,
    'the server requires a client certificate that it trusts: sslcert=/path and sslkey=/path in DATABASE_URL',
  ],
];

const adviceOn = (error: unknown): string => {
  const code = codeOf(error) ?? '';
  if (databaseTrouble(error) === 'full') return `the disk of the database is full: ${databaseCause(error).action}`;
  return (
    advice.find(([what]) => what.test(`${code} ${reasonOf(error)}`))?.[1] ??
    'check DATABASE_URL (postgres://USER:PASSWORD@HOST:5432/DATABASE), that the server runs, and that it accepts this host'
  );
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

/** SQLSTATE of the warning that the database gives when positions jump (drizzle/schema/feed.sql). */
const JUMP_WARNING = 'OT001';

/**
 * Has the database compare the timeline of the server with that of the last commit, and let positions jump if it is another one.
 * Does nothing for an account that gives out no positions, on a server that is read-only, and before the migration. Every commit
 * compares as well: this is so that readers learn of a jump early.
 */
export const compareTimeline = `do $$ begin
  if has_function_privilege(to_regprocedure('orgtrail_check_timeline()'), 'execute') then perform orgtrail_check_timeline(); end if;
end $$`;

/**
 * Has the database note that it is at work, if nothing has for some seconds: the next jump is not longer for a time without events.
 * Does nothing where `compareTimeline` does nothing.
 */
export const noteAlive = `do $$ begin
  if has_function_privilege(to_regprocedure('orgtrail_note_alive()'), 'execute') then perform orgtrail_note_alive(); end if;
end $$`;

/** SQL for the positions after `from`, up to and with `to`, that a jump left out. Both are SQL expressions. */
export const leftOut = (from: string, to: string): string =>
  `(select coalesce(sum(least(j.to_position, ${to}) - greatest(j.from_position, ${from})), 0) from position_jumps j
     where j.to_position > ${from} and j.from_position < ${to})`;

/** A statement was given up because the one who asked has gone. */
export class AbandonedError extends Error {
  override readonly name = 'AbandonedError';
}

/** A connection of the pool. Rejects with AbandonedError on abort; then what was waited for goes back when it comes. */
export const acquire = async (pool: Pool, signal: AbortSignal | undefined): Promise<PoolClient> => {
  const connecting = pool.connect();
  try {
    return await abandonOnAbort(connecting, signal);
  } catch (error) {
    if (error instanceof AbandonedError) {
      connecting.then(
        (client) => client.release(),
        () => {},
      );
    }
    throw error;
  }
};

/**
 * What `work` comes to, or AbandonedError as soon as the signal aborts. Who then releases the connection with that error makes the
 * pool close it, and the server end what it has under way.
 */
export const abandonOnAbort = async <T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(new AbandonedError('the statement was abandoned'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

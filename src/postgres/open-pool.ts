import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import type { Logger } from 'pino';
import { BusyError } from '../base/errors.ts';
import { ConcurrencyLimit } from '../base/limits.ts';
import type { DatabaseUrl } from './database-url.ts';
import { createPool } from './pool.ts';

/** A connection attempt that hangs must not hold up a stop. */
const CLOSE_TIMEOUT_MS = 2_000;

interface OpenPoolOptions {
  readonly url: DatabaseUrl;
  /** Connections at most. */
  readonly size: number;
  readonly logger: Logger;
  /**
   * What the connections are for, if many may ask for them at once: statements then queue for a connection and are refused as busy
   * (shared-pool.ts). Default: statements wait as long as a new connection may take.
   */
  readonly sharedFor?: string;
}

interface OpenPool {
  readonly pool: Pool;
  /** Ends the connections; returns after 2 s even if one of them hangs. */
  close(): Promise<void>;
}

/** Opens a pool that logs what happens to its connections. No connection is made yet. */
export const openPool = ({ url, size, logger, sharedFor }: OpenPoolOptions): OpenPool => {
  let isClosing = false;
  // A server of our own stops right behind the pool, and a connection that it has not seen ending yet is told so.
  const onIdleError = ({ message: reason }: Error) => {
    if (!isClosing) logger.warn({ reason }, 'lost an idle database connection');
  };
  const onJump = (reason: string) =>
    logger.warn({ reason }, 'the database failed over or was restored; positions jump');
  const pool =
    sharedFor === undefined
      ? createPool(url, size, onIdleError, onJump)
      : createSharedPool(url, { max: size, what: sharedFor }, onIdleError, onJump);
  return {
    pool,
    close: async () => {
      isClosing = true;
      await Promise.race([pool.end(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
    },
  };
};

/** How long a statement waits for one of the connections that are all in use. */
const QUEUE_TIMEOUT_MS = 10_000;
const RETRY_AFTER_SECONDS = 5;

interface SharedPoolOptions {
  readonly max: number;
  /** What the connections are for, in a message. */
  readonly what: string;
  /** How long a statement waits for a connection. Default 10 s. */
  readonly maxWaitMs?: number;
}

type Callback = (error: Error | undefined, client?: PoolClient, release?: PoolClient['release']) => void;

/**
 * As `createPool`, for what many may ask for at once. If all connections are in use, a statement waits at most
 * `maxWaitMs`, and then rejects with BusyError: that all are in use does not mean that the database does not answer.
 */
export const createSharedPool = (
  databaseUrl: DatabaseUrl,
  { max, what, maxWaitMs = QUEUE_TIMEOUT_MS }: SharedPoolOptions,
  onIdleError: (error: Error) => void,
  onJump?: (words: string) => void,
): Pool => {
  const pool = createPool(databaseUrl, max, onIdleError, onJump);
  const limit = new ConcurrencyLimit({
    maxRunning: max,
    maxWaiting: Number.POSITIVE_INFINITY,
    maxWaitMs,
    busy: () =>
      new BusyError(
        `busy: all ${max} connections for ${what} have been in use for ${maxWaitMs / 1_000} s`,
        RETRY_AFTER_SECONDS,
      ),
  });
  const places = new WeakMap<PoolClient, () => void>();
  pool.on('release', (_error, client) => places.get(client)?.());
  const connect = pool.connect.bind(pool) as () => Promise<PoolClient>;
  const queued = async (): Promise<PoolClient> => {
    const leave = await limit.acquire();
    try {
      const client = await connect();
      places.set(client, leave);
      return client;
    } catch (error) {
      leave();
      throw error;
    }
  };
  // The pool's own `query` asks with a callback.
  const connectQueued = (callback?: Callback): Promise<PoolClient> | undefined => {
    if (callback === undefined) return queued();
    queued().then(
      (client) => callback(undefined, client, client.release),
      (error) => callback(error),
    );
    return undefined;
  };
  pool.connect = connectQueued as Pool['connect'];
  return pool;
};

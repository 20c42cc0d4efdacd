import type { Pool, PoolClient } from 'pg';
import { BusyError } from '../errors.ts';
import { ConcurrencyLimit } from '../limits/concurrency-limit.ts';
import type { DatabaseUrl } from './database-url.ts';
import { createPool } from './pool.ts';

/** How long a statement waits for one of the connections that are all in use. */
const QUEUE_TIMEOUT_MS = 10_000;
const RETRY_AFTER_SECONDS = 5;

export interface SharedPoolOptions {
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

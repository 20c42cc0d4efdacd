import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DatabaseUrl } from './database-url.ts';
import { createPool } from './pool.ts';
import { createSharedPool } from './shared-pool.ts';

/** A connection attempt that hangs must not hold up a stop. */
const CLOSE_TIMEOUT_MS = 2_000;

export interface OpenPoolOptions {
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

export interface OpenPool {
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

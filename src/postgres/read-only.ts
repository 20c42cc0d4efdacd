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

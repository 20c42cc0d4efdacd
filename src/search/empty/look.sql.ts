import type { Pool } from 'pg';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';

/** Of one statement, so that one that no index helps with leaves time for the others. */
const LOOK_MS = 1_000;
const LEAST_LOOK_MS = 20;

/** Runs a statement within the time that is left; undefined if that is over. */
export type Look = <T extends object>(sql: string, values: readonly unknown[]) => Promise<readonly T[] | undefined>;

/** For several statements that together may take so long. */
export const lookWithin = (pool: Pool, totalMs: number): Look => {
  const deadlineMs = performance.now() + totalMs;
  return async <T extends object>(sql: string, values: readonly unknown[]) => {
    const remainingMs = Math.floor(Math.min(LOOK_MS, deadlineMs - performance.now()));
    if (remainingMs < LEAST_LOOK_MS) return undefined;
    try {
      const { rows } = await readOnly(pool, remainingMs, (client) => client.query<T>(sql, [...values]));
      return rows;
    } catch (error) {
      if (isTimeout(error)) return undefined;
      throw error;
    }
  };
};

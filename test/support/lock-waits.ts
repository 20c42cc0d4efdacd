import { setTimeout as pause } from 'node:timers/promises';
import type { Pool } from 'pg';

const DEADLINE_MS = 30_000;

/** Resolves with the process ids of the backends of this database that wait for a lock, once there are that many. */
export const waitingBackends = async (pool: Pool, count: number): Promise<readonly number[]> => {
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const { rows } = await pool.query<{ pid: number }>(
      `select pid from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and state = 'active' order by query_start, pid`,
    );
    if (rows.length >= count) return rows.map((row) => row.pid);
    if (performance.now() > deadlineMs) throw new Error(`no ${count} backends came to wait for a lock`);
    await pause(5);
  }
};

/** Holds the locks that a statement takes while `during` runs, then lets them go. */
export const withLock = async <T>(pool: Pool, statement: string, during: () => Promise<T>): Promise<T> => {
  const holder = await pool.connect();
  try {
    await holder.query('begin');
    await holder.query(statement);
    return await during();
  } finally {
    await holder.query('rollback');
    holder.release();
  }
};

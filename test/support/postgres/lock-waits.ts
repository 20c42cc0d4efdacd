import type { Pool } from 'pg';
import { until } from '../process/until.ts';

/** Resolves with the process ids of the clients' backends of this database that wait for a lock, once there are that many. Autovacuum may wait, too. */
export const waitingBackends = async (pool: Pool, count: number): Promise<readonly number[]> => {
  let pids: readonly number[] = [];
  await until(`${count} backends wait for a lock`, async () => {
    const { rows } = await pool.query<{ pid: number }>(
      `select pid from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and state = 'active' and backend_type = 'client backend'
       order by query_start, pid`,
    );
    pids = rows.map((row) => row.pid);
    return pids.length >= count;
  });
  return pids;
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

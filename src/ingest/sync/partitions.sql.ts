import type { Pool } from 'pg';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';

const LOCK_NOT_AVAILABLE = '55P03';
/** Before that there was no Cloudflare, and the database makes no month. */
const FIRST_MONTH_MS = Date.UTC(2009, 0, 1);

/**
 * Creates the monthly partitions of audit_events from `sinceMs` to two months from now, if they are missing.
 * Called hourly by discovery. Returns how many it made: none if a long transaction reads the table, or another replica makes them, too;
 * the default partition takes the rows, and the next call moves them.
 */
export const createPartitions = async (pool: Pool, sinceMs: number): Promise<number> => {
  // It may have to move rows.
  const statement = longStatement(
    `select orgtrail_create_partitions(to_timestamp($1::float8 / 1000), clock_timestamp() + interval '2 months') as created`,
    [Math.max(sinceMs, FIRST_MONTH_MS)],
  );
  try {
    const { rows } = await pool.query<{ created: number }>(statement);
    return rows[0]?.created ?? 0;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return 0;
    throw error;
  }
};

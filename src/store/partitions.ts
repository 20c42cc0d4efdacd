import type { Pool } from 'pg';
import { longStatement } from './pool.ts';

/**
 * Creates the monthly partitions of audit_events from `sinceMs` to two months from now, where they are missing.
 * Called hourly by discovery. Returns how many it made.
 */
export const createPartitions = async (pool: Pool, sinceMs: number): Promise<number> => {
  const { rows } = await pool.query<{ created: number }>(
    // It may have to move rows.
    longStatement(
      `select orgtrail_create_partitions(to_timestamp($1::float8 / 1000), clock_timestamp() + interval '2 months') as created`,
      [sinceMs],
    ),
  );
  return rows[0]?.created ?? 0;
};

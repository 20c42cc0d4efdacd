import type { Pool, PoolClient } from 'pg';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';

/** A ray id that more events have is found by looking through the time, newest first. */
const MAX_POSITIONS = 1_000;
const TIMEOUT_MS = 2_000;

/**
 * The index of ray ids has a filter for each MB of a month: it says where a ray id cannot be. The planner takes it to be no better than
 * reading everything, so that it is told to use it; here alone, since other conditions have better indexes.
 */
export const byFilters =
  'set local enable_seqscan = off; set local enable_indexscan = off; set local enable_indexonlyscan = off; set local max_parallel_workers_per_gather = 0';

export const rayStatement = `select position::float8 as position from audit_events where raw_cf_ray_id = $1 limit ${MAX_POSITIONS + 1}`;

/** The positions of all events with this ray id; undefined if they are many, or could not be looked up in time. */
export const rayPositions = async (
  pool: Pool,
  ray: string,
  timeoutMs: number,
): Promise<readonly number[] | undefined> => {
  try {
    const rows = await readOnly(pool, Math.min(TIMEOUT_MS, timeoutMs), (client) => rowsOf(client, ray));
    return rows.length > MAX_POSITIONS ? undefined : rows.map(({ position }) => position);
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

const rowsOf = async (client: PoolClient, ray: string): Promise<readonly { position: number }[]> => {
  await client.query(byFilters);
  return (await client.query<{ position: number }>(rayStatement, [ray])).rows;
};

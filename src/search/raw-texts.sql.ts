import type { Pool, PoolClient } from 'pg';
import { readOnly } from '../postgres/read-only.ts';
import type { FoundEvent } from './found-event.ts';

const TIMEOUT_MS = 30_000;

/** The stored texts of events that a search found, by position. The caller limits how many bytes that are (`rawBytes`). */
export const readRawTexts = async (
  pool: Pool,
  events: readonly FoundEvent[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, string>> => {
  const read = (client: PoolClient) =>
    client.query<{ position: number; raw: string }>(
      // The times say which partitions: a position alone would be looked for in all of them.
      `select position::float8 as position, raw::text as raw from audit_events
       where position = any($1::bigint[]) and action_time = any($2::timestamptz[])`,
      [events.map(({ position }) => position), [...new Set(events.map(({ sortTime }) => sortTime))]],
    );
  const { rows } = await readOnly(pool, TIMEOUT_MS, read, signal);
  return new Map(rows.map(({ position, raw }) => [position, raw]));
};

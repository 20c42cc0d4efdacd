import type { Pool, PoolClient } from 'pg';
import { isGone } from '../../feed/feed.sql.ts';

/** A month of events that are neither in the database nor in an archive. */
export interface DroppedMonth {
  /** Such as `2024-01`. */
  readonly month: string;
  readonly events: number;
}

/**
 * Months whose events retention dropped without an archive, as far as the time searched touches them: the oldest first. Times are RFC 3339. A drop
 * does not say whose events they were, so they are those of all organizations.
 */
export const readDroppedMonths = async (
  client: Pool | PoolClient,
  { since, before }: { readonly since: string | undefined; readonly before: string | undefined },
): Promise<readonly DroppedMonth[]> => {
  const { rows } = await client.query<DroppedMonth>(
    `select to_char(month, 'YYYY-MM') as month, sum(events)::float8 as events from retention_drops d
     where events > 0 and ${isGone('d', { hasArchive: true })}
       and (month + interval '1 month') at time zone 'UTC' > coalesce($1::timestamptz, '-infinity')
       and month::timestamp at time zone 'UTC' < coalesce($2::timestamptz, 'infinity')
     group by 1 order by 1`,
    [since ?? null, before ?? null],
  );
  return rows;
};

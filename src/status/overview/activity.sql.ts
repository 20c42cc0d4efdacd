import { desc, eq } from 'drizzle-orm';
import type { Pool } from 'pg';
import { keyOf } from '../../ingest/planning/source.ts';
import { db } from '../../postgres/db.ts';
import { longStatement } from '../../postgres/pool.ts';
import { organizationChanges, organizations } from '../../postgres/tables/organizations.ts';
import type { Activity, OrganizationChange } from './overview.ts';

/**
 * Events of the last `hours` hours, this one included. Reads one or two monthly partitions, and of them an index if
 * that is worth it. Called by the console, which keeps the answer for a while.
 */
export const readActivity = async (pool: Pool, hours: number): Promise<Activity> => {
  const { rows } = await pool.query<{
    start_ms: number | null;
    source_kind: string;
    source_id: string;
    events: number;
  }>(
    longStatement(
      `select (extract(epoch from hour) * 1000)::float8 as start_ms, source_kind, source_id, count(*)::float8 as events
       from (
         select source_kind, source_id, date_bin('1 hour', action_time, 'epoch') as hour from audit_events
         where action_time >= date_bin('1 hour', now(), 'epoch') - make_interval(hours => $1::integer - 1)
           and action_time < date_bin('1 hour', now(), 'epoch') + interval '1 hour') e
       group by grouping sets ((hour), (source_kind, source_id))
       union all
       select (extract(epoch from hour) * 1000)::float8, null, null, 0
       from generate_series(date_bin('1 hour', now(), 'epoch') - make_interval(hours => $1::integer - 1), now(), interval '1 hour') hour`,
      [hours],
    ),
  );
  const byHour = new Map<number, number>();
  const bySource = new Map<string, number>();
  for (const { start_ms: startMs, source_kind: kind, source_id: id, events } of rows) {
    if (startMs !== null) byHour.set(startMs, (byHour.get(startMs) ?? 0) + events);
    else bySource.set(keyOf({ kind, id }), events);
  }
  const sorted = [...byHour].sort(([a], [b]) => a - b);
  return { hours: sorted.map(([startMs, events]) => ({ startMs, events })), bySource };
};

/** The latest changes of organizations, newest first; of one of them if `organizationId` is given. */
export const readOrganizationChanges = async (
  pool: Pool,
  limit: number,
  organizationId?: string,
): Promise<readonly OrganizationChange[]> => {
  const { id, organizationId: changed, change, oldValue, newValue, changedAt } = organizationChanges;
  return await db(pool)
    .select({ organizationId: changed, organizationName: organizations.name, change, oldValue, newValue, changedAt })
    .from(organizationChanges)
    .leftJoin(organizations, eq(organizations.id, changed))
    .where(organizationId === undefined ? undefined : eq(changed, organizationId))
    .orderBy(desc(id))
    .limit(limit);
};

/** How many entries came again with other content; no more than `most` are counted. */
export const countChangedEntries = async (pool: Pool, most: number): Promise<number> => {
  const { rows } = await pool.query<{ changed: number }>(
    'select count(*)::integer as changed from (select from audit_event_changes limit $1) c',
    [most],
  );
  return rows[0]?.changed ?? 0;
};

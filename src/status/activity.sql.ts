import type { Pool } from 'pg';
import { longStatement } from '../postgres/pool.ts';
import type { Activity, OrganizationChange } from './overview.ts';

/**
 * Events of the last `hours` hours, this one included. Reads one or two monthly partitions, and of them an index if
 * that is worth it. Called by the console, which keeps the answer for a while.
 */
export const readActivity = async (pool: Pool, hours: number): Promise<Activity> => {
  const { rows } = await pool.query<{ start_ms: number | null; source_id: string | null; events: number }>(
    longStatement(
      `select (extract(epoch from hour) * 1000)::float8 as start_ms, source_id, count(*)::float8 as events
       from (
         select source_id, date_bin('1 hour', action_time, 'epoch') as hour from audit_events
         where action_time >= date_bin('1 hour', now(), 'epoch') - make_interval(hours => $1::integer - 1)
           and action_time < date_bin('1 hour', now(), 'epoch') + interval '1 hour') e
       group by grouping sets ((hour), (source_id))
       union all
       select (extract(epoch from hour) * 1000)::float8, null, 0
       from generate_series(date_bin('1 hour', now(), 'epoch') - make_interval(hours => $1::integer - 1), now(), interval '1 hour') hour`,
      [hours],
    ),
  );
  const byHour = new Map<number, number>();
  const bySource = new Map<string, number>();
  for (const { start_ms: startMs, source_id: sourceId, events } of rows) {
    if (startMs !== null) byHour.set(startMs, (byHour.get(startMs) ?? 0) + events);
    else if (sourceId !== null) bySource.set(sourceId, events);
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
  const { rows } = await pool.query<OrganizationChange>(
    `select c.organization_id as "organizationId", o.name as "organizationName", c.change, c.old_value as "oldValue",
       c.new_value as "newValue", c.changed_at as "changedAt"
     from organization_changes c left join organizations o on o.id = c.organization_id
     where $2::text is null or c.organization_id = $2
     order by c.id desc limit $1`,
    [limit, organizationId ?? null],
  );
  return rows;
};

/** How many entries came again with other content; no more than `most` are counted. */
export const countChangedEntries = async (pool: Pool, most: number): Promise<number> => {
  const { rows } = await pool.query<{ changed: number }>(
    'select count(*)::integer as changed from (select from audit_event_changes limit $1) c',
    [most],
  );
  return rows[0]?.changed ?? 0;
};

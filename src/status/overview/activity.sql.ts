import { desc, eq } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import { keyOf } from '../../ingest/planning/source.ts';
import { db } from '../../postgres/db.ts';
import { longStatement } from '../../postgres/pool.ts';
import { isTimeout, readOnly } from '../../postgres/read-only.ts';
import { organizationChanges, organizations } from '../../postgres/tables/organizations.ts';
import { hasOtherResult, resultName } from '../../search/summary/count-statement.ts';
import type { Activity, OrganizationChange } from './overview.ts';

/** Of the page of an organization: beyond it, its hours are left out. */
const HOURS_TIMEOUT_MS = 230;

interface ActivityRow {
  readonly start_ms: number | null;
  readonly source_kind: string | null;
  readonly source_id: string | null;
  /** `every`: whatever the result is. */
  readonly result: 'every' | 'success' | 'failure' | 'other';
  readonly events: number;
}

/**
 * Events of the last `hours` hours, this one included, of all, or of one organization and its accounts (and then by no source). Reads one or two monthly
 * partitions, and of them three indexes (decision 73) if that is worth it. Called by the console, which keeps the answer for a while.
 */
export const readActivity = async (
  client: Pick<PoolClient, 'query'>,
  hours: number,
  organizationId?: string,
): Promise<Activity> => {
  const values = organizationId === undefined ? [hours] : [hours, organizationId];
  const { rows } = await client.query<ActivityRow>(longStatement(activityStatement(organizationId), values));
  const byHour = new Map<number, Record<ActivityRow['result'], number>>();
  const bySource = new Map<string, number>();
  for (const { start_ms: startMs, source_kind: kind, source_id: id, result, events } of rows) {
    if (startMs !== null) {
      const hour = byHour.get(startMs) ?? { every: 0, success: 0, failure: 0, other: 0 };
      hour[result] += events;
      byHour.set(startMs, hour);
    } else if (kind !== null && id !== null) bySource.set(keyOf({ kind, id }), events);
  }
  const sorted = [...byHour].sort(([a], [b]) => a - b);
  return {
    hours: sorted.map(([startMs, { every, failure, other }]) => ({
      startMs,
      success: every - failure - other,
      failure,
      other,
    })),
    bySource,
  };
};

const activityStatement = (organizationId: string | undefined): string => {
  const hour = "date_bin('1 hour', action_time, 'epoch')";
  const first = "date_bin('1 hour', now(), 'epoch') - make_interval(hours => $1::integer - 1)";
  const condition = `action_time >= ${first} and action_time < date_bin('1 hour', now(), 'epoch') + interval '1 hour'${organizationId === undefined ? '' : ' and organization_id = $2'}`;
  // Sources are in no index of an organization.
  const every =
    organizationId === undefined
      ? `select hour, source_kind, source_id, 'every' as result, count(*) as events
          from (select source_kind, source_id, ${hour} as hour from audit_events where ${condition}) e
          group by grouping sets ((hour), (source_kind, source_id))`
      : `select ${hour} as hour, null as source_kind, null as source_id, 'every' as result, count(*) as events
          from audit_events where ${condition} group by 1`;
  return `select (extract(epoch from hour) * 1000)::float8 as start_ms, source_kind, source_id, result, events::float8 as events from (
      ${every}
      union all
      select ${hour}, null, null, 'failure', count(*) from audit_events where ${condition} and action_result = 'failure' group by 1
      union all
      select ${hour}, null, null, ${resultName}, count(*) from audit_events where ${condition} and ${hasOtherResult} group by 1, 4
      union all
      select hour, null, null, 'every', 0 from generate_series(${first}, now(), interval '1 hour') hour) counted`;
};

/** The hours of one organization with its accounts; undefined if counting them takes too long for a page. */
export const readOrganizationHours = async (
  pool: Pool,
  hours: number,
  organizationId: string,
): Promise<Activity['hours'] | undefined> => {
  try {
    const { hours: found } = await readOnly(pool, HOURS_TIMEOUT_MS, (client) =>
      readActivity(client, hours, organizationId),
    );
    return found;
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
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

import { desc, eq } from 'drizzle-orm';
import type { PoolClient } from 'pg';
import type { Registry } from 'prom-client';
import { keptFor } from '../base/limits.ts';
import { keyOf, type SourceKey } from '../ingest/planning/source.ts';
import { longStatement, type Pool } from '../postgres/pool.ts';
import { db, isTimeout, readOnly } from '../postgres/queries.ts';
import { organizationChanges, organizations } from '../postgres/tables/sources.ts';
import { hasOtherResult, resultName } from '../search/summary/count.sql.ts';
import type { SummaryBucket } from '../search/summary/summary.ts';
import type { MetricsSource } from './scrape.sql.ts';

const ACTIVITY_HOURS = 48;
/** The hourly counts change little in that time, and may be expensive. */
const KEEP_ACTIVITY_MS = 30_000;
const MAX_CHANGED_COUNTED = 10_000;

interface CountedLimits {
  readonly apiBudget: number;
  readonly credentials: readonly { readonly budget: number }[];
}

const limitOf = ({ apiBudget, credentials }: CountedLimits): number | undefined =>
  credentials.length > 1 ? undefined : (credentials[0]?.budget ?? apiBudget);

export type OverviewSource = ReturnType<typeof createOverviewSource>;

/** Each rejects if the database does not answer. */
export const createOverviewSource = (
  pool: Pool,
  { settleDelaysMs, ...limits }: CountedLimits & { readonly settleDelaysMs: readonly number[] },
  { budgetAvailable, blockedSeconds }: Pick<MetricsSource, 'budgetAvailable' | 'blockedSeconds'>,
  /** `recentRequests`: in the last five minutes. */
  process: { recentRequests(): number; readonly registry: Registry },
) => ({
  /** How long after the first reading each settle pass comes, in milliseconds: those of pass 1, 2 and so on. */
  settleDelaysMs,
  coverage: (keys: readonly SourceKey[]) => readCoverage(pool, keys),
  /** A source without anything read yet has none. */
  pace: (keys: readonly SourceKey[]) => readPace(pool, keys),
  activity: keptFor(KEEP_ACTIVITY_MS, () => readActivity(pool, ACTIVITY_HOURS)),
  hours: (organizationId: string) => readOrganizationHours(pool, ACTIVITY_HOURS, organizationId),
  changes: (limit: number, organizationId?: string) => readOrganizationChanges(pool, limit, organizationId),
  changedEntries: () => countChangedEntries(pool, MAX_CHANGED_COUNTED),
  budget: async (): Promise<ApiBudgetFigures> => {
    const [available, blocked] = await Promise.all([budgetAvailable(), blockedSeconds()]);
    return { available, blockedSeconds: blocked, per5Minutes: limitOf(limits) };
  },
  figures: () => processFigures(process),
});

export type TimeRange = readonly [fromMs: number, toMs: number];

export interface DrawnHole {
  readonly range: TimeRange;
  readonly reason: string;
  readonly message: string;
  readonly attempts: number;
  readonly nextAttemptAtMs: number;
}

export interface SourceCoverage extends SourceKey {
  /** The horizon: nothing older is wanted. */
  readonly sinceMs: number;
  readonly nowMs: number;
  /** Oldest first, as the view coverage_gaps. */
  readonly gaps: readonly TimeRange[];
  /** By number of settle pass; the first reading is what is no gap. */
  readonly passes: readonly { readonly pass: number; readonly ranges: readonly TimeRange[] }[];
  /** Of the first reading, newest first, no more than 200. */
  readonly holes: readonly DrawnHole[];
  readonly walks: readonly { readonly lane: string; readonly range: TimeRange; readonly readUntilMs: number | null }[];
}

export interface Activity {
  /** Oldest first, those without events included. */
  readonly hours: readonly SummaryBucket[];
  readonly bySource: ReadonlyMap<string, number>;
}

export interface OrganizationChange extends Readonly<Omit<typeof organizationChanges.$inferSelect, 'id'>> {
  readonly organizationName: string | null;
}

/** Since the process started. */
export interface ProcessFigures {
  /** In the last five minutes. */
  readonly recentRequests: number;
  readonly defectiveEntries: number;
  /** Live lane, cumulative: events seen within `seconds`. */
  readonly lateness: readonly { readonly seconds: number; readonly events: number }[];
}

export interface ApiBudgetFigures {
  readonly available: number;
  /** Of all replicas. Undefined with several credentials: each user of Cloudflare has a limit of its own. */
  readonly per5Minutes: number | undefined;
  readonly blockedSeconds: number;
}

/** How much was read lately, for the estimate of the time left. */
export interface ReadingPace extends SourceKey {
  readonly readSeconds: number;
  /** `PACE_MINUTES`, or less if the reading began less than that ago. */
  readonly overSeconds: number;
}

const processFigures = async ({
  registry,
  recentRequests,
}: Parameters<typeof createOverviewSource>[3]): Promise<ProcessFigures> => {
  const values = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values ?? [];
  const total = async (name: string) => (await values(name)).reduce((sum, { value }) => sum + value, 0);
  const lateness = await values('orgtrail_event_lateness_seconds');
  return {
    recentRequests: recentRequests(),
    defectiveEntries: await total('orgtrail_entries_defective_total'),
    lateness: lateness.flatMap(({ value, labels }) => {
      const bound = 'le' in labels ? labels['le'] : undefined;
      return bound === undefined ? [] : [{ seconds: Number(String(bound).replace('+Inf', 'Infinity')), events: value }];
    }),
  };
};

/** After this, the page of an organization leaves its hours out. */
const HOURS_TIMEOUT_MS = 230;

interface ActivityRow {
  readonly start_ms: number | null;
  readonly source_kind: string | null;
  readonly source_id: string | null;
  readonly result: 'every' | 'success' | 'failure' | 'other';
  readonly events: number;
}

/** The current hour included; of one organization without sources. Reads up to two partitions and three indexes (docs/decisions/25). */
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

/** With its accounts; undefined if counting takes too long for a page. */
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

/** Entries that came again with other content, counted up to `most`. */
export const countChangedEntries = async (pool: Pool, most: number): Promise<number> => {
  const { rows } = await pool.query<{ changed: number }>(
    'select count(*)::integer as changed from (select from audit_event_changes limit $1) c',
    [most],
  );
  return rows[0]?.changed ?? 0;
};

/** The newest are enough to draw and list. */
const MAX_HOLES = 200;

const ms = (expression: string): string => `(extract(epoch from ${expression}) * 1000)::float8`;

export const readCoverage = async (pool: Pool, keys: readonly SourceKey[]): Promise<readonly SourceCoverage[]> => {
  const { rows } = await pool.query<SourceCoverage>(
    `select s.kind, s.id,
       ${ms('least(now(), greatest(s.wanted_since, now() - s.wanted_history))')} as "sinceMs", ${ms('now()')} as "nowMs",
       coalesce((select json_agg(json_build_array(${ms('g.since')}, ${ms('g.before')}) order by g.since)
         from coverage_gaps g where g.source_kind = s.kind and g.source_id = s.id), '[]') as gaps,
       coalesce((select json_agg(json_build_object('pass', c.pass, 'ranges', coalesce((
             select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r) from unnest(c.ranges) r), '[]'))
           order by c.pass)
         from coverage c where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass > 0), '[]') as passes,
       coalesce((select json_agg(json_build_object('range', json_build_array(${ms('h.since')}, ${ms('h.before')}),
           'reason', h.reason, 'message', h.message, 'attempts', h.attempts, 'nextAttemptAtMs', ${ms('h.next_attempt_at')})
           order by h.since desc)
         from (select * from coverage_holes h
           where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = s.filter_hash and h.pass = 0
             and h.before > greatest(s.wanted_since, now() - s.wanted_history)
           order by h.since desc limit ${MAX_HOLES}) h), '[]') as holes,
       coalesce((select json_agg(json_build_object('lane', l.lane, 'readUntilMs', l.state #> '{walk,newestMs}',
           'range', json_build_array(l.state #> '{walk,claim,fromMs}', l.state #> '{walk,claim,toMs}')) order by l.lane)
         from lanes l where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = s.filter_hash
           and l.state ? 'walk'), '[]') as walks
     from sources s join unnest($1::text[], $2::text[]) as asked (kind, id) on asked.kind = s.kind and asked.id = s.id`,
    [keys.map(({ kind }) => kind), keys.map(({ id }) => id)],
  );
  return rows;
};

export const PACE_MINUTES = 15;

/** Settle passes and the scrub lane do not count, nor a piece begun before the window: the live tail of today is one. */
const readPace = async (pool: Pool, keys: readonly SourceKey[]): Promise<readonly ReadingPace[]> => {
  if (keys.length === 0) return [];
  const { rows } = await pool.query<ReadingPace>(
    `select s.kind, s.id, coalesce(lately.seconds, 0) as "readSeconds",
       extract(epoch from clock_timestamp() - greatest(lately.began, clock_timestamp() - $3::interval))::float8 as "overSeconds"
     from sources s join unnest($1::text[], $2::text[]) as asked (kind, id) on asked.kind = s.kind and asked.id = s.id
       cross join lateral (
         select min(r.read_from) as began,
           (sum(extract(epoch from r.before - r.since)) filter (where r.read_from > clock_timestamp() - $3::interval))::float8 as seconds
         from coverage_readings r
         where r.source_kind = s.kind and r.source_id = s.id and r.filter_hash = s.filter_hash and r.method = 'first reading') lately
     where lately.began is not null`,
    [keys.map(({ kind }) => kind), keys.map(({ id }) => id), `${PACE_MINUTES} minutes`],
  );
  return rows;
};

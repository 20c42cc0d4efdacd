import type { Pool } from 'pg';
import type { CoverageHole } from '../ingest/sync/coverage-holes.sql.ts';
import {
  claimsFuture,
  type GoneFacts,
  type LaneTrouble,
  laneTroubleText,
  type SourceFacts,
  VANISHED_SECONDS,
} from './health.ts';

export interface SourceStatus extends SourceFacts {
  readonly kind: string;
  readonly id: string;
  readonly organizationId: string;
  readonly organizationName: string | null;
  readonly organizationState: string;
  readonly leaseOwner: string | null;
  readonly leaseEpoch: number;
  readonly lastSuccessAt: Date | null;
  readonly nextAttemptAt: Date | null;
  readonly lastFailure: string | null;
  readonly lastError: string | null;
  readonly retentionSlackSeconds: number;
  readonly openWalks: number;
  /** The lanes that are failing, the most urgent first; before them `coverage`, if it claims what cannot be. */
  readonly failingLanes: readonly LaneTrouble[];
  /** The oldest of its holes: Cloudflare deletes them first. */
  readonly firstHoles: readonly CoverageHole[];
  /** What version 0.1 claimed as read and has not been proven since. */
  readonly unprovenSeconds: number;
}

interface SourceRow extends Omit<SourceStatus, 'firstHoles'> {
  readonly firstHoles: readonly (Omit<CoverageHole, 'since' | 'before'> & { sinceMs: number; beforeMs: number })[];
}

interface GoneOrganization extends GoneFacts {
  readonly organizationId: string;
  readonly organizationName: string | null;
  readonly goneAt: Date | null;
}

export interface Status {
  readonly feedId: string;
  readonly position: number;
  /** How often positions jumped because a failover or a restore may have lost commits. */
  readonly positionJumps: number;
  readonly discovery: {
    readonly lastSuccessAt: Date | null;
    /** Null if there has never been one. */
    readonly ageSeconds: number | null;
    readonly lastError: string | null;
    /** Who lists at this moment. */
    readonly leaseOwner: string | null;
    readonly organizations: number | null;
  };
  readonly sources: readonly SourceStatus[];
  /** The organizations that went gone last, newest first, no more than 100 of them. */
  readonly gone: readonly GoneOrganization[];
}

/** So many names are enough to see what happened. */
const MAX_GONE = 100;
/** Of one source. */
const FIRST_HOLES = 5;

/** The lanes of source s that are failing. */
const failingLanes = `coalesce((
    select json_agg(json_build_object('lane', lane, 'failures', failures, 'lastFailure', last_failure, 'lastError', last_error)
      order by array_position(array['live', 'settle', 'backfill', 'scrub'], lane))
    from lanes where source_kind = s.kind and source_id = s.id and filter_hash = s.filter_hash and failures > 0), '[]')`;

/** The oldest holes of source s within the time wanted. */
const firstHoles = `coalesce((
    select json_agg(json_build_object('sinceMs', extract(epoch from since) * 1000, 'beforeMs', extract(epoch from before) * 1000,
      'reason', reason, 'message', message) order by since)
    from (select since, before, reason, message from coverage_holes
      where source_kind = s.kind and source_id = s.id and filter_hash = s.filter_hash and pass = 0
        and before > greatest(s.wanted_since, now() - s.wanted_history)
      order by since limit ${FIRST_HOLES}) oldest), '[]')`;

/** How far the coverage of source s, of any pass, reaches beyond now. */
const future = `(select extract(epoch from max(upper(c.ranges)) - clock_timestamp())::float8 from coverage c
    where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash)`;

/** When organization o went gone last. */
const lastGone = `left join lateral (
         select max(changed_at) as changed_at from organization_changes where organization_id = o.id and change = 'gone') c on true`;

/** How things stand, from the database alone: the same for every replica. `organizationIds` limits it to an allow-list. */
export const readStatus = async (pool: Pool, organizationIds: readonly string[] | undefined): Promise<Status> => {
  const [head, gone, sources] = await Promise.all([
    pool.query(
      `select f.feed_id as "feedId", f.position::float8 as position, d.last_success_at as "lastSuccessAt",
         extract(epoch from clock_timestamp() - d.last_success_at)::float8 as "ageSeconds",
         d.last_error as "lastError", d.organizations,
         case when d.lease_until > clock_timestamp() then d.lease_owner end as "leaseOwner",
         (select count(*) from position_jumps)::integer as "positionJumps"
       from feed_head f, discovery d`,
    ),
    pool.query<GoneOrganization>(
      `select o.id as "organizationId", o.name as "organizationName", c.changed_at as "goneAt",
         extract(epoch from clock_timestamp() - c.changed_at)::float8 as "goneSeconds"
       from organizations o ${lastGone}
       where o.state = 'gone' and ($1::text[] is null or o.id = any($1))
       order by c.changed_at desc nulls last, o.id limit ${MAX_GONE}`,
      [organizationIds ?? null],
    ),
    pool.query<SourceRow>(
      `select t.source_kind as kind, t.source_id as id, t.organization_id as "organizationId",
         t.organization_name as "organizationName", t.organization_state as "organizationState",
         t.organization_state = 'refused' as refused, t.failures, t.lag_seconds as "lagSeconds", t.gap_seconds as "gapSeconds",
         ${future} as "futureSeconds",
         extract(epoch from clock_timestamp() - t.last_event_at)::float8 as "sinceLastEventSeconds",
         case when t.lease_until > clock_timestamp() then t.lease_owner end as "leaseOwner", t.lease_epoch::float8 as "leaseEpoch",
         t.last_success_at as "lastSuccessAt", t.next_attempt_at as "nextAttemptAt", t.last_failure as "lastFailure",
         t.last_error as "lastError", t.retention_slack_seconds as "retentionSlackSeconds", t.open_walks as "openWalks",
         ${failingLanes} as "failingLanes", t.holes, ${firstHoles} as "firstHoles", t.unproven_seconds as "unprovenSeconds"
       from sync_status t join sources s on s.kind = t.source_kind and s.id = t.source_id
       where t.organization_state <> 'gone' and ($1::text[] is null or t.organization_id = any($1))
       order by t.organization_name nulls last, t.organization_id`,
      [organizationIds ?? null],
    ),
  ]);
  const row = head.rows[0];
  const { lastSuccessAt, ageSeconds, lastError, leaseOwner, organizations } = row;
  return {
    feedId: row.feedId,
    position: row.position,
    positionJumps: row.positionJumps,
    discovery: { lastSuccessAt, ageSeconds, lastError, leaseOwner, organizations },
    sources: sources.rows.map(asSource),
    gone: gone.rows,
  };
};

const asSource = (row: SourceRow): SourceStatus => {
  const source = { ...row, firstHoles: row.firstHoles.map(asHole) };
  if (!claimsFuture(source)) return source;
  const lastError = `it reaches ${Math.round(source.futureSeconds ?? 0)} s beyond now, and hides what is not read until then`;
  const trouble: LaneTrouble = { lane: 'coverage', failures: 1, lastFailure: 'coverage', lastError };
  return {
    ...source,
    failingLanes: [trouble, ...source.failingLanes],
    lastFailure: source.lastFailure ?? 'coverage',
    lastError: source.lastError ?? laneTroubleText(trouble),
  };
};

const asHole = ({ sinceMs, beforeMs, reason, message }: SourceRow['firstHoles'][number]): CoverageHole => ({
  since: new Date(sinceMs),
  before: new Date(beforeMs),
  reason,
  message,
});

/** How many organizations vanished within a day and have not come back. From the tables: the same for every replica. */
export const countVanished = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count from organizations o ${lastGone}
     where o.state = 'gone' and c.changed_at >= clock_timestamp() - make_interval(secs => $1)`,
    [VANISHED_SECONDS],
  );
  return rows[0]?.count ?? 0;
};

/** How many organizations there are in each state, gone ones included. */
export const countOrganizations = async (pool: Pool): Promise<Readonly<Record<string, number>>> => {
  const { rows } = await pool.query<{ state: string; count: number }>(
    'select state, count(*)::integer as count from organizations group by state',
  );
  return Object.fromEntries(rows.map((row) => [row.state, row.count]));
};

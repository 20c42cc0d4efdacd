import type { Pool } from 'pg';
import { type GoneFacts, type SourceFacts, VANISHED_SECONDS } from '../domain/health.ts';

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
}

export interface GoneOrganization extends GoneFacts {
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
    /** Null where there has never been one. */
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
const MOST_GONE = 100;

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
       order by c.changed_at desc nulls last, o.id limit ${MOST_GONE}`,
      [organizationIds ?? null],
    ),
    pool.query<SourceStatus>(
      `select source_kind as kind, source_id as id, organization_id as "organizationId",
         organization_name as "organizationName", organization_state as "organizationState",
         organization_state = 'refused' as refused, failures, lag_seconds as "lagSeconds", gap_seconds as "gapSeconds",
         extract(epoch from clock_timestamp() - last_event_at)::float8 as "sinceLastEventSeconds",
         case when lease_until > clock_timestamp() then lease_owner end as "leaseOwner", lease_epoch::float8 as "leaseEpoch",
         last_success_at as "lastSuccessAt", next_attempt_at as "nextAttemptAt", last_failure as "lastFailure",
         last_error as "lastError", retention_slack_seconds as "retentionSlackSeconds", open_walks as "openWalks"
       from sync_status
       where organization_state <> 'gone' and ($1::text[] is null or organization_id = any($1))
       order by organization_name nulls last, organization_id`,
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
    sources: sources.rows,
    gone: gone.rows,
  };
};

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

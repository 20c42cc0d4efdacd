import { and, count, eq, type SQL, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { SourceKey } from '../ingest/planning/source.ts';
import { RETENTION_NEAR_MS } from '../ingest/planning/upstream-retention.ts';
import { db } from '../postgres/db.ts';
import { sources, syncStatus } from '../postgres/tables/sources.ts';
import { HALVINGS_UNTIL_FAILING, MAX_FUTURE_SECONDS, QUIET_AFTER_SECONDS, type SourceHealth } from './health.ts';
import { failureJoins, unreadHistory } from './lane-status.sql.ts';
import type { SourceGroup } from './sources/source-groups.ts';
import { urgency } from './sources/source-state.ts';
import { isRefused } from './status.sql.ts';
import { isShown, type StatusScope } from './status-scope.sql.ts';

export interface SummaryOptions {
  /** The lag from which on a source is behind. */
  readonly behindAfterSeconds: number;
  /** No more than so many sources are named. */
  readonly most: number;
  /** Those in these states alone are named. Default: all. */
  readonly states?: readonly string[] | undefined;
}

/** A source, and the state by which it was chosen. */
interface NamedSource extends SourceKey {
  readonly state: SourceHealth;
  readonly firstReading: boolean;
}

export interface Summary {
  /** Of all sources. */
  readonly groups: readonly SourceGroup[];
  /** Those that most need attention first: what is about to be lost, then by state, then the largest gap. */
  readonly worst: readonly NamedSource[];
}

/** How many sources a status shows, and how many of them are of accounts. */
export const countShown = async (
  pool: Pool,
  scope: StatusScope,
): Promise<{ readonly sources: number; readonly accounts: number }> => {
  const [row] = await db(pool)
    .select({ sources: count(), accounts: count(syncStatus.accountId) })
    .from(syncStatus)
    .where(isShown(scope));
  return row ?? { sources: 0, accounts: 0 };
};

/** The state of each source as `sourceHealth` tells it. */
const stateOf = (behindAfterSeconds: number): SQL => {
  const { lagSeconds, gapSeconds, holes, lastEventAt } = syncStatus;
  return sql`case when ${isRefused} then 'refused'
    when failed.failures > 0 and (failed.last_failure is not null or failed.failures >= ${sql.raw(String(HALVINGS_UNTIL_FAILING))})
      or extract(epoch from ahead.read_until - clock_timestamp()) > ${sql.raw(String(MAX_FUTURE_SECONDS))} then 'failing'
    when ${holes} > 0 then 'incomplete'
    when greatest(${lagSeconds}, ${gapSeconds}) > ${behindAfterSeconds}::float8 then 'behind'
    when ${lastEventAt} is null or extract(epoch from clock_timestamp() - ${lastEventAt}) > ${sql.raw(String(QUIET_AFTER_SECONDS))} then 'quiet'
    else 'fresh' end`;
};

/** As `isFirstReading` tells it. */
const FIRST = sql`first_reading`;

const groups = sql`select owner, case owner when 'account' then organization_id end as "organizationId", state, count(*)::integer as sources,
    max(lag_seconds) as "mostLagSeconds", max(gap_seconds) as "mostGapSeconds", min(retention_slack_seconds) as "leastRetentionSlackSeconds",
    sum(holes)::float8 as holes, count(*) filter (where holes > 0)::integer as "withHoles",
    sum(read_once_seconds) as "readOnceSeconds", count(*) filter (where read_once_seconds > 0)::integer as "readOnce",
    sum(unproven_seconds) as "unprovenSeconds", count(*) filter (where unproven_seconds > 0)::integer as unproven,
    count(*) filter (where near_loss)::integer as "nearLoss",
    count(*) filter (where ${FIRST})::integer as "firstReading", count(*) filter (where ${FIRST} and near_loss)::integer as "firstReadingNearLoss",
    coalesce(sum(wanted_seconds) filter (where ${FIRST}), 0) as "firstReadingWantedSeconds",
    coalesce(sum(gap_seconds) filter (where ${FIRST}), 0) as "firstReadingGapSeconds"
  from facts group by 1, 2, 3`;

/** What nothing is lacking of. */
const HEALTHY = sql`state in ('fresh', 'quiet')`;

const worst = ({
  most,
  states,
}: SummaryOptions): SQL => sql`select source_kind as kind, source_id as id, state, first_reading as "firstReading"
  from facts where ${states === undefined ? sql`true` : sql`state = any(${sql.param(states)}::text[])`}
  order by near_loss desc, ${HEALTHY}, ${HEALTHY} and owner = 'account' and organization_id is null desc,
    array_position(${sql.param(urgency)}::text[], state), case when not ${HEALTHY} then gap_seconds end desc,
    organization_name, organization_id, owner = 'account', account_name, account_id
  limit ${most}`;

/**
 * How things stand with tens of thousands of sources, without a row for each: what groups of them add up to, and the names of those that need
 * attention. Each table is read once.
 */
export const readSummary = async (pool: Pool, scope: StatusScope, options: SummaryOptions): Promise<Summary> => {
  const { sourceKind, sourceId, accountId, accountName, organizationId, organizationName } = syncStatus;
  const { lagSeconds, gapSeconds, retentionSlackSeconds, holes, unprovenSeconds, readOnceSeconds } = syncStatus;
  const { ahead, failed, first } = failureJoins;
  const unread = unreadHistory(sql`first.read_since`);
  const { rows } = await db(pool).execute<{ groups: SourceGroup[] | null; worst: NamedSource[] | null }>(
    sql`with known as (
      select ${sourceKind}, ${sourceId}, ${organizationId}, ${organizationName}, ${accountId}, ${accountName},
        case when ${accountId} is null then 'organization' else 'account' end as owner,
        ${lagSeconds}, ${gapSeconds}, ${retentionSlackSeconds}, ${holes}, ${unprovenSeconds}, ${readOnceSeconds},
        ${retentionSlackSeconds} < ${sql.raw(String(RETENTION_NEAR_MS / 1_000))} as near_loss,
        ${stateOf(options.behindAfterSeconds)} as state, ${unread} as unread_seconds,
        extract(epoch from now() - least(now(), greatest(${sources.wantedSince}, now() - ${sources.wantedHistory})))::float8 as wanted_seconds
      from ${syncStatus} join ${sources} on ${and(eq(sources.kind, sourceKind), eq(sources.id, sourceId))}
        left join ${ahead.table} on ${ahead.on} left join ${failed.table} on ${failed.on}
        left join ${first.table} on ${first.on}
      where ${isShown(scope)}),
    facts as materialized (
      select *, state = 'behind' and gap_seconds - unread_seconds <= ${options.behindAfterSeconds}::float8 as first_reading from known)
    select (select json_agg(g) from (${groups}) g) as groups, (select json_agg(w) from (${worst(options)}) w) as worst`,
  );
  const [row] = rows;
  return { groups: row?.groups ?? [], worst: row?.worst ?? [] };
};

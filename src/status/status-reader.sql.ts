import { and, count, eq, type SQL, sql } from 'drizzle-orm';
import { keptFor } from '../base/limits.ts';
import { keyOf, type SourceKey } from '../ingest/planning/source.ts';
import { RETENTION_NEAR_MS } from '../ingest/sources/source-kind.ts';
import type { Pool } from '../postgres/pool.ts';
import { db } from '../postgres/queries.ts';
import { sources, syncStatus } from '../postgres/tables/sources.ts';
import {
  behindAfterSeconds,
  HALVINGS_UNTIL_FAILING,
  MAX_FUTURE_SECONDS,
  pausesOf,
  QUIET_AFTER_SECONDS,
  type SourceHealth,
  vanishedOf,
} from './health.ts';
import {
  type AskingPace,
  isAccount,
  isOrganization,
  type OrganizationWithState,
  type SourceGroup,
  type StatusWithStates,
  urgency,
  withState,
  withStates,
} from './source-state.ts';
import {
  type AccountStatus,
  failureJoins,
  isRefused,
  readFrame,
  readSources,
  readStatus,
  type SourceStatus,
  type Status,
  unreadHistory,
} from './status.sql.ts';
import { isShown, keysOfAccount, keysOfOrganization, organizationKeys, type StatusScope } from './status-scope.sql.ts';

/** Above this, groups are shown, and the sources that most need attention. */
export const MOST_EACH = 1_000;

/** Health, metrics, status and console ask for the same, which takes a second for 50,000 sources. */
const KEEP_SUMMARY_MS = 5_000;

interface Selection {
  readonly all?: boolean | undefined;
  readonly most?: number | undefined;
  readonly states?: readonly string[] | undefined;
}

export interface StatusFigures extends Omit<Status, 'sources' | 'gone'> {
  readonly organizations: readonly OrganizationWithState[];
  readonly accounts: AccountFigures;
}

/** Above `MOST_EACH`, the sums of each organization. */
export type AccountFigures = { readonly each: readonly AccountStatus[] } | { readonly groups: readonly SourceGroup[] };

export type StatusReader = ReturnType<typeof createStatusReader>;

/** Each rejects if the database does not answer. `mostEach`: more are not shown each by itself. */
export const createStatusReader = (pool: Pool, scope: StatusScope, mostEach = MOST_EACH) => {
  const some = async (keys: Promise<readonly SourceKey[]>, pace: AskingPace) => {
    const [sources, { sources: among }] = await Promise.all([
      keys.then((wanted) => readSources(pool, scope, wanted)),
      countShown(pool, scope),
    ]);
    // `among`: the number of all sources.
    return { sources: sources.map((source) => withState(source, pausesOf(pace, among))), among };
  };
  const summary = keptFor(KEEP_SUMMARY_MS, (behindAfter: number) =>
    readSummary(pool, scope, { behindAfterSeconds: behindAfter, most: mostEach }),
  );
  return {
    /** Every source, or above `MOST_EACH` as `selection` says. */
    read: async (pace: AskingPace, selection: Selection = {}): Promise<StatusWithStates> => {
      const { sources: among } = await countShown(pool, scope);
      if (selection.all === true || among <= mostEach) return withStates(await readStatus(pool, scope), pace);
      const { most = mostEach, states } = selection;
      const behindAfter = behindAfterSeconds(pausesOf(pace, pace.asked ?? among));
      const isShared = most === mostEach && states === undefined;
      return await readMany(pool, scope, () =>
        isShared ? summary(behindAfter) : readSummary(pool, scope, { behindAfterSeconds: behindAfter, most, states }),
      );
    },
    organizations: async (pace: AskingPace) =>
      (await some(organizationKeys(pool), pace)).sources.filter(isOrganization),
    ofOrganization: (organizationId: string, pace: AskingPace) => some(keysOfOrganization(pool, organizationId), pace),
    ofAccount: (accountId: string, pace: AskingPace) => some(keysOfAccount(pool, accountId), pace),
    figures: (pace: AskingPace) => readFigures(pool, scope, pace, mostEach, summary),
  };
};

const readMany = async (
  pool: Pool,
  scope: StatusScope,
  summary: () => ReturnType<typeof readSummary>,
): Promise<StatusWithStates> => {
  const [{ gone, ...rest }, { groups, worst }] = await Promise.all([readFrame(pool, scope), summary()]);
  const found = await readSources(pool, scope, worst);
  const byKey = new Map(found.map((source) => [keyOf(source), source]));
  const sources = worst.flatMap((named) => {
    const source = byKey.get(keyOf(named));
    // One that has gone since is no longer there; all others are in the state in which they were counted.
    return source === undefined ? [] : [{ ...source, state: named.state, firstReading: named.firstReading }];
  });
  const total = groups.reduce((sum, group) => sum + group.sources, 0);
  return { ...rest, vanished: vanishedOf(gone, total), sources, isWhole: false, groups };
};

const readFigures = async (
  pool: Pool,
  scope: StatusScope,
  pace: AskingPace,
  mostEach: number,
  summary: (behindAfter: number) => ReturnType<typeof readSummary>,
): Promise<StatusFigures> => {
  const { sources: among, accounts } = await countShown(pool, scope);
  const pauses = pausesOf(pace, among);
  const withTheirState = (sources: readonly SourceStatus[]) => sources.map((source) => withState(source, pauses));
  if (accounts <= mostEach) {
    const { sources: stored, gone: _, ...rest } = await readStatus(pool, scope);
    const sources = withTheirState(stored);
    return { ...rest, organizations: sources.filter(isOrganization), accounts: { each: sources.filter(isAccount) } };
  }
  const [{ gone: _, ...rest }, organizations, { groups }] = await Promise.all([
    readFrame(pool, scope),
    organizationKeys(pool).then((keys) => readSources(pool, scope, keys)),
    summary(behindAfterSeconds(pauses)),
  ]);
  return { ...rest, organizations: withTheirState(organizations).filter(isOrganization), accounts: { groups } };
};

interface SummaryOptions {
  readonly behindAfterSeconds: number;
  readonly most: number;
  readonly states?: readonly string[] | undefined;
}

interface NamedSource extends SourceKey {
  readonly state: SourceHealth;
  readonly firstReading: boolean;
}

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

/** As `sourceHealth`. */
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

/** As `isFirstReading`. */
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

/** For tens of thousands of sources, without a row for each. `worst`: what is about to be lost first, then by state, then the largest gap. Each table is read once. */
const readSummary = async (pool: Pool, scope: StatusScope, options: SummaryOptions) => {
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

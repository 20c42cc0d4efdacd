import { and, count, eq, type SQL, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { keyOf, type SourceKey } from '../ingest/planning/source.ts';
import { LISTING_ENDS, REFUSED_LISTINGS } from '../ingest/sync/discovery/accounts.sql.ts';
import type { CoverageHole } from '../ingest/sync/store/sources.sql.ts';
import { db, type Row } from '../postgres/queries.ts';
import { feedHead } from '../postgres/tables/events.ts';
import { discovery, organizations, sources, syncStatus } from '../postgres/tables/sources.ts';
import {
  claimsFuture,
  type GoneFacts,
  type LaneTrouble,
  type ListingFacts,
  laneTroubleText,
  type ShortListings,
  VANISHED_SECONDS,
} from './health.ts';
import { isShown, mayBeAmong, type StatusScope } from './status-scope.sql.ts';

const FIRST_HOLES = 5;

export const isRefused = sql<boolean>`(${syncStatus.access} = 'refused' or coalesce(${syncStatus.organizationState} = 'refused', false))`;

type StoredHole = Omit<FirstHole, 'since' | 'before'> & { readonly sinceMs: number; readonly beforeMs: number };

/** Times are RFC 3339. */
interface FirstHole extends Omit<CoverageHole, 'since' | 'before'> {
  readonly since: string;
  readonly before: string;
}

const instantOrNull = (time: SQL): SQL<Date | null> => time.mapWith(syncStatus.lastSuccessAt);

const horizon = sql.raw('least(now(), greatest(sources.wanted_since, now() - sources.wanted_history))');

export const unreadHistory = (readSince: SQL): SQL<number> =>
  sql`extract(epoch from least(now(), greatest(coalesce(${readSince}, now()), ${horizon})) - ${horizon})::float8`;

const laneColumns = {
  failures: sql<number>`coalesce(troubled.failures, 0)`,
  lastSuccessAt: instantOrNull(sql`worked.last_success_at`),
  nextAttemptAt: instantOrNull(sql`troubled.next_attempt_at`),
  lastFailure: sql<string | null>`troubled.last_failure`,
  lastError: sql<string | null>`troubled.last_error`,
  openWalks: sql<number>`coalesce(worked.open_walks, 0)`,
  /** How far its coverage, of any pass, reaches beyond now. */
  futureSeconds: sql<number | null>`extract(epoch from reach.read_until - clock_timestamp())::float8`,
  wantedSeconds: sql<number>`extract(epoch from now() - ${horizon})::float8`,
  unreadHistorySeconds: unreadHistory(sql`reach.read_since`),
  /** The most urgent first; before them `coverage`, if it claims what cannot be. */
  failingLanes: sql<readonly LaneTrouble[]>`coalesce(troubled.failing_lanes, '[]')`,
};

const columns = {
  kind: syncStatus.sourceKind,
  id: syncStatus.sourceId,
  organizationId: syncStatus.organizationId,
  organizationName: syncStatus.organizationName,
  organizationState: syncStatus.organizationState,
  refused: isRefused,
  ...laneColumns,
  lagSeconds: syncStatus.lagSeconds,
  gapSeconds: syncStatus.gapSeconds,
  sinceLastEventSeconds: sql<number | null>`extract(epoch from clock_timestamp() - ${syncStatus.lastEventAt})::float8`,
  leaseOwner: sql<
    string | null
  >`case when ${syncStatus.leaseUntil} > clock_timestamp() then ${syncStatus.leaseOwner} end`,
  leaseEpoch: syncStatus.leaseEpoch,
  retentionSlackSeconds: syncStatus.retentionSlackSeconds,
  holes: syncStatus.holes,
  /** The oldest within the time wanted: Cloudflare deletes them first. */
  firstHoles: sql<readonly StoredHole[]>`case when ${syncStatus.holes} = 0 then '[]' else coalesce((
    select json_agg(json_build_object('sinceMs', extract(epoch from since) * 1000, 'beforeMs', extract(epoch from before) * 1000,
      'reason', reason, 'message', message) order by since)
    from (select since, before, reason, message from coverage_holes h
      where source_kind = sources.kind and source_id = sources.id and h.filter_hash = sources.filter_hash and pass = 0
        and before > greatest(sources.wanted_since, now() - sources.wanted_history)
      order by since limit ${FIRST_HOLES}) oldest), '[]') end`,
  /** What version 0.1 claimed as read and has not been proven since. */
  unprovenSeconds: syncStatus.unprovenSeconds,
  /** Not read a second time at least a day later. */
  readOnceSeconds: syncStatus.readOnceSeconds,
  accountId: syncStatus.accountId,
  accountName: syncStatus.accountName,
};

type SourceRow = Row<typeof columns>;

interface LogStatus extends Omit<SourceRow, 'firstHoles' | 'organizationId' | 'accountId' | 'accountName'> {
  readonly firstHoles: readonly FirstHole[];
}

export interface OrganizationStatus extends LogStatus {
  readonly organizationId: string;
  readonly accountId?: never;
  readonly accountName?: never;
}

export interface AccountStatus extends LogStatus {
  readonly organizationId: string | null;
  readonly accountId: string;
  readonly accountName: string | null;
}

/** JSON for people and programs has the keys of accounts for accounts alone. */
export type SourceStatus = OrganizationStatus | AccountStatus;

interface GoneOwnerFacts extends GoneFacts {
  /** Its log answers, and is read on. */
  readonly isReadOn: boolean;
  readonly organizationName: string | null;
  readonly goneAt: Date | null;
}

interface GoneOrganization extends GoneOwnerFacts {
  readonly organizationId: string;
  readonly accountId?: never;
}

/** JSON for people and programs has the keys of accounts for accounts alone. */
interface GoneAccount extends GoneOwnerFacts {
  /** The organization that it belonged to last. */
  readonly organizationId: string | null;
  readonly accountId: string;
  readonly accountName: string | null;
}

interface RetentionWait {
  readonly reason: string;
  /** RFC 3339. */
  readonly until: string;
  /** Ends it, once all holds are there. */
  readonly command: string;
}

const rfc3339 = (instant: string): string => `to_char(${instant} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`;

const SHORT_LISTINGS = `(select coalesce(json_agg(json_build_object('of', kind, 'listings', listings, 'since', ${rfc3339('since')},
    'reason', reason) order by kind desc), '[]')
  from (select kind, count(*) as listings, min(short_since) as since, (array_agg(last_error order by short_since))[1] as reason
    from (select 'organizations' as kind, short_since, last_error, last_attempt_at from discovery
      union all select 'accounts', short_since, last_error, last_attempt_at from account_listings) each
    where short_since is not null and last_error is not null and last_attempt_at > clock_timestamp() - ${LISTING_ENDS} group by kind) short)`;

const headColumns = {
  feedId: feedHead.feedId,
  position: feedHead.position,
  /** Cloudflare's clock relative to the database's at the last listing; null before the first. */
  clockAheadSeconds: sql<
    number | null
  >`extract(epoch from ${discovery.serverTime} - ${discovery.lastSuccessAt})::float8`,
  /** Null: requests are sent. */
  requestsBlocked: sql<{ readonly seconds: number; readonly because: string } | null>`(
    select json_build_object('seconds', extract(epoch from blocked_until - clock_timestamp()), 'because', because)
    from requests_blocked where blocked_until is not null)`,
  /** Since a daemon noted that it is at work, or anything was stored; null: not known. */
  aliveSecondsAgo: sql<number | null>`extract(epoch from clock_timestamp() - ${feedHead.aliveAt})::float8`,
  /** After a failover or restore that may have lost commits. */
  positionJumps: sql<number>`(select count(*) from position_jumps)::integer`,
  /** Behind a failover or a restore. Null: retention does not wait. */
  retentionWait: sql<RetentionWait | null>`(select json_build_object('reason', w.reason, 'until', ${sql.raw(rfc3339('w.ends_at'))},
    'command', 'orgtrail hold confirm') from retention_waits w where w.confirmed_at is null and w.ends_at > clock_timestamp()
    order by w.ends_at desc limit 1)`,
  discovery: {
    lastSuccessAt: discovery.lastSuccessAt,
    /** Null if there has never been one. */
    ageSeconds: sql<number | null>`extract(epoch from clock_timestamp() - ${discovery.lastSuccessAt})::float8`,
    lastError: sql<string | null>`case when ${discovery.shortSince} is null then ${discovery.lastError} end`,
    leaseOwner: sql<
      string | null
    >`case when ${discovery.leaseUntil} > clock_timestamp() then ${discovery.leaseOwner} end`,
    organizations: discovery.organizations,
    /** Null: some may be listed, or accounts are not read. */
    accountsRefused: sql<string | null>`${sql.raw(REFUSED_LISTINGS)}`,
    shortListings: sql<readonly ShortListings[]>`${sql.raw(SHORT_LISTINGS)}`,
  },
};

type Head = Row<typeof headColumns>;

export interface Status extends Omit<Head, 'discovery' | 'retentionWait'> {
  readonly retentionWait?: RetentionWait;
  readonly discovery: Omit<Head['discovery'], 'accountsRefused'> & ListingFacts;
  readonly sources: readonly SourceStatus[];
  /** Gone or out of the listings, newest first, at most 100 organizations, then as many accounts. */
  readonly gone: readonly (GoneOrganization | GoneAccount)[];
}

const MAX_GONE = 100;

const lastGone = `left join lateral (
         select max(changed_at) as changed_at from organization_changes where organization_id = o.id and change = 'gone') c on true`;

/** From the database alone: the same for every replica. */
export const readStatus = async (pool: Pool, scope: StatusScope = {}): Promise<Status> => {
  const [frame, sources] = await Promise.all([readFrame(pool, scope), readSources(pool, scope)]);
  const { gone, ...head } = frame;
  return { ...head, sources, gone };
};

export const readFrame = async (pool: Pool, scope: StatusScope): Promise<Omit<Status, 'sources'>> => {
  const [[head], gone, goneAccounts] = await Promise.all([
    db(pool).select(headColumns).from(feedHead).crossJoin(discovery),
    pool.query<GoneOrganization>(
      `select o.id as "organizationId", o.name as "organizationName", o.left_at is not null as "isReadOn",
         coalesce(o.left_at, c.changed_at) as "goneAt",
         extract(epoch from clock_timestamp() - coalesce(o.left_at, c.changed_at))::float8 as "goneSeconds"
       from organizations o ${lastGone}
       where (o.state = 'gone' or o.left_at is not null) and ($1::text[] is null or o.id = any($1)) and ($2::text[] is null or 'organization' = any($2))
       order by 4 desc nulls last, o.id limit ${MAX_GONE}`,
      [scope.organizationIds ?? null, scope.kinds ?? null],
    ),
    readGoneAccounts(pool, scope),
  ]);
  if (head === undefined) throw new Error('the tables feed_head and discovery have lost their row');
  const { retentionWait, ...rest } = head;
  const { accountsRefused, shortListings, ...facts } = rest.discovery;
  const accountsCount = listsAccounts(scope);
  const discoveryFacts = {
    ...facts,
    shortListings: shortListings.filter((short) => accountsCount || short.of === 'organizations'),
  };
  const mayListNone = accountsRefused !== null && accountsCount;
  return {
    ...rest,
    ...(retentionWait !== null && { retentionWait }),
    discovery: mayListNone ? { ...discoveryFacts, accountsRefused } : discoveryFacts,
    gone: [...gone.rows, ...goneAccounts],
  };
};

/** `keys` limits them. Organizations by name, each before its accounts. */
export const readSources = async (
  pool: Pool,
  scope: StatusScope,
  keys?: readonly SourceKey[],
): Promise<readonly SourceStatus[]> => {
  const { reach, worked, troubled } = laneJoins(keys);
  const rows = await db(pool)
    .select(columns)
    .from(syncStatus)
    .innerJoin(sources, and(eq(sources.kind, syncStatus.sourceKind), eq(sources.id, syncStatus.sourceId)))
    .leftJoin(reach.table, reach.on)
    .leftJoin(worked.table, worked.on)
    .leftJoin(troubled.table, troubled.on)
    .where(and(isShown(scope), mayBeAmong(keys, 'sync_status')))
    .orderBy(
      syncStatus.organizationName,
      syncStatus.organizationId,
      sql`${syncStatus.accountId} is not null`,
      syncStatus.accountName,
      syncStatus.accountId,
    );
  const among = keys && new Set(keys.map(keyOf));
  return rows.filter((row) => among?.has(keyOf(row)) ?? true).map(asSource);
};

const listsAccounts = ({ kinds, accounts = 'all' }: StatusScope): boolean =>
  (kinds === undefined || kinds.includes('account')) && typeof accounts === 'string';

const readGoneAccounts = async (pool: Pool, scope: StatusScope): Promise<readonly GoneAccount[]> => {
  // Accounts that are named are never gone.
  if (!listsAccounts(scope)) return [];
  const { rows } = await pool.query<GoneAccount>(
    `select a.id as "accountId", a.name as "accountName", o.id as "organizationId", o.name as "organizationName",
       a.left_at is not null as "isReadOn", coalesce(a.left_at, c.changed_at) as "goneAt",
       extract(epoch from clock_timestamp() - coalesce(a.left_at, c.changed_at))::float8 as "goneSeconds"
     from accounts a left join organizations o on o.id = a.organization_id left join lateral (
       select max(changed_at) as changed_at from account_changes where account_id = a.id and change = 'gone') c on true
     where (a.state = 'gone' or a.left_at is not null) and ($1::text[] is null or a.organization_id = any($1))
     order by 6 desc nulls last, a.id limit ${MAX_GONE}`,
    [scope.organizationIds ?? null],
  );
  return rows;
};

const asSource = ({ accountId, accountName, ...row }: SourceRow): SourceStatus => {
  const { organizationId } = row;
  const log = withTrouble({ ...row, firstHoles: row.firstHoles.map(asHole) });
  if (accountId !== null) return { ...log, organizationId, accountId, accountName };
  if (organizationId === null)
    throw new Error(`the source ${row.id} belongs neither to an organization nor to an account`);
  return { ...log, organizationId };
};

const withTrouble = <T extends LogStatus>(source: T): T => {
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

const asHole = ({ sinceMs, beforeMs, reason, message }: SourceRow['firstHoles'][number]): FirstHole => ({
  since: new Date(sinceMs).toISOString(),
  before: new Date(beforeMs).toISOString(),
  reason,
  message,
});

/** Gone or out of the listings within a day. From the tables: the same for every replica. */
export const countVanished = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count from organizations o ${lastGone}
     where (o.state = 'gone' or o.left_at is not null) and coalesce(o.left_at, c.changed_at) >= clock_timestamp() - make_interval(secs => $1)`,
    [VANISHED_SECONDS],
  );
  return rows[0]?.count ?? 0;
};

export const countOrganizations = async (pool: Pool): Promise<Readonly<Record<string, number>>> => {
  const { state } = organizations;
  const rows = await db(pool).select({ state, count: count() }).from(organizations).groupBy(state);
  return Object.fromEntries(rows.map((row) => [row.state, row.count]));
};

export interface GoneAccounts {
  /** No listing shows them, and they refuse. */
  readonly gone: number;
  /** Gone or out of the listings within a day. */
  readonly vanished: number;
}

export const countGoneAccounts = async (pool: Pool): Promise<GoneAccounts> => {
  const { rows } = await pool.query<GoneAccounts>(
    `select (count(*) filter (where a.state = 'gone'))::integer as gone, (count(*) filter (where coalesce(a.left_at, (
         select max(c.changed_at) from account_changes c where c.account_id = a.id and c.change = 'gone'
       )) >= clock_timestamp() - make_interval(secs => $1)))::integer as vanished
     from accounts a where a.state = 'gone' or a.left_at is not null`,
    [VANISHED_SECONDS],
  );
  return rows[0] ?? { gone: 0, vanished: 0 };
};

type Keys = readonly SourceKey[] | undefined;

const joined = (name: string): SQL =>
  sql.raw(
    `${name}.source_kind = sources.kind and ${name}.source_id = sources.id and ${name}.filter_hash = sources.filter_hash`,
  );

/** `read_until` is of any pass, `read_since` of the first reading. */
const reach = (keys: Keys) => sql`(select source_kind, source_id, filter_hash, max(upper(ranges)) as read_until,
    min(lower(ranges)) filter (where pass = 0) as read_since
  from coverage where ${mayBeAmong(keys, 'coverage')} group by source_kind, source_id, filter_hash) reach`;

const worked = (
  keys: Keys,
) => sql`(select source_kind, source_id, filter_hash, count(state -> 'walk')::integer as open_walks,
    coalesce(max(last_success_at) filter (where lane = 'live'), max(last_success_at)) as last_success_at
  from lanes where ${mayBeAmong(keys, 'lanes')} group by source_kind, source_id, filter_hash) worked`;

const troubled = (
  keys: Keys,
) => sql`(select source_kind, source_id, filter_hash, max(failures) as failures, min(next_attempt_at) as next_attempt_at,
    (array_agg(last_failure order by failures desc, last_attempt_at desc))[1] as last_failure,
    (array_agg(last_error order by failures desc, last_attempt_at desc))[1] as last_error,
    json_agg(json_build_object('lane', lane, 'failures', failures, 'lastFailure', last_failure, 'lastError', last_error)
      order by array_position(array['live', 'settle', 'backfill', 'scrub'], lane)) as failing_lanes
  from lanes where failures > 0 and ${mayBeAmong(keys, 'lanes')} group by source_kind, source_id, filter_hash) troubled`;

/** For all sources or `keys`, to be joined to `sources`: the view sync_status looks lanes up one by one, seconds for tens of thousands. */
const laneJoins = (keys: Keys) => ({
  reach: { table: reach(keys), on: joined('reach') },
  worked: { table: worked(keys), on: joined('worked') },
  troubled: { table: troubled(keys), on: joined('troubled') },
});

/** Only what decides the state of a source. To be joined to `sources`. */
export const failureJoins = {
  ahead: {
    table: sql`(select source_kind, source_id, filter_hash, max(upper(ranges)) as read_until
      from coverage where upper(ranges) > clock_timestamp() group by source_kind, source_id, filter_hash) ahead`,
    on: joined('ahead'),
  },
  first: {
    table: sql`(select source_kind, source_id, filter_hash, lower(ranges) as read_since from coverage where pass = 0) first`,
    on: joined('first'),
  },
  failed: {
    table: sql`(select source_kind, source_id, filter_hash, max(failures) as failures,
        (array_agg(last_failure order by failures desc, last_attempt_at desc))[1] as last_failure
      from lanes where failures > 0 group by source_kind, source_id, filter_hash) failed`,
    on: joined('failed'),
  },
};

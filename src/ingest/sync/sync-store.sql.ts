import type { Pool } from 'pg';
import { isDeadOwner } from '../../postgres/leases.ts';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import type { Range } from '../planning/coverage.ts';
import { type KindPolicy, keyOf, type SourceKey } from '../planning/source.ts';
import type { Direction, Sentinel } from '../planning/walk.ts';
import { kindOf } from '../sources/registry.ts';
import { createPageCommits } from './commit/page-commits.sql.ts';
import {
  claimListing,
  countAccounts,
  countListings,
  countWalked,
  dueListings,
  endListing,
  markGone,
  nameAccounts,
  pauseListing,
  recordAccountAccess,
  recordAccounts,
  refusedListings,
  renewListing,
} from './discovery/accounts.sql.ts';
import { claimDiscovery, recordDiscovery, releaseDeadDiscovery, renewDiscovery } from './discovery/lease.sql.ts';
import {
  recordAccess,
  recordChildrenListed,
  recordListing,
  recordLogAnswer,
  recordProfile,
  recordProfileRefused,
  takeMissed,
  withoutChildrenListed,
  withoutProfile,
} from './discovery/organizations.sql.ts';
import { kindPolicyOf } from './plan-jobs.ts';
import type { ScrubPart, SyncStore } from './ports.ts';
import {
  claimSource,
  READER_RESTS_MS,
  type ReadingCredential,
  readElsewhere,
  recordFailure,
  releaseDead,
  releaseSource,
  renewSource,
} from './store/leases.sql.ts';
import {
  loadSources,
  ms,
  REFUSED,
  readTime,
  type SourceScope,
  scopeParameters,
  surveySources,
  syncSources,
  trimFuture,
  wantedSources,
} from './store/sources.sql.ts';

/** Another process may read what is refused here. */
const REFUSALS: readonly string[] = ['refused', 'unauthorized', 'not_found'];
const LATER_REFUSAL_RESTS_MS = 3_600_000;
/** Partitions are made two months ahead. */
const PARTITION_CHECK_MS = 3_600_000;

export interface SyncStoreObserver {
  leaseTaken(): void;
  pageCommitSeconds(seconds: number): void;
}

export interface SyncStoreOptions {
  readonly owner: string;
  readonly leaseMs: number;
  readonly kinds: readonly KindPolicy[];
  readonly settleDelaysMs: readonly number[];
  readonly historyMs: number;
  readonly scope: SourceScope;
  /** Pulled whether or not a listing shows them. */
  readonly accountIds: readonly string[];
  readonly credentials?: () => readonly ReadingCredential[];
  readonly observer: SyncStoreObserver;
}

export const createSyncStore = (pool: Pool, options: SyncStoreOptions): SyncStore => {
  const { owner, leaseMs, kinds, settleDelaysMs, scope, observer } = options;
  const hashOf = (source: SourceKey) => kindPolicyOf(options, source).filterHash;
  const isDead = (other: string) => isDeadOwner(other, owner);
  const commitPage = createPageCommits(pool, leaseMs);
  const elsewhere = createElsewhere(pool, options);
  return {
    loadSources: async () => {
      await releaseDead(pool, isDead);
      return (await loadSources(pool, owner, kinds, scope)).map(elsewhere.mark);
    },
    surveySources: async (take) => {
      await releaseDead(pool, isDead);
      await surveySources(pool, owner, kinds, scope, (survey) => take(elsewhere.mark(survey)));
    },
    loadSourcesOf: async (keys) => (await loadSources(pool, owner, kinds, scope, keys)).map(elsewhere.mark),
    readTime: async () => {
      const trimmed = await trimFuture(pool, [0, ...settleDelaysMs]);
      return { ...(await readTime(pool)), trimmed };
    },
    resourceTypes: (source, range) => readResourceTypes(pool, source, range),
    newestPart: (source, range, entries) => newestPart(pool, source, range, entries),
    nearestStored: (source, range, direction) =>
      nearestStored(pool, source, range, { direction, filterHash: hashOf(source) }),
    claim: async (source) => {
      const claimed = await claimSource(pool, source, owner, leaseMs, hashOf(source));
      if (claimed !== undefined) observer.leaseTaken();
      return claimed;
    },
    renew: (lease) => renewSource(pool, lease, leaseMs),
    commit: async (commit) => {
      const startMs = performance.now();
      const result = await commitPage(commit);
      observer.pageCommitSeconds((performance.now() - startMs) / 1_000);
      return result;
    },
    release: (lease) => releaseSource(pool, lease),
    noteScrub: (part) => noteScrub(pool, owner, part),
    recordFailure: async (lease, failure) => {
      if (!REFUSALS.includes(failure.failure) || !(await elsewhere.leave(lease)))
        await recordFailure(pool, lease, failure);
    },
    recordAccess: async (source, access) => {
      if (access === 'refused' && (await elsewhere.isRead(source))) return false;
      return kindOf(source).owner === 'account'
        ? await recordAccountAccess(pool, source, access)
        : await recordAccess(pool, source.id, access);
    },
    ...organizationsOf(pool, scope, elsewhere.keys),
    ...accountsOf(pool, options),
    claimDiscovery: async (restMs) => {
      const turn = await claimDiscovery(pool, owner, leaseMs, restMs);
      if (turn.mine || !(await releaseDeadDiscovery(pool, isDead))) return turn;
      return await claimDiscovery(pool, owner, leaseMs, restMs);
    },
    renewDiscovery: () => renewDiscovery(pool, owner, leaseMs),
    recordDiscovery: (result) => recordDiscovery(pool, owner, result),
    syncSources: syncWithMonths(pool, options),
  };
};

/** A statement of its own, after the page is committed: a process that dies in between leaves the page out of the result of
 * its round (table checks), and one that comes again counts again. */
const noteScrub = async (pool: Pool, owner: string, { source, filterHash, round, ...counts }: ScrubPart) => {
  const { number, beganMs, untilMs: beforeMs } = round;
  const result = JSON.stringify({ ...counts, round: number, beganMs, beforeMs });
  await pool.query('select orgtrail_note_scrub($1, $2, $3, $4, $5)', [
    source.kind,
    source.id,
    filterHash,
    owner,
    result,
  ]);
};

const organizationsOf = (pool: Pool, { organizationIds }: SourceScope, keys: () => readonly string[]) =>
  ({
    recordListing: (found, listing) =>
      recordListing(pool, found, { ...listing, within: organizationIds, keys: keys() }),
    takeMissed: (limit) => takeMissed(pool, limit),
    recordLogAnswer: (organizationId, answer) => recordLogAnswer(pool, organizationId, answer),
    withoutChildrenListed: (limit) => withoutChildrenListed(pool, limit),
    recordChildrenListed: (organizationId) => recordChildrenListed(pool, organizationId),
    withoutProfile: (limit) => withoutProfile(pool, limit),
    recordProfile: (organizationId, profile) => recordProfile(pool, organizationId, profile),
    recordProfileRefused: (organizationId) => recordProfileRefused(pool, organizationId),
  }) satisfies Partial<SyncStore>;

/** What another process reads with another credential is left to it where this one is refused. */
const createElsewhere = (pool: Pool, { credentials = oneCredential }: Pick<SyncStoreOptions, 'credentials'>) => {
  const known = new Set<string>();
  const left = new Map<string, { readonly untilMs: number; readonly times: number }>();
  /** Keys of renewed credentials stay: they were this process's own. */
  const keys = (): readonly string[] => {
    for (const { key } of credentials()) known.add(key);
    return [...known];
  };
  const isRead = async (source: SourceKey) => (await readElsewhere(pool, [source], keys())).length > 0;
  return {
    keys,
    isRead,
    leave: async (source: SourceKey): Promise<boolean> => {
      if (!(await isRead(source))) {
        left.delete(keyOf(source));
        return false;
      }
      const times = (left.get(keyOf(source))?.times ?? 0) + 1;
      const restMs = times === 1 ? READER_RESTS_MS : LATER_REFUSAL_RESTS_MS;
      left.set(keyOf(source), { untilMs: performance.now() + restMs, times });
      return true;
    },
    mark: <S extends SourceKey & { readonly heldElsewhere: boolean }>(source: S): S => {
      if (left.size === 0 || performance.now() >= (left.get(keyOf(source))?.untilMs ?? 0)) return source;
      return { ...source, heldElsewhere: true };
    },
  };
};

const oneCredential = (): readonly ReadingCredential[] => [{ name: 'default', key: 'default', listsAccounts: true }];
const syncWithMonths = (pool: Pool, options: SyncStoreOptions): SyncStore['syncSources'] => {
  const { kinds, historyMs } = options;
  const isDeep = kinds.some(({ keptSinceMs }) => keptSinceMs !== undefined);
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  return async (nowMs, oldestMs = nowMs, accountIds = undefined) => {
    const added = await syncSources(pool, kinds, nowMs, historyMs, accountIds);
    if (performance.now() - checkedAtMs <= PARTITION_CHECK_MS && !(isDeep && added > 0)) return;
    await makeMonths(pool, options, nowMs, oldestMs);
    checkedAtMs = performance.now();
  };
};

/** Months before the retention get a partition only if they are not read: others were dropped, or have no events. */
const makeMonths = async (pool: Pool, { kinds, scope }: SyncStoreOptions, nowMs: number, oldestMs: number) => {
  const keptMs = Math.min(
    ...kinds.map(({ horizonMs, keptSinceMs = horizonMs }) => Math.max(keptSinceMs(nowMs), horizonMs(nowMs))),
  );
  await createPartitions(pool, Math.min(oldestMs, keptMs));
  if (kinds.every(({ keptSinceMs }) => keptSinceMs === undefined)) return;
  for (const month of (await readUnreadMonths(pool, kinds, scope, { nowMs, untilMs: keptMs })).keys()) {
    await createPartitions(pool, Date.parse(month), Date.parse(month));
  }
};

const accountsOf = (pool: Pool, options: SyncStoreOptions) => {
  const { owner, leaseMs, scope, accountIds, credentials = oneCredential } = options;
  const { organizationIds, accounts: wanted } = scope;
  const listings = () => ({ organizationIds, wanted, credentials: credentials() });
  return {
    dueAccountListings: async (limit, mostOfOrganizations) =>
      (await dueListings(pool, listings(), { limit, mostOfOrganizations, owner })).map((listing) =>
        listing.holder !== undefined && isDeadOwner(listing.holder, owner)
          ? { ...listing, holder: undefined, dead: listing.holder }
          : listing,
      ),
    claimAccountListing: (listing) => claimListing(pool, listing, owner, leaseMs),
    renewAccountListing: ({ scope }) => renewListing(pool, scope, owner, leaseMs),
    pauseAccountListing: ({ scope }) => pauseListing(pool, scope, owner),
    countWalkedAccounts: ({ scope }) => countWalked(pool, scope),
    recordAccounts: (listing, page) => recordAccounts(pool, listing.scope, page),
    endAccountListing: (listing, end) => {
      const [first, ...others] = credentials();
      // Of a single credential it is known who has listed.
      const only = others.length === 0 ? first?.name : undefined;
      return endListing(pool, { scope: listing.scope, credential: listing.credential ?? only }, end);
    },
    countAccountListings: () => countListings(pool),
    countAccounts: () => countAccounts(pool),
    refusedAccountListings: async () => (typeof wanted === 'string' ? await refusedListings(pool) : undefined),
    nameAccounts: () => nameAccounts(pool, accountIds),
    takeGoneAccounts: () => markGone(pool, listings(), accountIds),
  } satisfies Partial<SyncStore>;
};

/** For telling the entries of one second apart. */
const readResourceTypes = async (pool: Pool, source: SourceKey, range: Range): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ resource_type: string }>(
    `select resource_type from (
       select resource_type from audit_events where source_kind = $1 and source_id = $2
         and action_time between to_timestamp($3::float8 / 1000) - interval '7 days'
           and to_timestamp($4::float8 / 1000) + interval '7 days' limit 20000) near
     where resource_type <> '' group by 1 order by count(*) desc, 1 limit 20`,
    [source.kind, source.id, range.fromMs, range.toMs],
  );
  return rows.map((row) => row.resource_type);
};

/** An index finds events by it. An entry that names another account is passed over. */
const ownerColumn = (kind: string): string => `${kindOf({ kind }).owner}_id`;

/** Where the newest part begins that holds so many stored events; all of it if it holds fewer. Whole seconds, one at
 * least. */
const newestPart = async (pool: Pool, { kind, id }: SourceKey, { fromMs, toMs }: Range, entries: number) => {
  const { rows } = await pool.query<{ time_ms: number }>(
    `select ${ms('action_time')}::float8 as time_ms from audit_events
     where source_kind = $1 and source_id = $2 and ${ownerColumn(kind)} = $2
       and action_time >= to_timestamp($3::float8 / 1000) and action_time < to_timestamp($4::float8 / 1000)
     order by action_time desc offset $5 limit 1`,
    [kind, id, fromMs, toMs, entries],
  );
  const beforeMs = rows[0]?.time_ms;
  if (beforeMs === undefined) return fromMs;
  const wholeMs = Math.ceil((beforeMs + 1) / 1_000) * 1_000;
  return Math.max(fromMs, Math.min(wholeMs, Math.floor((toMs - 1_000) / 1_000) * 1_000));
};

/**
 * The first stored event in a range, or the last (`desc`). Undefined if there is none, and if another filter set has
 * read some of the source. Not one without an id of its own, which is told by its text alone; never beyond a month that
 * retention has dropped: what is read on the way to it would be stored again.
 */
export const nearestStored = async (
  pool: Pool,
  { kind, id }: SourceKey,
  { fromMs, toMs }: Range,
  { direction, filterHash }: { readonly direction: Direction; readonly filterHash: string },
): Promise<Sentinel | undefined> => {
  const { rows } = await pool.query<{ id: string; time_ms: number }>(
    `select id, floor(${ms('action_time')})::float8 as time_ms from audit_events
     where source_kind = $1 and source_id = $2 and ${ownerColumn(kind)} = $2
       and action_time >= to_timestamp($3::float8 / 1000) and action_time < to_timestamp($4::float8 / 1000)
       and id not like 'sha256:%'
       and not exists (select from retention_drops d where tstzrange(d.month::timestamp at time zone 'UTC',
           (d.month + interval '1 month') at time zone 'UTC') && ${
             direction === 'asc'
               ? `tstzrange(to_timestamp($3::float8 / 1000), action_time, '[]')`
               : `tstzrange(action_time, to_timestamp($4::float8 / 1000))`
           })
       and not exists (select from coverage c where c.source_kind = $1 and c.source_id = $2 and c.filter_hash <> $5)
     order by action_time ${direction === 'asc' ? 'asc' : 'desc'} limit 1`,
    [kind, id, fromMs, toMs, filterHash],
  );
  const [found] = rows;
  return found && { id: found.id, timeMs: found.time_ms };
};

const LOCK_NOT_AVAILABLE = '55P03';
/** The database makes no month before Cloudflare existed. */
const FIRST_MONTH_MS = Date.UTC(2009, 0, 1);

/** From `sinceMs` to two months from now, or to `untilMs`. Called hourly. Makes none while a long transaction reads the
 * table, or another replica makes them, too: the default partition takes the rows, and the next call moves them. */
export const createPartitions = async (pool: Pool, sinceMs: number, untilMs?: number): Promise<number> => {
  // It may have to move rows.
  const statement = longStatement(
    `select orgtrail_create_partitions(to_timestamp($1::float8 / 1000),
       coalesce(to_timestamp($2::float8 / 1000), clock_timestamp() + interval '2 months')) as created`,
    [Math.max(sinceMs, FIRST_MONTH_MS), untilMs ?? null],
  );
  try {
    const { rows } = await pool.query<{ created: number }>(statement);
    return rows[0]?.created ?? 0;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return 0;
    throw error;
  }
};

/** More than walks ask for beyond their claim: a month is read when this much beside it is, too. */
const BESIDE_MONTH_MS = 86_400_000;

interface UnreadOptions {
  readonly nowMs: number;
  readonly untilMs: number;
  /** Beside a month, unread time counts as well. */
  readonly besideMs?: number;
}

/** The months (`2024-01`) not read in full, oldest first, each with one of its sources. A source that Cloudflare
 * refuses counts only where a part of the month has been read. */
export const readUnreadMonths = async (
  pool: Pool,
  kinds: readonly KindPolicy[],
  scope: SourceScope,
  { nowMs, untilMs, besideMs = BESIDE_MONTH_MS }: UnreadOptions,
): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await pool.query<{ month: string; source: string }>(
    `select to_char(month, 'YYYY-MM') as month, min(concat_ws(' ', s.kind, s.id)) as source
     from ${wantedSources(`join unnest($2::text[], $7::float8[]) as h (kind, horizon_ms) on h.kind = s.kind
       left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = k.filter_hash and c.pass = 0
       cross join lateral unnest(tstzmultirange(tstzrange(to_timestamp(least(h.horizon_ms, $8) / 1000), to_timestamp($8::float8 / 1000)))
         - coalesce(c.ranges, '{}')) as gap
       cross join lateral generate_series(date_trunc('month', (lower(gap) - $9::interval) at time zone 'UTC'),
         (upper(gap) + $9::interval - interval '1 microsecond') at time zone 'UTC', interval '1 month') as month`)}
       and $1::text is not null and (not ${REFUSED} or c.ranges && tstzrange((month - $9::interval) at time zone 'UTC',
         (month + interval '1 month' + $9::interval) at time zone 'UTC'))
     group by month order by month`,
    [
      ...scopeParameters('', kinds, scope),
      kinds.map(({ horizonMs }) => horizonMs(nowMs)),
      untilMs,
      `${besideMs} milliseconds`,
    ],
  );
  return new Map(rows.map(({ month, source }) => [month, source]));
};

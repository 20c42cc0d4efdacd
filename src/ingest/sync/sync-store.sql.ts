import type { Pool } from 'pg';
import { isDeadOwner } from '../../postgres/leases.ts';
import { type KindPolicy, keyOf, type SourceKey } from '../planning/source.ts';
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
  createPartitions,
  nearestStored,
  newestPart,
  readResourceTypes,
  readUnreadMonths,
} from './store/entries.sql.ts';
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
  readTime,
  type SourceScope,
  surveySources,
  syncSources,
  trimFuture,
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

import type { Pool } from 'pg';
import { isDeadOwner } from '../../postgres/leases/process-identity.ts';
import type { KindPolicy, SourceKey } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';
import { noteScrub } from './commit/note-scrub.sql.ts';
import { createPageCommits } from './commit/page-commits.sql.ts';
import {
  countAccounts,
  countListings,
  dueListings,
  endListing,
  nameAccounts,
  recordAccountAccess,
  recordAccounts,
  refusedListings,
  takeGone,
} from './discovery/accounts.sql.ts';
import {
  claimDiscovery,
  recordDiscovery,
  releaseDeadDiscovery,
  renewDiscovery,
} from './discovery/discovery-lease.sql.ts';
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
import { kindPolicyOf } from './kind-policy.ts';
import { createPartitions, readUnreadMonths } from './partitions.sql.ts';
import type { SyncStore } from './ports.ts';
import { hasMoreSources, loadSources, readTime, type SourceScope } from './stored-sources/load-sources.sql.ts';
import {
  claimSource,
  recordFailure,
  releaseDead,
  releaseSource,
  renewSource,
} from './stored-sources/source-leases.sql.ts';
import { nearestStored, newestPart, readResourceTypes } from './stored-sources/stored-entries.sql.ts';
import { surveySources } from './stored-sources/survey-sources.sql.ts';
import { syncSources, trimFuture } from './stored-sources/sync-sources.sql.ts';

/** Partitions are made this far ahead of need; the check costs one statement. */
const PARTITION_CHECK_MS = 3_600_000;

/** Receives what the statements do. Implemented by the metrics. */
export interface SyncStoreObserver {
  leaseTaken(): void;
  pageCommitSeconds(seconds: number): void;
}

export interface SyncStoreOptions {
  /** Names this process in leases. */
  readonly owner: string;
  readonly leaseMs: number;
  readonly kinds: readonly KindPolicy[];
  readonly settleDelaysMs: readonly number[];
  /** How much is wanted as of any moment. */
  readonly historyMs: number;
  readonly scope: SourceScope;
  /** Named in the configuration: they are pulled whether or not a listing shows them. */
  readonly accountIds: readonly string[];
  /** The names of the credentials that accounts are read with now. Default: the one without a name of its own. */
  readonly credentials?: () => readonly string[];
  readonly observer: SyncStoreObserver;
}

/** Joins the statements of the store to the port that sync declares. */
export const createSyncStore = (pool: Pool, options: SyncStoreOptions): SyncStore => {
  const { owner, leaseMs, kinds, settleDelaysMs, scope, observer } = options;
  const { organizationIds } = scope;
  const hashOf = (source: SourceKey) => kindPolicyOf(options, source).filterHash;
  const isDead = (other: string) => isDeadOwner(other, owner);
  const commitPage = createPageCommits(pool, leaseMs);
  const load = async () => {
    await releaseDead(pool, isDead);
    return await loadSources(pool, owner, kinds, scope);
  };
  return {
    loadSources: load,
    loadFewSources: async (most) => ((await hasMoreSources(pool, kinds, scope, most)) ? undefined : await load()),
    surveySources: async (take) => {
      await releaseDead(pool, isDead);
      await surveySources(pool, owner, kinds, scope, take);
    },
    loadSourcesOf: (keys) => loadSources(pool, owner, kinds, scope, keys),
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
    recordFailure: (lease, failure) => recordFailure(pool, lease, failure),
    recordAccess: (source, access) =>
      kindOf(source).owner === 'account'
        ? recordAccountAccess(pool, source, access)
        : recordAccess(pool, source.id, access),
    recordListing: (found, listing) => recordListing(pool, found, { ...listing, within: organizationIds }),
    takeMissed: (limit) => takeMissed(pool, limit),
    recordLogAnswer: (organizationId, answer) => recordLogAnswer(pool, organizationId, answer),
    withoutChildrenListed: (limit) => withoutChildrenListed(pool, limit),
    recordChildrenListed: (organizationId) => recordChildrenListed(pool, organizationId),
    ...accountsOf(pool, options),
    claimDiscovery: async (restMs) => {
      const turn = await claimDiscovery(pool, owner, leaseMs, restMs);
      if (turn.mine || !(await releaseDeadDiscovery(pool, isDead))) return turn;
      return await claimDiscovery(pool, owner, leaseMs, restMs);
    },
    renewDiscovery: () => renewDiscovery(pool, owner, leaseMs),
    recordDiscovery: (result) => recordDiscovery(pool, owner, result),
    syncSources: syncWithMonths(pool, options),
    withoutProfile: (limit) => withoutProfile(pool, limit),
    recordProfile: (organizationId, profile) => recordProfile(pool, organizationId, profile),
    recordProfileRefused: (organizationId) => recordProfileRefused(pool, organizationId),
  };
};

/** Syncs the sources, and makes the months that they are read into. */
const syncWithMonths = (pool: Pool, options: SyncStoreOptions): SyncStore['syncSources'] => {
  const { kinds, historyMs } = options;
  const isDeep = kinds.some(({ keptSinceMs }) => keptSinceMs !== undefined);
  let checkedAtMs = Number.NEGATIVE_INFINITY;
  return async (nowMs, oldestMs = nowMs) => {
    const added = await syncSources(pool, kinds, nowMs, historyMs);
    if (performance.now() - checkedAtMs <= PARTITION_CHECK_MS && !(isDeep && added > 0)) return;
    await makeMonths(pool, options, nowMs, oldestMs);
    checkedAtMs = performance.now();
  };
};

/** Of what retention may drop, the months that are not read: the others were dropped, or have no events. */
const makeMonths = async (
  pool: Pool,
  { kinds, scope }: SyncStoreOptions,
  nowMs: number,
  oldestMs: number,
): Promise<void> => {
  const keptMs = Math.min(...kinds.map(({ keptSinceMs, horizonMs }) => (keptSinceMs ?? horizonMs)(nowMs)));
  await createPartitions(pool, Math.min(oldestMs, keptMs));
  if (kinds.every(({ keptSinceMs }) => keptSinceMs === undefined)) return;
  for (const month of (await readUnreadMonths(pool, kinds, scope, { nowMs, untilMs: keptMs })).keys()) {
    await createPartitions(pool, Date.parse(month), Date.parse(month));
  }
};

type AccountStatements =
  | 'dueAccountListings'
  | 'recordAccounts'
  | 'endAccountListing'
  | 'countAccountListings'
  | 'countAccounts'
  | 'refusedAccountListings'
  | 'nameAccounts'
  | 'takeGoneAccounts';

const accountsOf = (pool: Pool, options: SyncStoreOptions): Pick<SyncStore, AccountStatements> => {
  const { scope, accountIds, credentials = () => ['default'] } = options;
  const { organizationIds, accounts: wanted } = scope;
  return {
    dueAccountListings: (limit, mostOfOrganizations) =>
      dueListings(pool, { limit, mostOfOrganizations, organizationIds, wanted, credentials: credentials() }),
    recordAccounts: (listing, accounts) => recordAccounts(pool, listing, accounts),
    endAccountListing: (listing, end) => endListing(pool, listing, end, credentials()),
    countAccountListings: () => countListings(pool),
    countAccounts: () => countAccounts(pool),
    refusedAccountListings: async () => (typeof wanted === 'string' ? await refusedListings(pool) : undefined),
    nameAccounts: () => nameAccounts(pool, accountIds),
    takeGoneAccounts: () => takeGone(pool),
  };
};

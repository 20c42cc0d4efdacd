import type { Pool } from 'pg';
import { isDeadOwner } from '../../postgres/leases/process-identity.ts';
import { commitPage } from './commit/commit-page.sql.ts';
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
  takeMissed,
  withoutChildrenListed,
  withoutProfile,
} from './discovery/organizations.sql.ts';
import { createPartitions } from './partitions.sql.ts';
import type { SyncStore } from './ports.ts';
import {
  claimSource,
  loadSources,
  nearestStored,
  newestPart,
  readResourceTypes,
  readTime,
  recordFailure,
  releaseDead,
  releaseSource,
  renewSource,
  syncSources,
  trimFuture,
} from './sources.sql.ts';

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
  readonly filterHash: string;
  readonly settleDelaysMs: readonly number[];
  /** How much is wanted as of any moment. */
  readonly historyMs: number;
  readonly organizationIds: readonly string[] | undefined;
  readonly observer: SyncStoreObserver;
}

/** Joins the statements of the store to the port that sync declares. */
export const createSyncStore = (pool: Pool, options: SyncStoreOptions): SyncStore => {
  const { owner, leaseMs, filterHash, settleDelaysMs, historyMs, organizationIds, observer } = options;
  const isDead = (other: string) => isDeadOwner(other, owner);
  let partitionsCheckedAtMs = Number.NEGATIVE_INFINITY;
  return {
    loadSources: async () => {
      await releaseDead(pool, isDead);
      return await loadSources(pool, owner, filterHash, organizationIds);
    },
    readTime: async () => {
      const trimmed = await trimFuture(pool, [0, ...settleDelaysMs]);
      return { ...(await readTime(pool)), trimmed };
    },
    resourceTypes: (source, range) => readResourceTypes(pool, source, range),
    newestPart: (source, range, entries) => newestPart(pool, source, range, entries),
    nearestStored: (source, range, direction) => nearestStored(pool, source, range, { direction, filterHash }),
    claim: async (source) => {
      const claimed = await claimSource(pool, source, owner, leaseMs, filterHash);
      if (claimed !== undefined) observer.leaseTaken();
      return claimed;
    },
    renew: (lease) => renewSource(pool, lease, leaseMs),
    commit: async (commit) => {
      const startMs = performance.now();
      const result = await commitPage(pool, commit, leaseMs);
      observer.pageCommitSeconds((performance.now() - startMs) / 1_000);
      return result;
    },
    release: (lease) => releaseSource(pool, lease),
    recordFailure: (lease, failure) => recordFailure(pool, lease, failure),
    recordAccess: (organizationId, access) => recordAccess(pool, organizationId, access),
    recordListing: (found, listing) => recordListing(pool, found, { ...listing, within: organizationIds }),
    takeMissed: (limit) => takeMissed(pool, limit),
    recordLogAnswer: (organizationId, answer) => recordLogAnswer(pool, organizationId, answer),
    withoutChildrenListed: (limit) => withoutChildrenListed(pool, limit),
    recordChildrenListed: (organizationId) => recordChildrenListed(pool, organizationId),
    claimDiscovery: async (restMs) => {
      const turn = await claimDiscovery(pool, owner, leaseMs, restMs);
      if (turn.mine || !(await releaseDeadDiscovery(pool, isDead))) return turn;
      return await claimDiscovery(pool, owner, leaseMs, restMs);
    },
    renewDiscovery: () => renewDiscovery(pool, owner, leaseMs),
    recordDiscovery: (result) => recordDiscovery(pool, owner, result),
    syncSources: async (horizonMs, oldestMs = horizonMs) => {
      if (performance.now() - partitionsCheckedAtMs > PARTITION_CHECK_MS) {
        await createPartitions(pool, Math.min(horizonMs, oldestMs));
        partitionsCheckedAtMs = performance.now();
      }
      await syncSources(pool, filterHash, horizonMs, historyMs);
    },
    withoutProfile: (limit) => withoutProfile(pool, limit),
    recordProfile: (organizationId, profile) => recordProfile(pool, organizationId, profile),
  };
};

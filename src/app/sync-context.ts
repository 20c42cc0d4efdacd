import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { laneIntervals } from '../ingest/planning/polling/lane-intervals.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import { discoveryPace } from '../ingest/sync/discovery/discovery-pace.ts';
import type { AuditApi, ScrubLeave, SyncContext, SyncObserver } from '../ingest/sync/ports.ts';
import type { ReadingCredential } from '../ingest/sync/stored-sources/source-leases.sql.ts';
import { createSyncStore, type SyncStoreObserver } from '../ingest/sync/sync-store.sql.ts';
import { WindowLimit } from '../ingest/sync/window-limit.ts';
import type { Pool } from '../postgres/pool.ts';
import { teeObserver } from '../telemetry/tee-observer.ts';
import { historyOf, sourceScopeOf } from './collection-window.ts';

export interface SyncParts {
  readonly pool: Pool;
  readonly api: AuditApi;
  /** Names this process in leases. */
  readonly owner: string;
  readonly kinds: readonly KindPolicy[];
  /** Made known whether or not a listing shows them. */
  readonly namedAccounts: readonly string[];
  /** Those that are read with now. */
  readonly credentials: () => readonly ReadingCredential[];
  /** Of one credential, the smallest: requests in any 5 minutes. */
  readonly smallestBudget: number;
  readonly budgets: SyncContext['budgets'];
  /** Undefined: history is not read a second time. */
  readonly scrub: ScrubLeave | undefined;
  readonly storeObserver: SyncStoreObserver;
  readonly observers: readonly SyncObserver[];
}

/** All that syncing sees of the outside, from the configuration. Called by open-app.ts. */
export const createSyncContext = (config: Config, parts: SyncParts): SyncContext => {
  const { leaseMs, organizationIds, settleDelaysMs, concurrency, tickMs } = config;
  const { pool, api, owner, kinds, scrub } = parts;
  const historyMs = historyOf(config);
  return {
    api,
    leaseMs,
    kinds,
    settleDelaysMs,
    organizationIds,
    concurrency,
    tickMs,
    scrub,
    store: createSyncStore(pool, {
      owner,
      leaseMs,
      kinds,
      settleDelaysMs,
      historyMs,
      scope: sourceScopeOf(config),
      accountIds: parts.namedAccounts,
      credentials: parts.credentials,
      observer: parts.storeObserver,
    }),
    time: {
      nowMs: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, { ref: false, ...(signal && { signal }) }),
    },
    observer: teeObserver<SyncObserver>(syncEvents, parts.observers),
    windows: new WindowLimit({ nowMs: () => performance.now() }),
    organizationListing: {
      restsUntilMs: Number.NEGATIVE_INFINITY,
      requests: 0,
      organizations: 0,
      detailsAfterMs: Number.NEGATIVE_INFINITY,
      askedById: new Set(),
    },
    discoveryPace: discoveryPace(parts.smallestBudget),
    intervals: (sources, requests = config.apiBudget) => laneIntervals(sources, requests),
    budgets: parts.budgets,
    random: Math.random,
  };
};

const syncEvents = [
  'discovered',
  'organizationChanged',
  'accountChanged',
  'accountsListed',
  'accountListingEmpty',
  'accountListingFailed',
  'missedButOpen',
  'discoveryFailed',
  'jobsPlanned',
  'pageCommitted',
  'walkEnded',
  'sourceSettled',
  'windowNarrowed',
  'holeFound',
  'scrubFound',
  'clocksCompared',
  'futureTrimmed',
  'sourceFailed',
] as const satisfies readonly (keyof SyncObserver)[];

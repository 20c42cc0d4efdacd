import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { laneIntervals } from '../ingest/planning/polling/lane-intervals.ts';
import type { AuditApi, ScrubLeave, SyncContext, SyncObserver } from '../ingest/sync/ports.ts';
import { createSyncStore, type SyncStoreObserver } from '../ingest/sync/sync-store.sql.ts';
import { WindowLimit } from '../ingest/sync/window-limit.ts';
import type { Pool } from '../postgres/pool.ts';
import { teeObserver } from '../telemetry/tee-observer.ts';
import { historyOf, horizonOf } from './collection-window.ts';

export interface SyncParts {
  readonly pool: Pool;
  readonly api: AuditApi;
  /** Names this process in leases. */
  readonly owner: string;
  readonly filterHash: string;
  /** Undefined: history is not read a second time. */
  readonly scrub: ScrubLeave | undefined;
  readonly storeObserver: SyncStoreObserver;
  readonly observers: readonly SyncObserver[];
}

/** All that syncing sees of the outside, from the configuration. Called by open-app.ts. */
export const createSyncContext = (config: Config, parts: SyncParts): SyncContext => {
  const { leaseMs, organizationIds, settleDelaysMs, filters, concurrency, tickMs } = config;
  const { pool, api, owner, filterHash, scrub } = parts;
  const historyMs = historyOf(config);
  const leases = { owner, leaseMs, filterHash };
  return {
    api,
    leaseMs,
    filterHash,
    filters,
    settleDelaysMs,
    organizationIds,
    concurrency,
    tickMs,
    scrub,
    store: createSyncStore(pool, {
      ...leases,
      settleDelaysMs,
      historyMs,
      organizationIds,
      observer: parts.storeObserver,
    }),
    time: {
      nowMs: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, { ref: false, ...(signal && { signal }) }),
    },
    observer: teeObserver<SyncObserver>(syncEvents, parts.observers),
    horizonMs: (nowMs) => horizonOf(config, nowMs),
    windows: new WindowLimit({ nowMs: () => performance.now() }),
    intervals: (sources) => laneIntervals(sources, config.apiBudget),
    random: Math.random,
  };
};

const syncEvents = [
  'discovered',
  'organizationChanged',
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

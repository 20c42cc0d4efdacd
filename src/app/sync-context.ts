import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { readDroppedUnderOthers } from '../archive/retention.sql.ts';
import { formatDuration, type Time } from '../base/time.ts';
import { laneIntervals } from '../ingest/planning/planner.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import type { Filter } from '../ingest/planning/walk.ts';
import { kindOf } from '../ingest/sources/registry.ts';
import { canonicalFilters, RETENTION_MS } from '../ingest/sources/source-kind.ts';
import { discoveryPace, type SyncContext, type SyncObserver } from '../ingest/sync/ports.ts';
import type { ReadingCredential } from '../ingest/sync/store/leases.sql.ts';
import type { SourceScope } from '../ingest/sync/store/sources.sql.ts';
import { createSyncStore, readUnreadMonths, type SyncStoreObserver } from '../ingest/sync/sync-store.sql.ts';
import { WindowLimit } from '../ingest/sync/window-limit.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Config } from './config/config.ts';
import { teeObserver } from './telemetry/log.ts';

interface SyncParts extends Pick<SyncContext, 'api' | 'kinds' | 'budgets' | 'scrub'> {
  readonly pool: Pool;
  readonly owner: string;
  readonly namedAccounts: readonly string[];
  readonly credentials: () => readonly ReadingCredential[];
  readonly smallestBudget: number;
  readonly storeObserver: SyncStoreObserver;
  readonly observers: readonly SyncObserver[];
}

export const createSyncContext = (config: Config, parts: SyncParts): SyncContext => {
  const { leaseMs, organizationIds, settleDelaysMs, concurrency, tickMs } = config;
  const { pool, api, owner, kinds, scrub } = parts;
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
      historyMs: historyOf(config),
      scope: sourceScopeOf(config),
      accountIds: parts.namedAccounts,
      credentials: parts.credentials,
      observer: parts.storeObserver,
    }),
    time: processTime(),
    observer: teeObserver<SyncObserver>(syncEvents, parts.observers),
    windows: new WindowLimit({ nowMs: () => performance.now() }),
    organizationListing: {
      restsUntilMs: Number.NEGATIVE_INFINITY,
      requests: 0,
      organizations: 0,
      detailsAfterMs: Number.NEGATIVE_INFINITY,
      askedById: new Set(),
    },
    discoveryPace: discoveryPace(parts.smallestBudget, () => parts.credentials().length),
    intervals: (sources, requests = config.apiBudget) => laneIntervals(sources, requests),
    budgets: parts.budgets,
    random: Math.random,
  };
};

/** Each caller has one of its own, which a test can slow down. */
export const processTime = (): Time => ({
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { ref: false, ...(signal && { signal }) }),
});

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

const sourceScopeOf = ({ accounts, organizationIds }: Pick<Config, 'accounts' | 'organizationIds'>): SourceScope => ({
  organizationIds,
  // Named organizations are all that is asked for: an account must belong to one of them.
  accounts: accounts === 'all' && organizationIds !== undefined ? 'organizations' : accounts,
});

type Wanted = Pick<Config, 'history' | 'retentionMs' | 'archive'>;

/** The configured start, the end of what is kept here or of what Cloudflare keeps, whichever is latest. Whole seconds. */
export const horizonOf = (config: Wanted, nowMs: number): number => {
  const { history } = config;
  const startMs = 'sinceMs' in history ? history.sinceMs : Number.NEGATIVE_INFINITY;
  return wholeSecond(Math.max(startMs, nowMs - historyOf(config)));
};

const wholeSecond = (ms: number): number => Math.floor(ms / 1_000) * 1_000;

/** As of any moment. What retention drops into an archive is wanted. */
const historyOf = ({ history, retentionMs, archive }: Wanted): number =>
  Math.min(
    'durationMs' in history ? history.durationMs : Number.POSITIVE_INFINITY,
    RETENTION_MS,
    archive === undefined ? retentionMs : Number.POSITIVE_INFINITY,
  );

/** `droppedUntilMs`: of some kinds, nothing older is wanted. */
export const kindPolicies = (
  config: Config,
  droppedUntilMs: ReadonlyMap<string, number> = new Map(),
): readonly KindPolicy[] =>
  config.sources.map((kind) => {
    const { retentionMs, firstEntryMs = Number.NEGATIVE_INFINITY } = kindOf({ kind });
    const filters = config.filters[kind];
    const oldestMs = Math.max(firstEntryMs, droppedUntilMs.get(kind) ?? Number.NEGATIVE_INFINITY);
    return {
      kind,
      filters,
      filterHash: hashFilters(filters),
      horizonMs: (nowMs) => Math.max(horizonOf(config, nowMs), nowMs - retentionMs, oldestMs),
      keptSinceMs: hasDeepHistory(config) ? (nowMs) => wholeSecond(nowMs - config.retentionMs) : undefined,
    };
  });

const hasDeepHistory = ({ archive, retentionMs }: Wanted): boolean =>
  archive !== undefined && Number.isFinite(retentionMs);

/** What was dropped and had been read under other filters counts as read: it would be stored a second time. */
export const kindPoliciesWithDrops = async (config: Config, pool: Pool): Promise<readonly KindPolicy[]> =>
  kindPolicies(config, await readDroppedUnderOthers(pool, kindPolicies(config)));

export const unreadMonthsOf = (
  config: Config,
  pool: Pool,
  kinds: readonly KindPolicy[],
  olderThanMs = config.retentionMs,
): Promise<ReadonlyMap<string, string>> => {
  const nowMs = Date.now();
  const untilMs = nowMs - olderThanMs;
  return readUnreadMonths(pool, kinds, sourceScopeOf(config), { nowMs, untilMs });
};

/** Months not read because of the retention. Undefined: none. */
export const describeNotRead = async (config: Config, pool: Pool): Promise<string | undefined> => {
  const { retentionMs, archive } = config;
  if (archive !== undefined || !Number.isFinite(retentionMs)) return undefined;
  const nowMs = Date.now();
  const kinds = kindPolicies({ ...config, retentionMs: Number.POSITIVE_INFINITY });
  const options = { nowMs, untilMs: nowMs - retentionMs, besideMs: 0 };
  const months = [...(await readUnreadMonths(pool, kinds, sourceScopeOf(config), options)).keys()];
  if (months.length === 0) return undefined;
  const [are, from] = months.length === 1 ? ['month', months[0]] : ['months', `${months[0]} to ${months.at(-1)}`];
  return `${months.length} ${are} (${from}) are not read, or not in full: ORGTRAIL_RETENTION is ${formatDuration(retentionMs)}, and there is no ORGTRAIL_ARCHIVE`;
};

/** `none` without filters, so that people can read the common case in the tables. */
const hashFilters = (filters: readonly Filter[]): string =>
  filters.length === 0 ? 'none' : createHash('sha256').update(canonicalFilters(filters)).digest('hex').slice(0, 16);

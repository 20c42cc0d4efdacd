import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import manifest from '../package.json' with { type: 'json' };
import { openAccess } from './access.ts';
import { connectAuditApi } from './audit-api.ts';
import type { Timeouts } from './cloudflare/connection-failure.ts';
import type { Credential } from './cloudflare/credential.ts';
import { createServerClock } from './cloudflare/server-clock.ts';
import type { Config } from './config.ts';
import { type Database, type DatabasePatience, openDatabase } from './database.ts';
import { canonicalFilters } from './domain/filters.ts';
import { laneIntervals } from './domain/lane-intervals.ts';
import { RETENTION_MS } from './domain/retention.ts';
import { OrgtrailError, reasonOf } from './errors.ts';
import { collectionRulesOf, openExplorer } from './explorer.ts';
import { openFeed } from './feed.ts';
import type { AccessSource } from './http/access-source.ts';
import type { FeedSource } from './http/feed.ts';
import type { SearchSource } from './http/search.ts';
import { createStreamLimits, MOST_FEED_STREAMS, type StreamLimits } from './http/stream-limits.ts';
import { fixedSecrets, type LiveSecrets } from './live-secrets.ts';
import { migrateWithLog } from './log-migration.ts';
import { logSync } from './log-sync.ts';
import type { Metrics, MetricsSource } from './metrics.ts';
import { watchNames } from './organization-names.ts';
import { PieceMemory } from './piece-memory.ts';
import { createProcessIdentity } from './process-identity.ts';
import { createSinkTroubles, type SinkTroubles } from './sink-troubles.ts';
import { type ApiBudget, createApiBudget, credentialFingerprint } from './store/api-budget.ts';
import { requireCurrentSchema } from './store/migrate.ts';
import { isRefusal } from './store/pool.ts';
import { createScrubBudget } from './store/scrub-budget.ts';
import { readScrubAge } from './store/scrub-status.ts';
import { readSinkStatus, type SinkStatus, unknownSink } from './store/sink-status.ts';
import { countOrganizations, countVanished, readStatus, type Status } from './store/status.ts';
import type { AuditApi, ScrubLeave, SyncContext, SyncObserver } from './sync/ports.ts';
import { WindowLimit } from './sync/window-limit.ts';
import { createSyncStore } from './sync-store.ts';

export const version: string = manifest.version;

export interface App {
  readonly database: Database;
  /** Names this process in leases. */
  readonly owner: string;
  readonly sync: SyncContext;
  readonly metricsSource: MetricsSource;
  readonly feed: FeedSource;
  readonly search: SearchSource;
  readonly streams: StreamLimits;
  /** Tokens, sessions and the trail of access. */
  readonly access: AccessSource;
  status(): Promise<Status>;
  /** How the configured sinks stand. */
  sinks(): Promise<readonly SinkStatus[]>;
  /** What goes wrong with them in this process. */
  readonly sinkTroubles: SinkTroubles;
  /** Closes everything, the database last. */
  close(): Promise<void>;
}

/** Gives ids, from what the database and Cloudflare know. */
export type ChooseOrganizations = (pool: Pool, api: AuditApi) => Promise<readonly string[]>;

export interface AppOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Hears of everything as well: the progress of a verb. */
  readonly observer?: SyncObserver;
  readonly databasePatience?: DatabasePatience;
  /** How long each phase of a request may take, where that is not the default: for tests. */
  readonly timeouts?: Partial<Timeouts>;
  /** Default: those of the configuration, for good. */
  readonly secrets?: LiveSecrets | undefined;
  /** Throws OrgtrailError when there is no database, or its schema is of another version, instead of making them. */
  readonly readsOnly?: boolean;
  /** Chooses the organizations to work on, in place of those of the configuration. */
  readonly chooseOrganizations?: ChooseOrganizations | undefined;
  /** What Cloudflare's clock is carried on by between two answers; steady. Default `performance.now`. */
  readonly steadyMs?: () => number;
}

/** The composition root: opens and wires everything that syncing needs. Migrates the schema first, unless `readsOnly`. */
export const openApp = async (config: Config, options: AppOptions): Promise<App> => {
  if (config.credential === undefined) throw new OrgtrailError('configuration', 'no credential');
  for (const warning of config.warnings) options.logger.warn(warning);
  const { databasePatience: patience, readsOnly = false, secrets = fixedSecrets(config) } = options;
  const latestUrl = secrets.databaseUrl;
  const database = await openDatabase(config, options.logger, { patience, mustExist: readsOnly, latestUrl });
  try {
    if (readsOnly) await requireCurrentSchema(database.pool);
    else await migrateWithLog(database.pool, options.logger);
    return await compose(config, database, { ...options, secrets });
  } catch (error) {
    await database.close();
    throw error;
  }
};

type ComposeOptions = AppOptions & { readonly secrets: LiveSecrets };

const compose = async (given: Config, database: Database, options: ComposeOptions): Promise<App> => {
  const { logger, metrics, secrets } = options;
  const fingerprint = () => fingerprintOf(secrets.credential.current());
  const { pool } = database;
  const budget = openBudget(given, pool, fingerprint, { metrics, logger });
  const clock = createServerClock(options.steadyMs ?? (() => performance.now()));
  const { api: plainApi, close: closeApi } = connectAuditApi(given, {
    ...{ credential: secrets.credential, budget, clock, metrics, logger, version },
    timeouts: options.timeouts,
  });
  const { api, nameOf, config } = await prepare(given, pool, plainApi, options).catch(async (error: unknown) => {
    await closeApi();
    throw error;
  });
  const filterHash = hashFilters(config);
  const owner = createProcessIdentity();
  const { leaseMs, organizationIds, settleDelaysMs } = config;
  const historyMs = historyOf(config);
  const store = createSyncStore(pool, {
    ...{ owner, leaseMs, filterHash, settleDelaysMs, historyMs, organizationIds, metrics },
  });
  const { memory, streams, streamLoad } = openStreams(config, metrics);
  const feed = openFeed(database.latestUrl, logger, memory);
  const explorer = openExplorer(database.latestUrl, logger, Date.now, collectionRulesOf(config));
  const access = openAccess({ pool, logger, onLost: metrics.http.accessNotesLost });
  const status = () => readStatus(pool, config.organizationIds);
  const sinkTroubles = createSinkTroubles();
  const sinks = async () => sinkTroubles.addTo(await readSinks(pool, config));
  return {
    database,
    owner,
    sync: {
      api,
      store,
      time: {
        nowMs: () => performance.now(),
        sleep: (ms, signal) => sleep(ms, undefined, { ref: false, ...(signal && { signal }) }),
      },
      leaseMs,
      observer: combine([metrics.sync, logSync(logger, () => performance.now(), nameOf), options.observer ?? {}]),
      filterHash,
      filters: config.filters,
      settleDelaysMs,
      horizonMs: (nowMs) => horizonOf(config, nowMs),
      organizationIds,
      concurrency: config.concurrency,
      windows: new WindowLimit({ nowMs: () => performance.now() }),
      intervals: (sources) => laneIntervals(sources, config.apiBudget),
      tickMs: config.tickMs,
      random: Math.random,
      scrub: openScrub(config, pool, fingerprint),
    },
    metricsSource: metricsOf(config, pool, budget, filterHash, { status, sinks, streamLoad }),
    ...{ feed: feed.source, search: explorer.source, streams, access: access.source },
    ...{ status, sinks, sinkTroubles },
    close: async () => {
      await closeApi();
      await feed.close();
      await explorer.close();
      await access.close();
      await database.close();
    },
  };
};

/** The limits of what is sent at once, and how far they are used. */
const openStreams = ({ http: { stallTimeoutMs } }: Config, metrics: Metrics) => {
  const memory = new PieceMemory({ streams: MOST_FEED_STREAMS });
  const streams = createStreamLimits(stallTimeoutMs, metrics.streams);
  return { memory, streams, streamLoad: () => ({ streams: streams.load(), memoryBytes: memory.lentBytes }) };
};

/** What the database refuses to tell shows as a failure of each sink. */
const readSinks = async (pool: Pool, { sinks }: Config): Promise<readonly SinkStatus[]> => {
  if (sinks.length === 0) return [];
  try {
    return await readSinkStatus(
      pool,
      sinks.map(({ name }) => name),
    );
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return sinks.map(({ name, settings }) => unknownSink(name, settings.type, reasonOf(error)));
  }
};

/** Learns the names of organizations, and chooses those to work on. */
const prepare = async (config: Config, pool: Pool, plainApi: AuditApi, options: AppOptions) => {
  const { api, nameOf } = watchNames(pool, plainApi);
  const organizationIds = await options.chooseOrganizations?.(pool, api);
  return { api, nameOf, config: organizationIds === undefined ? config : { ...config, organizationIds } };
};

const metricsOf = (
  { scrub, organizationIds }: Config,
  pool: Pool,
  budget: ApiBudget,
  filterHash: string,
  more: Pick<MetricsSource, 'status' | 'sinks' | 'streamLoad'>,
): MetricsSource => ({
  ...more,
  organizationCounts: () => countOrganizations(pool),
  vanishedCount: () => countVanished(pool),
  scrubRoundAge: async () => (scrub.share === 0 ? undefined : await readScrubAge(pool, filterHash, organizationIds)),
  budgetAvailable: budget.available,
  blockedSeconds: budget.blockedSeconds,
});

const fingerprintOf = (credential: Credential): string =>
  credentialFingerprint(credential.kind === 'token' ? credential.token : `${credential.email}\0${credential.key}`);

type Fingerprint = () => string;

const openScrub = (config: Config, pool: Pool, fingerprint: Fingerprint): ScrubLeave | undefined => {
  const { apiBudget: requestsPerWindow, scrub, tickMs } = config;
  if (scrub.share === 0) return undefined;
  const { share, everyMs } = scrub;
  return { everyMs, ...createScrubBudget({ pool, fingerprint, requestsPerWindow, share, tickMs }) };
};

const openBudget = (
  config: Config,
  pool: Pool,
  fingerprint: Fingerprint,
  { metrics, logger }: Pick<AppOptions, 'metrics' | 'logger'>,
): ApiBudget => {
  return createApiBudget({
    pool,
    fingerprint,
    requestsPerWindow: config.apiBudget,
    onWait: (waitMs, because) => {
      metrics.throttled(waitMs);
      if (waitMs > 10_000) logger.warn({ waitMs: Math.round(waitMs), because }, 'requests to Cloudflare wait');
    },
  });
};

/**
 * The oldest time wanted: the configured start, the end of what is kept here or of what Cloudflare keeps, whichever is
 * latest. Whole seconds.
 */
export const horizonOf = (config: Pick<Config, 'history' | 'retentionMs'>, nowMs: number): number => {
  const { history } = config;
  const startMs = 'sinceMs' in history ? history.sinceMs : Number.NEGATIVE_INFINITY;
  return Math.floor(Math.max(startMs, nowMs - historyOf(config)) / 1_000) * 1_000;
};

/** How much is wanted at most, as of any moment. */
const historyOf = ({ history, retentionMs }: Pick<Config, 'history' | 'retentionMs'>): number =>
  Math.min('durationMs' in history ? history.durationMs : Number.POSITIVE_INFINITY, RETENTION_MS, retentionMs);

/** `none` without filters, so that people can read the common case in the tables. */
const hashFilters = (config: Config): string =>
  config.filters.length === 0
    ? 'none'
    : createHash('sha256').update(canonicalFilters(config.filters)).digest('hex').slice(0, 16);

/** One observer that tells all of them, in order. */
const combine = (observers: readonly SyncObserver[]): SyncObserver => {
  const names = [
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
  return Object.fromEntries(
    names.map((name) => [
      name,
      (event: never) => {
        for (const observer of observers) observer[name]?.(event);
      },
    ]),
  );
};

import type { Logger } from 'pino';
import { requireNoRestore } from '../archive/catalogue.sql.ts';
import { reasonOf } from '../base/errors.ts';
import { createStreamLimits } from '../base/limits.ts';
import { version } from '../base/package-files.ts';
import { openFeed } from '../feed/open-feed.ts';
import { createServerClock } from '../ingest/cloudflare/wire/request.ts';
import type { Timeouts } from '../ingest/cloudflare/wire/transport.ts';
import { kindPolicyOf } from '../ingest/sync/plan-jobs.ts';
import type { AuditApi, SyncObserver } from '../ingest/sync/ports.ts';
import { openAccess } from '../postgres/access/open-access.sql.ts';
import { createProcessIdentity } from '../postgres/leases.ts';
import type { Pool } from '../postgres/pool.ts';
import { requireCurrentSchema } from '../postgres/schema/migrate.ts';
import { isRefusal } from '../postgres/sql-state.ts';
import { watchNames } from '../search/names/names.sql.ts';
import { openExplorer } from '../search/search-source.ts';
import { createSinkTroubles, readSinkStatus, type SinkStatus, unknownSink } from '../sinks/sink-status.sql.ts';
import { collectionRulesOf } from '../status/health.ts';
import { createMetricsSource } from '../status/scrape.sql.ts';
import { readStatus } from '../status/status.sql.ts';
import { createStatusReader } from '../status/status-reader.sql.ts';
import { statusScopeOf } from '../status/status-scope.sql.ts';
import { archivedEventsOf } from './archive.ts';
import { apiObservers, openAccessToApi, requireCredential, smallestBudget } from './cloudflare-access.ts';
import type { Config } from './config/config.ts';
import { fixedSecrets, type LiveSecrets } from './config/live-secrets.ts';
import { type Database, type DatabaseWait, openDatabase } from './open-database.ts';
import { createSyncContext, kindPolicies, kindPoliciesWithDrops } from './sync-context.ts';
import { migrateWithLog } from './telemetry/log.ts';
import { logSync } from './telemetry/log-sync.ts';
import type { Metrics } from './telemetry/metrics.ts';

export type App = Awaited<ReturnType<typeof openApp>>;

export interface ChosenSources extends Pick<Config, 'sources' | 'organizationIds' | 'accounts'> {
  readonly newAccounts: readonly string[];
}

export type ChooseSources = (config: Config, pool: Pool, api: AuditApi) => Promise<ChosenSources>;

export interface AppOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly observer?: SyncObserver;
  readonly databaseWait?: DatabaseWait;
  readonly timeouts?: Partial<Timeouts>;
  /** Default: those of the configuration, unchanging. */
  readonly secrets?: LiveSecrets | undefined;
  /** Throws OrgtrailError instead of making a database or its schema. */
  readonly readsOnly?: boolean;
  readonly chooseSources?: ChooseSources | undefined;
  /** Steady; carries Cloudflare's clock on between two answers. Default `performance.now`. */
  readonly steadyMs?: () => number;
}

/** The composition root. Migrates the schema first, unless `readsOnly`. */
export const openApp = async (config: Config, options: AppOptions) => {
  requireCredential(config);
  for (const warning of config.warnings) options.logger.warn(warning);
  const { databaseWait: wait, readsOnly = false, secrets = fixedSecrets(config) } = options;
  const latestUrl = secrets.databaseUrl;
  const database = await openDatabase(config, options.logger, { wait, mustExist: readsOnly, latestUrl });
  try {
    if (readsOnly) await requireCurrentSchema(database.pool);
    else {
      await migrateWithLog(database.pool, options.logger);
      await requireNoRestore(database.pool);
    }
    return await compose(config, database, { ...options, secrets });
  } catch (error) {
    await database.close();
    throw error;
  }
};

const compose = async (given: Config, database: Database, options: AppOptions & { readonly secrets: LiveSecrets }) => {
  const { logger, metrics, secrets } = options;
  const { pool } = database;
  const inForce = { kinds: kindPolicies(given) };
  const clock = createServerClock(options.steadyMs ?? (() => performance.now()));
  const { names, onListed } = watchNames(pool);
  const access = openAccessToApi({
    config: given,
    pool,
    secrets,
    metrics,
    logger,
    connection: {
      baseUrl: given.baseUrl,
      filtersOf: (source) => kindPolicyOf(inForce, source).filters,
      clock,
      version,
      fastPath: given.fastPath,
      ...apiObservers(metrics, logger),
      onListed,
      timeouts: options.timeouts,
    },
  });
  const { config, namedAccounts } = await prepare(given, pool, access.api, options).catch(async (error: unknown) => {
    await access.close();
    throw error;
  });
  const kinds = await kindPoliciesWithDrops(config, pool);
  const owner = createProcessIdentity();
  const readers = openReaders(config, database, { metrics, logger });
  const scope = statusScopeOf(config);
  const statusReader = createStatusReader(pool, scope);
  const sinkTroubles = createSinkTroubles();
  const sinks = async () => sinkTroubles.addTo(await readSinks(pool, config));
  return {
    database,
    owner,
    /** Under the configuration or as a command chose. */
    scope: config satisfies Pick<Config, 'sources' | 'organizationIds' | 'accounts'>,
    sync: createSyncContext(config, {
      pool,
      api: access.api,
      owner,
      kinds,
      namedAccounts,
      credentials: access.credentials,
      smallestBudget: smallestBudget(given),
      budgets: access.budgets,
      scrub: access.scrub,
      storeObserver: metrics,
      observers: [metrics.sync, logSync(logger, () => performance.now(), names), options.observer ?? {}],
    }),
    metricsSource: createMetricsSource(config, pool, access.budget, kinds, { statusReader, ...readers, sinks }),
    feed: readers.feed,
    search: readers.search,
    streams: readers.streams,
    access: readers.access,
    status: () => readStatus(pool, scope),
    statusReader,
    sinks,
    operations: { config, pool, slowPool: readers.slowPool, sinks },
    /** What goes wrong with them in this process. */
    sinkTroubles,
    close: async (): Promise<void> => {
      await access.close();
      await readers.close();
      await database.close();
    },
  };
};

/** Each on connections of its own. */
const openReaders = (config: Config, { pool, latestUrl }: Database, { metrics, logger }: AppOptions) => {
  const streams = createStreamLimits(config.http.stallTimeoutMs, metrics.streams);
  const { memory } = streams;
  const feed = openFeed(latestUrl, logger, { memory, openArchive: archivedEventsOf(config) });
  const rules = { ...collectionRulesOf(config), accounts: config.accounts };
  const explorer = openExplorer(latestUrl, logger, Date.now, rules, memory);
  const access = openAccess({
    pool,
    logger,
    onLost: metrics.http.accessNotesLost,
    onLimit: metrics.http.accessLimitReached,
  });
  return {
    feed: feed.source,
    search: explorer.source,
    slowPool: explorer.pool,
    access: access.source,
    streams,
    streamLoad: () => ({ streams: streams.load(), memoryBytes: memory.lentBytes }),
    close: async () => {
      await feed.close();
      await explorer.close();
      await access.close();
    },
  };
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

/** Chooses the sources to work on. */
const prepare = async (config: Config, pool: Pool, api: AuditApi, options: AppOptions) => {
  const chosen = await options.chooseSources?.(config, pool, api);
  if (chosen === undefined) {
    return { config, namedAccounts: typeof config.accounts === 'string' ? [] : config.accounts };
  }
  const { newAccounts, ...sources } = chosen;
  return { config: { ...config, ...sources }, namedAccounts: newAccounts };
};

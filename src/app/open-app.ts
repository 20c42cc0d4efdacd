import type { Logger } from 'pino';
import { readArchiveOverview, readArchiveStatus } from '../archive/archive-status.sql.ts';
import { readHolds } from '../archive/holds.sql.ts';
import { reasonOf } from '../base/errors.ts';
import { createStreamLimits, type StreamLimits } from '../base/limits.ts';
import { version } from '../base/package-files.ts';
import { readEvidenceStatus } from '../evidence/stored/evidence-status.sql.ts';
import type { FeedSource } from '../feed/feed.ts';
import { openFeed } from '../feed/open-feed.ts';
import type { AccessSource } from '../http/access/access.ts';
import { readAccessPage } from '../http/access/access-log.sql.ts';
import { openAccess } from '../http/access/open-access.sql.ts';
import { readTokenOverview } from '../http/access/tokens.sql.ts';
import type { OperationsSource, ShownSink } from '../http/console/operations.ts';
import { createServerClock } from '../ingest/cloudflare/wire/rate-limit-headers.ts';
import type { Timeouts } from '../ingest/cloudflare/wire/transport.ts';
import type { KindPolicy } from '../ingest/planning/source.ts';
import { kindPolicyOf } from '../ingest/sync/plan-jobs.ts';
import type { AuditApi, SyncContext, SyncObserver } from '../ingest/sync/ports.ts';
import { createProcessIdentity } from '../postgres/leases.ts';
import type { Pool } from '../postgres/pool.ts';
import { requireCurrentSchema } from '../postgres/schema/migrate.ts';
import { isRefusal } from '../postgres/sql-state.ts';
import { watchNames } from '../search/names/names.sql.ts';
import type { SearchSource } from '../search/ports.ts';
import { openExplorer } from '../search/search-source.ts';
import { listFindings, readEventMarks } from '../sinks/findings/list-findings.sql.ts';
import { muteDetection, readMutes, unmuteDetection } from '../sinks/findings/mutes.sql.ts';
import { planReplay, readReplayer, replaySink } from '../sinks/replay.sql.ts';
import {
  createSinkTroubles,
  readDeadLetterPage,
  readSinkStatus,
  type SinkStatus,
  type SinkTroubles,
  unknownSink,
} from '../sinks/sink-status.sql.ts';
import { readScrubRounds, readScrubTotals, readVerifyRuns } from '../status/checks.sql.ts';
import { collectionRulesOf } from '../status/health.ts';
import { countAccountListings, type MetricsSource, readScrubAge } from '../status/scrape.sql.ts';
import { countGoneAccounts, countOrganizations, countVanished, readStatus, type Status } from '../status/status.sql.ts';
import { createStatusReader, type StatusReader } from '../status/status-reader.sql.ts';
import { statusScopeOf } from '../status/status-scope.sql.ts';
import { archivedEventsOf, searchedArchiveOf } from './archive.ts';
import {
  type ApiAccess,
  apiObservers,
  openAccessToApi,
  requireCredential,
  smallestBudget,
} from './cloudflare-access.ts';
import type { Config } from './config/config.ts';
import { fixedSecrets, type LiveSecrets } from './config/live-secrets.ts';
import { type Database, type DatabaseWait, openDatabase } from './open-database.ts';
import { createSyncContext, kindPolicies, kindPoliciesWithDrops } from './sync-context.ts';
import { migrateWithLog } from './telemetry/log.ts';
import { logSync } from './telemetry/log-sync.ts';
import type { Metrics } from './telemetry/metrics.ts';

export interface App {
  readonly database: Database;
  /** Names this process in leases. */
  readonly owner: string;
  readonly sync: SyncContext;
  /** What is read, under the configuration or as a command chose. */
  readonly scope: Pick<Config, 'sources' | 'organizationIds' | 'accounts'>;
  readonly metricsSource: MetricsSource;
  readonly feed: FeedSource;
  readonly search: SearchSource;
  readonly streams: StreamLimits;
  /** Tokens, sessions and the trail of access. */
  readonly access: AccessSource;
  /** With every source, however many there are. */
  status(): Promise<Status>;
  readonly statusReader: StatusReader;
  /** How the configured sinks stand. */
  sinks(): Promise<readonly SinkStatus[]>;
  /** What the console's pages of operation show. */
  readonly operations: OperationsSource;
  /** What goes wrong with them in this process. */
  readonly sinkTroubles: SinkTroubles;
  /** Closes everything, the database last. */
  close(): Promise<void>;
}

/** Which sources to work on, in place of those of the configuration. */
export interface ChosenSources extends Pick<Config, 'sources' | 'organizationIds' | 'accounts'> {
  /** Those of `accounts` that the database does not know yet. */
  readonly newAccounts: readonly string[];
}

/** Chooses from what the configuration, the database and Cloudflare know. */
export type ChooseSources = (config: Config, pool: Pool, api: AuditApi) => Promise<ChosenSources>;

export interface AppOptions {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Receives all events as well, for the progress of a command. */
  readonly observer?: SyncObserver;
  readonly databaseWait?: DatabaseWait;
  /** How long each phase of a request may take, if that is not the default: for tests. */
  readonly timeouts?: Partial<Timeouts>;
  /** Default: those of the configuration; they never change. */
  readonly secrets?: LiveSecrets | undefined;
  /** Throws OrgtrailError when there is no database, or its schema is of another version, instead of making them. */
  readonly readsOnly?: boolean;
  /** Chooses the sources to work on, in place of those of the configuration. */
  readonly chooseSources?: ChooseSources | undefined;
  /** What Cloudflare's clock is carried on by between two answers; steady. Default `performance.now`. */
  readonly steadyMs?: () => number;
}

/** The composition root: opens and wires everything that syncing needs. Migrates the schema first, unless `readsOnly`. */
export const openApp = async (config: Config, options: AppOptions): Promise<App> => {
  requireCredential(config);
  for (const warning of config.warnings) options.logger.warn(warning);
  const { databaseWait: wait, readsOnly = false, secrets = fixedSecrets(config) } = options;
  const latestUrl = secrets.databaseUrl;
  const database = await openDatabase(config, options.logger, { wait, mustExist: readsOnly, latestUrl });
  try {
    if (readsOnly) await requireCurrentSchema(database.pool);
    else await migrateWithLog(database.pool, options.logger);
    return await compose(config, database, { ...options, secrets });
  } catch (error) {
    await database.close();
    throw error;
  }
};

type Telemetry = Pick<AppOptions, 'metrics' | 'logger'>;
type ComposeOptions = AppOptions & { readonly secrets: LiveSecrets };

const compose = async (given: Config, database: Database, options: ComposeOptions): Promise<App> => {
  const { logger, metrics, secrets } = options;
  const { pool } = database;
  const kindsInForce = kindPolicies(given);
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
      filtersOf: (source) => kindPolicyOf({ kinds: kindsInForce }, source).filters,
      clock,
      version,
      fastPath: given.fastPath,
      ...apiObservers(metrics, logger),
      onListed,
      timeouts: options.timeouts,
    },
  });
  const { api } = access;
  const { config, namedAccounts } = await prepare(given, pool, api, options).catch(async (error: unknown) => {
    await access.close();
    throw error;
  });
  const kinds = await kindPoliciesWithDrops(config, pool);
  const owner = createProcessIdentity();
  const readers = openReaders(config, database, { metrics, logger });
  const stored = openStatus(pool, config);
  const sinkTroubles = createSinkTroubles();
  const sinks = async () => sinkTroubles.addTo(await readSinks(pool, config));
  return {
    database,
    owner,
    scope: config,
    sync: createSyncContext(config, {
      pool,
      api,
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
    metricsSource: metricsOf(config, pool, access.budget, kinds, { ...stored, ...readers, sinks }),
    feed: readers.feed,
    search: readers.search,
    streams: readers.streams,
    access: readers.access,
    ...stored,
    sinks,
    operations: openOperations({ config, pool, slowPool: readers.slowPool, sinks }),
    sinkTroubles,
    close: async () => {
      await access.close();
      await readers.close();
      await database.close();
    },
  };
};

/** How things stand, by the tables. */
const openStatus = (pool: Pool, config: Config): Pick<App, 'status' | 'statusReader'> => {
  const scope = statusScopeOf(config);
  return { status: () => readStatus(pool, scope), statusReader: createStatusReader(pool, scope) };
};

/** What reads are served from, each on connections of its own. */
const openReaders = (config: Config, { pool, latestUrl }: Database, { metrics, logger }: Telemetry) => {
  const streams = createStreamLimits(config.http.stallTimeoutMs, metrics.streams);
  const { memory } = streams;
  const feed = openFeed(latestUrl, logger, { memory, openArchive: archivedEventsOf(config) });
  const rules = { ...collectionRulesOf(config), accounts: config.accounts };
  const explorer = openExplorer(latestUrl, logger, Date.now, rules, searchedArchiveOf(config), memory);
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

const metricsOf = (
  { scrub, sources, organizationIds, evidence, archive, retentionMs }: Config,
  pool: Pool,
  budget: ApiAccess['budget'],
  kinds: readonly KindPolicy[],
  { statusReader, sinks, streamLoad }: Pick<App, 'statusReader'> & Pick<MetricsSource, 'sinks' | 'streamLoad'>,
): MetricsSource => ({
  figures: statusReader.figures,
  sinks,
  streamLoad,
  organizationCounts: () => countOrganizations(pool),
  vanishedCount: () => countVanished(pool),
  goneAccounts: async () => (sources.includes('account') ? await countGoneAccounts(pool) : undefined),
  accountListings: async () => (sources.includes('account') ? await countAccountListings(pool) : undefined),
  evidence: async () => (evidence === undefined ? undefined : await readEvidenceStatus(pool)),
  isEvidenceSet: evidence !== undefined,
  archive: async () => (archive === undefined ? undefined : await readArchiveStatus(pool, retentionMs)),
  scrubRoundAge: async () => (scrub.share === 0 ? undefined : await readScrubAge(pool, kinds, organizationIds)),
  budgetAvailable: budget.available,
  blockedSeconds: budget.blockedSeconds,
});

interface OperationsParts {
  readonly config: Config;
  readonly pool: Pool;
  /** What may take seconds. */
  readonly slowPool: Pool;
  /** How the configured sinks stand. */
  sinks(): Promise<readonly SinkStatus[]>;
}

/** Joins what the rooms know to what the console's pages of operation show. */
const openOperations = ({ config, pool, slowPool, sinks }: OperationsParts): OperationsSource => ({
  findings: (asked, signal) => listFindings(slowPool, asked, signal),
  mutes: () => readMutes(pool),
  mute: (wanted) => muteDetection(pool, wanted),
  unmute: (id, by) => unmuteDetection(pool, id, by),
  marks: (events) => readEventMarks(slowPool, events),
  sinks: async () => [...(await configuredSinks(config, sinks)), ...(await formerSinks(config, pool))],
  holds: () => readHolds(pool),
  accessLog: (asked) => readAccessPage(slowPool, asked),
  tokens: () => readTokenOverview(pool),
  archive: async () => ({
    ...(await readArchiveOverview(pool, config.retentionMs)),
    configured: config.archive?.target.name,
    retentionMs: config.retentionMs,
  }),
  verifyRuns: (asked) => readVerifyRuns(pool, asked),
  scrubRounds: (asked) => readScrubRounds(pool, asked),
  scrubTotals: () => readScrubTotals(pool),
  deadLetters: (sink, page) => readDeadLetterPage(pool, sink, page),
  planReplay: (sink, after) => planReplay(pool, sink, { after, hasArchive: config.archive !== undefined }),
  replayer: (proof) => readReplayer(pool, proof),
  replay: (sink, after, session) => replaySink(pool, sink, after, session),
});

const configuredSinks = async (config: Config, sinks: OperationsParts['sinks']): Promise<readonly ShownSink[]> => {
  const streams = new Map(config.sinks.map(({ name, settings }) => [name, settings.events]));
  return (await sinks()).map((sink) => ({ ...sink, sends: streams.get(sink.name) ?? 'entries' }));
};

/** What the database refuses to tell shows at those that are configured. */
const formerSinks = async (config: Config, pool: Pool): Promise<readonly ShownSink[]> => {
  const configured = new Set(config.sinks.map(({ name }) => name));
  const all = await readSinkStatus(pool, undefined).catch((error: unknown) => {
    if (isRefusal(error)) return [];
    throw error;
  });
  return all.filter(({ name }) => !configured.has(name)).map((sink) => ({ ...sink, sends: undefined }));
};

import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { startRetention } from '../archive/retention.sql.ts';
import { thawForever } from '../archive/thaw/thaw-forever.ts';
import { reasonOf } from '../base/errors.ts';
import { openGeoip } from '../base/geoip.ts';
import { version } from '../base/package-files.ts';
import type { Time } from '../base/time.ts';
import { syncForever } from '../ingest/sync/daemon.ts';
import { endRestsOfRefused } from '../ingest/sync/discovery/lease.sql.ts';
import type { SyncObserver } from '../ingest/sync/ports.ts';
import { noteAlive, type Pool } from '../postgres/pool.ts';
import { readSchemaState } from '../postgres/schema/migrate.ts';
import { lookUpForever } from '../search/names/places.sql.ts';
import { savedSearchesIn } from '../search/saved-searches.sql.ts';
import { createOverviewSource } from '../status/overview.sql.ts';
import { openArchive, requireArchiveWriter } from './archive.ts';
import type { Config } from './config/config.ts';
import { fixedSecrets, type LiveSecrets } from './config/live-secrets.ts';
import { type App, openApp } from './open-app.ts';
import { operations } from './operations.ts';
import { cannotListen, DATABASE_CONNECT_TIMEOUT_MS, gracefulStop, SHUTDOWN_TIMEOUT_MS } from './process.ts';
import { serveEvidence, startEvidenceOnceUsable } from './start-evidence.ts';
import { startSinks } from './start-sinks.ts';
import { describeNotRead, unreadMonthsOf } from './sync-context.ts';
import { summed } from './telemetry/log-sync.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import { type CauseWatch, createCauseWatch, createSyncTrouble, logCausesForever } from './watch-causes.ts';

export type Daemon = Awaited<ReturnType<typeof startDaemon>>;

/** In order: database, schema, sinks, HTTP, retention, scheduler. */
export const startDaemon = async (
  config: Config,
  logger: Logger,
  observer: SyncObserver,
  starting: AbortSignal,
  secrets: LiveSecrets = fixedSecrets(config),
) => {
  await requireArchiveWriter(config);
  const metrics = createMetrics(version);
  const app = await openApp(config, {
    logger,
    metrics,
    observer,
    secrets,
    databaseWait: { forMs: DATABASE_CONNECT_TIMEOUT_MS, signal: starting },
  });
  await using opened = new AsyncDisposableStack();
  opened.defer(() => app.close());
  const stop = new AbortController();
  const { stopping, signal: hardStop } = gracefulStop(stop.signal);
  const sinks = await startSinks(config, app, { logger, metrics, secrets, asked: stop.signal, hard: hardStop });
  opened.defer(() => sinks.close());
  const evidence = startEvidenceOnceUsable(config, app, { logger, signal: stop.signal });
  opened.defer(() => evidence.close());
  const trouble = createSyncTrouble(config.tickMs, () => performance.now());
  const served = serveEvidence(config, app, logger);
  opened.defer(() => served.close());
  const causes = createCauseWatch(config, app, trouble);
  const parts = { config, secrets, app, metrics, trouble, causes, logger };
  const http = await startHttp(parts, served).catch((error: unknown) => {
    stop.abort();
    throw error;
  });
  opened.defer(() => http.close());
  const { pool } = app.database;
  const readUnread = (olderThanMs: number) => unreadMonthsOf(config, pool, app.sync.kinds, olderThanMs);
  const archive = await openArchive(config, pool, { logger, metrics, readUnread, signal: stop.signal });
  opened.defer(async () => await archive?.close());
  const forever = { pool, time: app.sync.time, logger, signal: stop.signal };
  const loops = [
    startRetention({
      ...forever,
      archiveMonth: archive?.archiveMonth,
      readUnread: archive && (() => readUnread(config.retentionMs)),
      archiveSettled: archive?.archiveSettled,
      notRead: () => describeNotRead(config, pool),
      retentionMs: config.retentionMs,
    }),
    archive && thawForever({ ...forever, ...archive }),
    archive?.keepState(app.sync.time),
    config.geoip.length > 0 && lookUpForever({ ...forever, geoip: openGeoip(config.geoip) }),
    noteAliveForever(pool, app.sync.time, stop.signal),
    logCausesForever(causes, { logger, time: app.sync.time, signal: stop.signal }),
  ];
  secrets.onChanged(() => endRests(pool, logger));
  logger.info({ version, url: http.url, schedule: config.schedule }, 'orgtrail started');
  const syncing = startSyncing(parts, stopping, hardStop);
  const running = opened.move();
  return {
    app,
    httpUrl: http.url,
    /** Finishes the page and the deliveries in hand and closes everything. */
    stop: async (): Promise<void> => {
      stop.abort();
      await Promise.race([
        Promise.all([syncing.stop(), sinks.ended, evidence.ended, ...loops]),
        sleep(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false }),
      ]);
      await running.disposeAsync();
    },
  };
};

/** Else a log that only a new credential may read would rest on, up to a quarter of an hour. */
const endRests = (pool: Pool, logger: Logger): void => {
  endRestsOfRefused(pool).catch((error: unknown) =>
    logger.warn(
      { reason: reasonOf(error) },
      'credentials have changed, but sources that were refused could not be made due; they are retried after their rest',
    ),
  );
};

interface Parts {
  readonly config: Config;
  readonly secrets: LiveSecrets;
  readonly app: App;
  readonly metrics: Metrics;
  readonly trouble: ReturnType<typeof createSyncTrouble>;
  readonly causes: CauseWatch;
  readonly logger: Logger;
}

const startHttp = async (
  { config, secrets, app, metrics, trouble, causes, logger }: Parts,
  evidence: ReturnType<typeof serveEvidence>,
) => {
  // Loaded only here: the server and its packages are a quarter of all code, and no command but the daemon needs them.
  const { startHttpServer } = await import('../http/server.ts');
  return await startHttpServer({
    ...config.http,
    feedToken: secrets.feedToken,
    tickMs: config.tickMs,
    apiBudget: config.apiBudget,
    version,
    status: app.statusReader,
    sinks: app.sinks,
    evidence: app.metricsSource.evidence,
    schemaState: async () => (await readSchemaState(app.database.pool)).state,
    trouble: () => trouble.current()?.reason,
    causes: causes.read,
    logger,
    metrics: () => metrics.scrape(app.metricsSource),
    search: app.search,
    savedSearches: savedSearchesIn(app.database.pool),
    streams: app.streams,
    access: app.access,
    observer: metrics.http,
    feed: app.feed,
    operations: app.operations,
    served: operations,
    shownEvidence: evidence.shown,
    overview: createOverviewSource(app.database.pool, config, app.metricsSource, metrics),
  }).catch((error: unknown) => {
    throw cannotListen(error, config.http, 'the console, the API and metrics');
  });
};

const startSyncing = ({ config, app, trouble, logger }: Parts, stopping: () => boolean, hardStop: AbortSignal) => {
  const unsaid = summed(() => performance.now());
  return syncForever(app.sync, {
    schedule: config.schedule,
    tickMs: config.tickMs,
    signal: hardStop,
    stopping,
    onError: (error) => {
      if (stopping()) return;
      trouble.failed(error);
      const reason = reasonOf(error);
      const since = unsaid(reason);
      logger[since === undefined ? 'debug' : 'error']({ reason, ...since }, 'sync failed; retrying at the next tick');
    },
  });
};

/** A failover makes positions jump by so much more for each second between the last note and the first commit. */
const NOTE_EVERY_MS = 5_000;

/** Until the signal; replicas share the notes. */
const noteAliveForever = async (pool: Pool, time: Pick<Time, 'sleep'>, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    // A database that is away is told of by all else; without a note positions jump further, and no less safely.
    await pool.query(noteAlive).catch(() => {});
    await time.sleep(NOTE_EVERY_MS, signal).catch(() => {});
  }
};

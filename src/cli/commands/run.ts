import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { Logger } from 'pino';
import { gracefulStop } from '../../app/graceful-stop.ts';
import { type App, openApp } from '../../app/open-app.ts';
import { keepReloading, openSecrets } from '../../app/reread-secrets.ts';
import { startSinks } from '../../app/start-sinks.ts';
import { createSyncTrouble } from '../../app/sync-trouble.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { fixedSecrets, type LiveSecrets } from '../../config/live-secrets.ts';
import { secretsOf } from '../../config/redaction.ts';
import { OrgtrailError, reasonOf } from '../../errors.ts';
import { startHttpServer } from '../../http/server.ts';
import type { SyncObserver } from '../../ingest/sync/ports.ts';
import { syncForever } from '../../ingest/sync/sync-forever.ts';
import { version } from '../../package/package-files.ts';
import { readSchemaState } from '../../postgres/schema/migrate.ts';
import { startRetention } from '../../retention/retention-loop.ts';
import { createOverviewSource } from '../../status/overview-source.ts';
import { createLogger } from '../../telemetry/log.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import type { CliContext } from '../cli-context.ts';

/** A container often starts before its database. */
const DATABASE_CONNECT_TIMEOUT_MS = 30_000;
/** After the grace that a page in hand has, only a statement can be under way, in a database that does not answer. */
const SHUTDOWN_TIMEOUT_MS = 6_000;

const help = `
Runs until SIGTERM or SIGINT: the page in hand is finished first. A second signal leaves at once; nothing is lost by that.
Secrets from files (NAME_FILE, ORGTRAIL_CONFIG) are read again on SIGHUP, every minute, and when one was refused: a rotated one
needs no restart.

Examples:
  $ CLOUDFLARE_API_TOKEN=... orgtrail run
  $ ORGTRAIL_CONFIG=/etc/orgtrail/orgtrail.yaml orgtrail run
  $ CLOUDFLARE_API_TOKEN_FILE=/run/secrets/token DATABASE_URL=postgres://... ORGTRAIL_HTTP_HOST=0.0.0.0 orgtrail run
  $ curl -s localhost:8080/healthz`;

export const runCommand = (context: CliContext): Command =>
  new Command('run')
    .description('Run the daemon: continuously collects audit logs, serves the console, the feed, health and metrics')
    .addHelpText('after', help)
    .action(async () => {
      const config = loadConfig(context.env, { needsCredential: true, interactive: context.interactive });
      const hidden = secretsOf(config);
      const logger = createLogger({ ...config.log, destination: context.stdout, secrets: hidden });
      for (const file of [context.settingsFile, context.env['ORGTRAIL_CONFIG']]) {
        if (file) logger.info({ file }, 'settings loaded from a file');
      }
      const secrets = openSecrets(context.env, config, { logger, hidden });
      keepReloading(secrets, logger, context);
      const daemon = await startDaemon(config, logger, {}, context.signal, secrets);
      await aborted(context.signal);
      logger.info('stopping');
      await daemon.stop();
      logger.info('stopped');
    });

/** A running daemon, in this process. */
export interface Daemon {
  readonly app: App;
  readonly httpUrl: string;
  /** Finishes the page and the deliveries in hand and closes everything. */
  stop(): Promise<void>;
}

/** Starts everything in order: database, schema, HTTP, scheduler. Used by `run` and by `demo`. */
export const startDaemon = async (
  config: Config,
  logger: Logger,
  observer: SyncObserver,
  starting: AbortSignal,
  secrets: LiveSecrets = fixedSecrets(config),
): Promise<Daemon> => {
  const metrics = createMetrics(version);
  const app = await openApp(config, {
    logger,
    metrics,
    observer,
    secrets,
    databaseWait: { forMs: DATABASE_CONNECT_TIMEOUT_MS, signal: starting },
  });
  const { pool } = app.database;
  const trouble = createSyncTrouble(config.tickMs, () => performance.now());
  const stop = new AbortController();
  const { stopping, signal: hardStop } = gracefulStop(stop.signal);
  const sinks = await startSinks(config, app, { logger, metrics, secrets, asked: stop.signal, hard: hardStop }).catch(
    async (error: unknown) => {
      await app.close();
      throw error;
    },
  );
  const http = await startHttpServer({
    ...config.http,
    feedToken: secrets.feedToken,
    tickMs: config.tickMs,
    apiBudget: config.apiBudget,
    version,
    ...{ status: app.status, sinks: app.sinks },
    schemaState: async () => (await readSchemaState(pool)).state,
    trouble: trouble.current,
    logger,
    metrics: () => metrics.scrape(app.metricsSource),
    ...{ search: app.search, streams: app.streams, access: app.access, observer: metrics.http },
    ...{ feed: app.feed, overview: createOverviewSource(pool, config, app.metricsSource, metrics.registry) },
  }).catch(async (error: unknown) => {
    stop.abort();
    await sinks.close();
    await app.close();
    throw cannotListen(error, config.http);
  });
  const retention = startRetention({
    ...{ pool: app.database.pool, retentionMs: config.retentionMs, time: app.sync.time },
    ...{ logger, signal: stop.signal },
  });
  logger.info({ version, url: http.url, schedule: config.schedule }, 'orgtrail started');
  const syncing = syncForever(app.sync, {
    schedule: config.schedule,
    tickMs: config.tickMs,
    signal: hardStop,
    stopping,
    onError: (error) => {
      if (stopping()) return;
      const reason = reasonOf(error);
      trouble.failed(reason);
      logger.error({ reason }, 'sync failed; retrying at the next tick');
    },
  });
  return {
    app,
    httpUrl: http.url,
    stop: async () => {
      stop.abort();
      await Promise.race([
        Promise.all([syncing.stop(), sinks.ended, retention]),
        sleep(SHUTDOWN_TIMEOUT_MS, undefined, { ref: false }),
      ]);
      await http.close();
      await sinks.close();
      await app.close();
    },
  };
};

/** A port that is taken, or an address that is not this machine's, is for the operator to mend; anything else is a bug. */
const cannotListen = (error: unknown, { host, port }: Config['http']): unknown => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!/^(EADDR|EACCES|ENOTFOUND|EAI_)/.test(code)) return error;
  const message =
    code === 'EADDRINUSE'
      ? `port ${port} is in use on ${host} (${code}); the console, the API and metrics need it`
      : `cannot listen on ${host} port ${port} (${code}); the console, the API and metrics need it`;
  return new OrgtrailError('configuration', message, {
    hint: 'set ORGTRAIL_HTTP_PORT to a free port (0: any), and ORGTRAIL_HTTP_HOST to an address of this machine',
  });
};

const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

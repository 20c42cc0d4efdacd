import { Command } from 'commander';
import { describeNotRead } from '../../app/collection-window.ts';
import { gracefulStop } from '../../app/graceful-stop.ts';
import { openApp } from '../../app/open-app.ts';
import { openSecrets } from '../../app/reread-secrets.ts';
import { type Config, loadConfig } from '../../config/config.ts';
import { secretsOf } from '../../config/redaction.ts';
import { readHoles } from '../../ingest/sync/coverage-holes.sql.ts';
import type { SyncContext } from '../../ingest/sync/ports.ts';
import { syncOnce } from '../../ingest/sync/sync-once.ts';
import { version } from '../../package/package-files.ts';
import { requireKept } from '../../retention/retention.sql.ts';
import { createLogger } from '../../telemetry/log.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import type { CliContext } from '../cli-context.ts';
import { chooseSources, type NamedSources } from '../named-sources.ts';
import { showProgress } from '../output/progress.ts';
import { describeOutcome, type SyncOutcome } from '../output/sync-report.ts';

/** Attempts after the first at a source that fails, each after its backoff. */
const RETRIES_PER_SOURCE = 3;

const help = `
Lists the organizations, collects everything that is missing up to now, then exits: with 0 if nothing is missing, with 1 if a
source failed or the API does not serve some seconds, not even in parts (holes). Running it again reads only new events.

Examples:
  $ CLOUDFLARE_API_TOKEN=... orgtrail sync
  $ ORGTRAIL_HISTORY=30d orgtrail sync --json`;

export const syncCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('sync')
    .description('Collect what is missing in all organizations, then exit')
    .option('--json', 'print the result as JSON, and no progress')
    .addHelpText('after', help)
    .action(async (options: { json?: boolean }) => {
      const outcome = await runSync(context, { quiet: options.json === true });
      report(outcome.exitCode);
      if (options.json === true) context.stdout.write(`${JSON.stringify(outcome.summary)}\n`);
      else context.stdout.write(outcome.text);
    });

export interface RunSyncOptions {
  readonly quiet: boolean;
  /** Only this is read; undefined for all. */
  readonly window?: SyncContext['window'];
  /** Throws OrgtrailError for a configuration that does not fit. */
  readonly check?: (config: Config) => void;
  /** Only these organizations and accounts; undefined for those of the configuration. */
  readonly named?: NamedSources;
}

/** Opens everything, syncs once, closes. Used by `sync` and `backfill`. */
export const runSync = async (context: CliContext, options: RunSyncOptions): Promise<SyncOutcome> => {
  // An interactive command shows its progress; its log has warnings and errors only, unless more is asked for.
  const config = loadConfig(context.env, { needsCredential: true, interactive: context.interactive, logLevel: 'warn' });
  options.check?.(config);
  const hidden = secretsOf(config);
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: hidden });
  const secrets = openSecrets(context.env, config, { logger, hidden });
  const progress = showProgress(options.quiet ? { ...context, stdout: nowhere(context) } : context);
  const metrics = createMetrics(version);
  const app = await openApp(config, {
    logger,
    metrics,
    secrets,
    observer: progress.observer,
    chooseSources: chooseSources(options.named ?? {}, context.signal),
  });
  try {
    const { window } = options;
    if (window !== undefined) {
      await requireKept(app.database.pool, { fromMs: window.sinceMs, toMs: window.untilMs });
    }
    const sync = { ...app.sync, window };
    const report = await syncOnce(sync, { ...gracefulStop(context.signal), retries: RETRIES_PER_SOURCE });
    progress.finish();
    const { kinds, organizationIds } = app.sync;
    const { accounts } = app.scope;
    const accountIds = typeof accounts === 'string' ? undefined : accounts;
    const wanted = await readHoles(app.database.pool, { kinds, organizationIds, accountIds, window });
    const notRead = await describeNotRead(config, app.database.pool);
    return describeOutcome(await app.status(), report, progress.stored(), wanted, notRead);
  } finally {
    await app.close();
  }
};

/** With --json no progress is printed: stdout then holds the result alone. */
export const nowhere = (context: CliContext): CliContext['stdout'] =>
  Object.assign(Object.create(context.stdout), { write: () => true });

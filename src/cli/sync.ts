import { Command } from 'commander';
import { type App, openApp, version } from '../app.ts';
import { type Config, loadConfig } from '../config.ts';
import { formatDuration } from '../domain/duration.ts';
import { RETENTION_NEAR_MS } from '../domain/retention.ts';
import { exitCodes } from '../errors.ts';
import { createLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { requireKept } from '../store/retention.ts';
import type { SyncContext } from '../sync/ports.ts';
import { type SyncReport, syncOnce } from '../sync/sync-once.ts';
import { gracefulStop } from './graceful-stop.ts';
import { type Progress, showProgress } from './progress.ts';
import { secretsOf } from './secrets.ts';
import type { VerbContext } from './verb-context.ts';

/** Attempts after the first at a source that fails, each after its backoff. */
const RETRIES_PER_SOURCE = 3;

const help = `
Lists the organizations, reads every gap up to now, then exits: 0 when nothing is missing, 1 when some source failed.
Running it again reads only what is new.

Examples:
  $ CLOUDFLARE_API_TOKEN=... orgtrail sync
  $ ORGTRAIL_HISTORY=30d orgtrail sync --json`;

export const syncVerb = (context: VerbContext, report: (code: number) => void): Command =>
  new Command('sync')
    .description('one full cycle, then exit')
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
  readonly config?: (config: Config) => Config;
}

export interface SyncOutcome {
  readonly exitCode: number;
  readonly text: string;
  readonly summary: Readonly<Record<string, unknown>>;
}

/** Opens everything, syncs once, closes. Used by `sync` and `backfill`. */
export const runSync = async (context: VerbContext, options: RunSyncOptions): Promise<SyncOutcome> => {
  // A command that somebody watches has its progress; its log is for trouble, unless asked for more.
  const env = { ORGTRAIL_LOG_LEVEL: 'warn', ...context.env };
  const loaded = loadConfig(env, { needsCredential: true, interactive: context.interactive });
  const config = options.config?.(loaded) ?? loaded;
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
  const progress = showProgress(options.quiet ? { ...context, stdout: nowhere(context) } : context);
  const app = await openApp(config, { logger, metrics: createMetrics(version), observer: progress.observer });
  try {
    const { window } = options;
    if (window !== undefined) {
      await requireKept(app.database.pool, { fromMs: window.sinceMs, toMs: window.untilMs });
    }
    const sync = { ...app.sync, window };
    const report = await syncOnce(sync, { ...gracefulStop(context.signal), retries: RETRIES_PER_SOURCE });
    progress.finish();
    return await describeOutcome(app, report, progress);
  } finally {
    await app.close();
  }
};

const describeOutcome = async (app: App, report: SyncReport, progress: Progress): Promise<SyncOutcome> => {
  const status = await app.status();
  const failing = status.sources.filter((source) => report.failed.some((failed) => failed.id === source.id));
  const failed = failing.length > 0 || report.held.length > 0 || report.discoveryError !== undefined;
  const lines = [
    `${progress.stored()} new events of ${report.sources} organizations; the feed is at position ${status.position}`,
  ];
  if (report.held.length > 0)
    lines.push(`${report.held.length} organizations were held by another orgtrail all the time`);
  if (report.discoveryError instanceof Error) lines.push(`the listing failed: ${report.discoveryError.message}`);
  const near = status.sources.filter((source) => source.retentionSlackSeconds * 1_000 < RETENTION_NEAR_MS);
  if (near.length > 0)
    lines.push(
      `${near.length} organizations have unread time that Cloudflare deletes within ${formatDuration(RETENTION_NEAR_MS)}: see orgtrail status`,
    );
  for (const source of failing) {
    lines.push(
      `failed: ${source.organizationId} (${source.organizationName ?? 'no name'}): ${source.lastFailure}: ${source.lastError}`,
    );
  }
  return {
    exitCode: failed ? exitCodes.sourceFailed : exitCodes.done,
    text: `${lines.join('\n')}\n`,
    summary: {
      stored: progress.stored(),
      organizations: report.sources,
      position: status.position,
      heldByOthers: report.held.length,
      failed: failing.map((source) => ({
        organizationId: source.organizationId,
        failure: source.lastFailure,
        error: source.lastError,
      })),
      finished: report.finished,
    },
  };
};

/** Progress goes nowhere where JSON is asked for: stdout then holds the result alone. */
export const nowhere = (context: VerbContext): VerbContext['stdout'] =>
  Object.assign(Object.create(context.stdout), { write: () => true });

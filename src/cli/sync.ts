import { Command } from 'commander';
import { type App, openApp, version } from '../app.ts';
import { type Config, loadConfig } from '../config.ts';
import { exitCodes } from '../errors.ts';
import { createLogger } from '../log.ts';
import { createMetrics } from '../metrics.ts';
import { type CycleReport, runCycle } from '../sync/cycle.ts';
import type { SyncContext } from '../sync/ports.ts';
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
      const outcome = await syncOnce(context, { quiet: options.json === true });
      report(outcome.exitCode);
      if (options.json === true) context.stdout.write(`${JSON.stringify(outcome.summary)}\n`);
      else context.stdout.write(outcome.text);
    });

export interface SyncOnceOptions {
  readonly quiet: boolean;
  /** Narrows what is read; undefined for all of it. */
  readonly narrow?: (sync: SyncContext, config: Config) => SyncContext;
  readonly config?: (config: Config) => Config;
}

export interface SyncOutcome {
  readonly exitCode: number;
  readonly text: string;
  readonly summary: Readonly<Record<string, unknown>>;
}

/** Opens everything, runs one cycle to its end, closes. Used by `sync` and `backfill`. */
export const syncOnce = async (context: VerbContext, options: SyncOnceOptions): Promise<SyncOutcome> => {
  const loaded = loadConfig(context.env, { needsCredential: true, interactive: context.interactive });
  const config = options.config?.(loaded) ?? loaded;
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
  const progress = showProgress(options.quiet ? { ...context, stdout: nowhere(context) } : context);
  const app = await openApp(config, { logger, metrics: createMetrics(version), observer: progress.observer });
  try {
    const sync = options.narrow?.(app.sync, config) ?? app.sync;
    const cycle = await runCycle(sync, {
      ...gracefulStop(context.signal),
      interrupted: () => false,
      retries: RETRIES_PER_SOURCE,
      profiles: 1_000_000,
    });
    progress.finish();
    return await describeOutcome(app, cycle, progress);
  } finally {
    await app.close();
  }
};

const describeOutcome = async (app: App, cycle: CycleReport, progress: Progress): Promise<SyncOutcome> => {
  const status = await app.status();
  const failing = status.sources.filter((source) => cycle.failed.some((failed) => failed.id === source.id));
  const failed = failing.length > 0 || cycle.held > 0 || cycle.discoveryError !== undefined;
  const lines = [
    `${progress.stored()} new events of ${cycle.sources} organizations; the feed is at position ${status.position}`,
  ];
  if (cycle.held > 0) lines.push(`${cycle.held} organizations were held by another orgtrail all the time`);
  if (cycle.discoveryError instanceof Error) lines.push(`the listing failed: ${cycle.discoveryError.message}`);
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
      organizations: cycle.sources,
      position: status.position,
      heldByOthers: cycle.held,
      failed: failing.map((source) => ({
        organizationId: source.organizationId,
        failure: source.lastFailure,
        error: source.lastError,
      })),
      finished: cycle.finished,
    },
  };
};

/** Progress goes nowhere where JSON is asked for: stdout then holds the result alone. */
const nowhere = (context: VerbContext): VerbContext['stdout'] =>
  Object.assign(Object.create(context.stdout), { write: () => true });

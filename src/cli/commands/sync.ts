import { Command } from 'commander';
import { chooseSources, type NamedSources } from '../../app/chosen-sources.ts';
import { type Config, loadConfig, secretsOf } from '../../app/config/config.ts';
import { openSecrets } from '../../app/config/live-secrets.ts';
import { openApp } from '../../app/open-app.ts';
import { gracefulStop } from '../../app/process.ts';
import { describeNotRead, horizonOf } from '../../app/sync-context.ts';
import { createLogger } from '../../app/telemetry/log.ts';
import { createMetrics } from '../../app/telemetry/metrics.ts';
import { requireKept } from '../../archive/retention.sql.ts';
import { exitCodes, OrgtrailError } from '../../base/errors.ts';
import { version } from '../../base/package-files.ts';
import { counted, printable } from '../../base/text.ts';
import { formatDuration } from '../../base/time.ts';
import { keyOf } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import { RETENTION_NEAR_MS } from '../../ingest/sources/source-kind.ts';
import type { SyncContext } from '../../ingest/sync/ports.ts';
import { readHoles, type WantedHoles } from '../../ingest/sync/store/sources.sql.ts';
import { type SyncReport, syncOnce } from '../../ingest/sync/sync-once.ts';
import { isAccount, ownerName } from '../../status/source-state.ts';
import type { SourceStatus, Status } from '../../status/status.sql.ts';
import type { CliContext } from '../command.ts';
import { readWindow, timeHelp } from '../options.ts';
import { countedSources, showProgress } from '../output/terminal.ts';

/** After the first attempt at a failing source, each after its backoff. */
const RETRIES_PER_SOURCE = 3;

const syncHelp = `
Lists the organizations, collects everything that is missing up to now, then exits: with 0 if nothing is missing, with 1 if a
source failed or the API does not serve some seconds, not even in parts (holes). Running it again reads only new events.

Examples:
  $ CLOUDFLARE_API_TOKEN=... orgtrail sync
  $ ORGTRAIL_HISTORY=30d orgtrail sync --json`;

export const syncCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('sync')
    .description('Collect what is missing in all organizations, then exit')
    .option('--json', 'print the result as JSON, and no progress')
    .addHelpText('after', syncHelp)
    .action(async (options: { json?: boolean }) => {
      const outcome = await runSync(context, { quiet: options.json === true });
      report(outcome.exitCode);
      if (options.json === true) context.stdout.write(`${JSON.stringify(outcome.summary)}\n`);
      else context.stdout.write(outcome.text);
    });

type AppParts = Pick<Parameters<typeof openApp>[1], 'observer' | 'readsOnly'>;

interface Wanted extends AppParts {
  /** Throws OrgtrailError for an unsuitable configuration. */
  readonly check?: ((config: Config) => void) | undefined;
  /** Undefined: those of the configuration. */
  readonly named?: NamedSources | undefined;
}

/** Beside the progress, only warnings and errors are logged by default. */
export const withApp = async <T>(
  context: CliContext,
  { check, named = {}, ...parts }: Wanted,
  use: (app: Awaited<ReturnType<typeof openApp>>, config: Config) => Promise<T>,
): Promise<T> => {
  const config = loadConfig(context.env, { needsCredential: true, interactive: context.interactive, logLevel: 'warn' });
  check?.(config);
  const hidden = secretsOf(config);
  const logger = createLogger({ ...config.log, destination: context.stderr, secrets: hidden });
  const secrets = openSecrets(context.env, config, { logger, hidden });
  const shared = { logger, metrics: createMetrics(version), secrets };
  const app = await openApp(config, { ...shared, ...parts, chooseSources: chooseSources(named, context.signal) });
  try {
    return await use(app, config);
  } finally {
    await app.close();
  }
};

/** `window` undefined: all time. */
type RunSyncOptions = Readonly<{ quiet: boolean; window?: SyncContext['window'] }> & Pick<Wanted, 'check' | 'named'>;

const runSync = (context: CliContext, { quiet, window, ...wanted }: RunSyncOptions): Promise<SyncOutcome> => {
  const progress = showProgress(quiet ? { ...context, stdout: nowhere(context) } : context);
  return withApp(context, { ...wanted, observer: progress.observer }, async (app, config) => {
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
  });
};

/** With --json, stdout holds the result alone. */
export const nowhere = (context: CliContext): CliContext['stdout'] =>
  Object.assign(Object.create(context.stdout), { write: () => true });

const backfillHelp = `
Fetches missing events between the two times, even if they are older than ORGTRAIL_HISTORY. Time that has been collected
already is not read again. Cloudflare keeps 18 months. Exits with 1 if a source failed, or if the API does not serve some seconds of
that time, not even in parts (holes).

Examples:
  $ orgtrail backfill --since 90d --before now
  $ orgtrail backfill --since 2026-01-01 --before 2026-02-01
  $ orgtrail backfill --since 2026-03-01T12:00:00Z --before 2026-03-02 --organization 'Acme Aerospace'`;

type BackfillOptions = NamedSources & Readonly<{ since: string; before: string; json?: boolean }>;

export const backfillCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('backfill')
    .description('Fetch missing events for a time range')
    .requiredOption('--since <time>', timeHelp('inclusive'))
    .requiredOption('--before <time>', timeHelp('exclusive'))
    .option('--organization <name or id...>', 'these organizations only')
    .option('--account <name or id...>', 'these accounts only')
    .option('--json', 'print the result as JSON, and no progress')
    .addHelpText('after', backfillHelp)
    .action(async (options: BackfillOptions) => {
      const { fromMs: sinceMs, toMs: untilMs } = readWindow(options);
      const outcome = await runSync(context, {
        quiet: options.json === true,
        check: (config) => requireWithinRetention(config, sinceMs),
        named: options,
        window: { sinceMs, untilMs },
      });
      report(outcome.exitCode);
      context.stdout.write(options.json === true ? `${JSON.stringify(outcome.summary)}\n` : outcome.text);
    });

/** By the host's clock; the daemon drops by Cloudflare's. */
const requireWithinRetention = (config: Config, sinceMs: number): void => {
  const { retentionMs, archive } = config;
  const nowMs = Date.now();
  if (sinceMs >= nowMs - retentionMs || (archive !== undefined && sinceMs >= horizonOf(config, nowMs))) return;
  throw new OrgtrailError(
    'usage',
    `--since is further back than ORGTRAIL_RETENTION keeps (${formatDuration(retentionMs)})`,
    { hint: 'older events would be deleted again: choose a later --since, or a longer retention' },
  );
};

/** `summary` is printed by `--json`: a contract. */
type SyncOutcome = Readonly<{ exitCode: number; text: string; summary: Readonly<Record<string, unknown>> }>;
const NAMED_HOLES = 5;

/** `wanted`: holes left in the time asked for. `notRead`: what is never asked for. */
const describeOutcome = (
  status: Status,
  report: SyncReport,
  stored: number,
  wanted: WantedHoles,
  notRead?: string,
): SyncOutcome => {
  const failedKeys = new Set(report.failed.map(keyOf));
  const failing = status.sources.filter((source) => failedKeys.has(keyOf(source)));
  const accounts = status.sources.filter(isAccount).length;
  const incomplete = failing.length + report.held.length + wanted.holes.length > 0;
  const failed = incomplete || report.discoveryError !== undefined || report.accountsError !== undefined;
  const lines = [
    `${counted(stored, 'new event')} of ${accounts === 0 ? counted(report.sources, 'organization') : countedSources(status.sources)}; the feed is at position ${status.position}`,
    ...troubleLines(status, report),
    ...failing.map(failedLine),
    ...(wanted.holes.length === 0 ? [] : [holesLine(wanted)]),
    ...(notRead === undefined ? [] : [notRead]),
  ];
  return {
    exitCode: failed ? exitCodes.sourceFailed : exitCodes.done,
    text: `${lines.join('\n')}\n`,
    summary: {
      stored,
      organizations: accounts === 0 ? report.sources : status.sources.length - accounts,
      position: status.position,
      heldByOthers: report.held.length,
      failed: failing.map((source) => ({
        organizationId: source.organizationId,
        failure: source.lastFailure,
        error: source.lastError,
        ...(isAccount(source)
          ? { sourceKind: source.kind, accountId: source.accountId, accountName: source.accountName }
          : {}),
      })),
      holes: wanted.holes.map(holeJson),
      holeSeconds: wanted.seconds,
      finished: report.finished,
      ...(accounts === 0 ? {} : { accounts }),
    },
  };
};

const isAccountHole = ({ sourceKind }: WantedHoles['holes'][number]): boolean =>
  kindOf({ kind: sourceKind }).owner === 'account';

/** An account's hole has more keys, at its end. */
const holeJson = (hole: WantedHoles['holes'][number]) => {
  const { sourceKind, sourceId, organizationId, organizationName, accountName, since, before, reason, message } = hole;
  const of = isAccountHole(hole) ? { sourceKind, accountId: sourceId, accountName } : {};
  return { organizationId, organizationName, since, before, reason, message, ...of };
};

const NOT_WANTED = '; ORGTRAIL_SOURCES=organizations reads none';

const troubleLines = ({ sources }: Status, { held, discoveryError, accountsError }: SyncReport): readonly string[] => {
  const lines: string[] = [];
  if (held.length > 0) lines.push(`another orgtrail was reading ${countedSources(held)} all the time`);
  if (discoveryError instanceof Error) lines.push(`listing organizations failed: ${discoveryError.message}`);
  if (accountsError !== undefined)
    lines.push(
      `listing accounts failed, some may be missing: ${accountsError.message}${accountsError.failure === 'refused' ? NOT_WANTED : ''}`,
    );
  const near = sources.filter((source) => source.retentionSlackSeconds * 1_000 < RETENTION_NEAR_MS);
  if (near.length > 0)
    lines.push(
      `${countedSources(near)} with time not collected that Cloudflare deletes within ${formatDuration(RETENTION_NEAR_MS)}: see orgtrail status`,
    );
  return lines;
};

const failedLine = (source: SourceStatus): string =>
  `failed: ${isAccount(source) ? 'account ' : ''}${source.id} (${ownerName(source) ?? 'no name'}): ${source.lastFailure}: ${source.lastError}`;

const holesLine = ({ seconds, holes }: WantedHoles): string => {
  const named = holes
    .slice(0, NAMED_HOLES)
    .map(
      (hole) =>
        `${isAccountHole(hole) ? 'account ' : ''}${printable(hole.sourceId, 64)} ${hole.since.toISOString()} (${hole.reason}: ${printable(hole.message, 120)})`,
    );
  const more = holes.length > NAMED_HOLES ? ', and others: select * from coverage_holes' : '';
  const length = Math.ceil(seconds);
  return `${length} ${length === 1 ? 'second' : 'seconds'} could not be collected: ${named.join(', ')}${more}`;
};

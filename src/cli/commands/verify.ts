import { Command } from 'commander';
import type { NamedSources } from '../../app/chosen-sources.ts';
import type { Config } from '../../app/config/config.ts';
import { gracefulStop } from '../../app/process.ts';
import { requireKept } from '../../archive/retention.sql.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { isEmpty, type Range } from '../../ingest/planning/coverage.ts';
import { keyOf } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import { RETENTION_MS } from '../../ingest/sources/source-kind.ts';
import { findScope, type VerifyScope, verifySources } from '../../ingest/verify/verify.ts';
import { createVerifyStore, noteVerification, type VerificationRun } from '../../ingest/verify/verify-store.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Status } from '../../status/status.sql.ts';
import type { CliContext, Given } from '../command.ts';
import { readWindow, timeHelp } from '../options.ts';
import { exitCodeOf, showVerifyProgress, toJson, toText, type VerifyOutcome } from '../output/verify-report.ts';
import { nowhere, withApp } from './sync.ts';

/** After the first attempt at a part of a window. */
const RETRIES = 3;
/** Entries read before their memory is given up: 20 full pages. */
const SECTION_ENTRIES = 20_000;
/** Younger entries may yet appear in the ordinary course. */
const CLOSED_AFTER_MS = 120_000;

const help = `
Reads the range again and compares every entry with the database, by id and content (--before now: up to 2 minutes ago):
  missing   served by Cloudflare, not stored
  changed   stored under the same id with other content, which audit_event_changes does not have either
  extra     stored, but no longer served (entries without a readable time are not judged)
Writes nothing without --fix but its result, which the console shows (table checks). With it, missing entries are stored and other content is recorded, through the statement that
the daemon uses; stored entries are never changed or deleted. Works beside a running daemon and shares its API budget.
Entries may appear late: the daemon still finds what is missing in time that the last pass of ORGTRAIL_SETTLE has not read yet.
With ORGTRAIL_FILTERS it applies these filters, and does not report as extra what may have been stored under others.

Exit code 0: nothing is missing or changed, or all of it was fixed; 1: something is, or an organization could not be compared.

Examples:
  $ orgtrail verify --since 7d --before now
  $ orgtrail verify --since 2026-01-01 --before 2026-02-01
  $ orgtrail verify --since 2026-03-01T12:00:00Z --before 2026-03-02 --organization 'Acme Aerospace' --fix --by jane.doe
  $ orgtrail verify --since 2026-01-01 --before 2026-02-01 --json | jq .missing`;

type Options = Given<'by', 'fix' | 'all' | 'json'> & NamedSources & Readonly<{ since: string; before: string }>;

export const verifyCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('verify')
    .description('Re-read a past time range from Cloudflare and compare it with the database')
    .requiredOption('--since <time>', timeHelp('inclusive'))
    .requiredOption('--before <time>', timeHelp('exclusive'))
    .option('--organization <name or id...>', 'these organizations only')
    .option('--account <name or id...>', 'these accounts only')
    .option('--fix', 'store what is missing and record what has changed')
    .option('--by <name>', 'who makes this run, for the result that is kept')
    .option('--all', 'show a row for every organization, also for those without a difference')
    .option('--json', 'print the result as JSON, and no progress')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      const window = readWindow(options);
      const outcome = await runVerify(context, options, window);
      report(exitCodeOf(outcome));
      context.stdout.write(options.json === true ? `${JSON.stringify(toJson(outcome))}\n` : toText(outcome));
    });

const runVerify = (context: CliContext, options: Options, asked: Range): Promise<VerifyOutcome> =>
  withApp(context, { named: options, readsOnly: true }, async (app, config) => {
    await requireKept(app.database.pool, asked);
    const verifyStore = createVerifyStore(app.database.pool, app.sync.kinds);
    const stop = gracefulStop(context.signal);
    const scope = await findScope(app.sync, stop.signal);
    const isNow = options.before.trim().toLowerCase() === 'now';
    const window = isNow ? { ...asked, toMs: latestClosedMs(scope.nowMs) } : asked;
    requireReadable(window, scope.nowMs);
    requireKnown(scope, {
      organizations: options.organization === undefined ? undefined : app.sync.organizationIds,
      accounts: options.account === undefined ? undefined : app.scope.accounts,
    });
    const progress = showVerifyProgress(
      options.json === true ? { ...context, stdout: nowhere(context) } : context,
      scope.sources,
    );
    const beganAt = new Date();
    const results = await verifySources({ ...app.sync, verifyStore }, scope.sources, {
      window,
      nowMs: scope.nowMs,
      fix: options.fix === true,
      filtered: config.sources.some((kind) => config.filters[kind].length > 0),
      retries: RETRIES,
      sectionEntries: SECTION_ENTRIES,
      ...stop,
      onPage: progress.onPage,
      onSource: progress.onSource,
    });
    progress.finish();
    const run = { window, beganAt, fix: options.fix === true, by: options.by, results };
    await keepResult(app.database.pool, context, run);
    const settledUntilMs = scope.nowMs - (config.settleDelaysMs.at(-1) ?? 0);
    const shown = { fix: options.fix === true, all: options.all === true };
    return { window, scope, results, settledUntilMs, names: await readNames(app.status), ...shown };
  });

/** A result that cannot be kept is a warning on stderr: the comparison stands. */
const keepResult = async (pool: Pool, { stderr }: CliContext, run: VerificationRun): Promise<void> => {
  try {
    await noteVerification(pool, run);
  } catch (error) {
    stderr.write(`orgtrail: the result could not be kept in the database: ${reasonOf(error)}\n`);
  }
};

const readNames = async (status: () => Promise<Status>): Promise<ReadonlyMap<string, string>> =>
  new Map(
    (await status()).sources.flatMap((source) => {
      const name = source.accountId === undefined ? source.organizationName : source.accountName;
      return name === null ? [] : [[keyOf(source), name]];
    }),
  );

/** Whole seconds. */
const latestClosedMs = (nowMs: number): number => Math.floor((nowMs - CLOSED_AFTER_MS) / 1_000) * 1_000;

/** Throws OrgtrailError `usage` for time not over by Cloudflare's clock, or deleted there. */
const requireReadable = (window: Range, nowMs: number): void => {
  const latestMs = latestClosedMs(nowMs);
  const oldestMs = nowMs - RETENTION_MS;
  if (window.toMs > latestMs) {
    throw new OrgtrailError(
      'usage',
      `--before must be at least ${CLOSED_AFTER_MS / 60_000} minutes in the past (Cloudflare's clock: ${timeText(nowMs)})`,
      { hint: `--before ${timeText(latestMs)} or earlier` },
    );
  }
  if (isEmpty(window)) throw new OrgtrailError('usage', '--since must be more than 2 minutes in the past');
  if (window.fromMs < oldestMs) {
    throw new OrgtrailError(
      'usage',
      `--since ${timeText(window.fromMs)} is older than the 18 months that Cloudflare keeps: there is nothing to compare with`,
      { hint: `--since ${timeText(Math.ceil(oldestMs / 60_000 + 1) * 60_000)} or later` },
    );
  }
};

type Named = Readonly<{ organizations: readonly string[] | undefined; accounts: Config['accounts'] | undefined }>;

/** Throws OrgtrailError `usage` for organizations unknown to store and listing, and for accounts unknown to the store. */
const requireKnown = (scope: VerifyScope, { organizations, accounts }: Named): void => {
  refuseStrangers('organization', organizations?.filter((id) => scope.unknown.includes(id)) ?? []);
  const read = new Set(scope.sources.filter((source) => kindOf(source).owner === 'account').map(({ id }) => id));
  refuseStrangers('account', typeof accounts === 'object' ? accounts.filter((id) => !read.has(id)) : []);
  if (scope.sources.length + scope.unknown.length === 0) {
    throw new OrgtrailError('usage', 'no organization is known yet', { hint: 'run `orgtrail sync` first' });
  }
};

const refuseStrangers = (noun: 'organization' | 'account', ids: readonly string[]): void => {
  if (ids.length === 0) return;
  const article = noun === 'account' ? 'an account' : 'an organization';
  throw new OrgtrailError('usage', `unknown ${noun} ${ids.map((id) => `"${printable(id, 80)}"`).join(', ')}`, {
    hint: `\`orgtrail status --all\` lists them; \`orgtrail backfill\` reads ${article} for the first time`,
  });
};

const timeText = (timeMs: number): string => new Date(timeMs).toISOString().replace('.000Z', 'Z');

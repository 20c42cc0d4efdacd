import { Command, InvalidArgumentError, Option } from 'commander';
import type { Config } from '../../app/config/config.ts';
import { describeNotRead } from '../../app/sync-context.ts';
import { exitCodes } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { readSinkStatus } from '../../sinks/sink-status.sql.ts';
import { readCauses } from '../../status/causes.sql.ts';
import { readScrubTotals, readVerifyRuns } from '../../status/checks.sql.ts';
import { sourceStates } from '../../status/health.ts';
import { countShown, createStatusReader } from '../../status/status-reader.sql.ts';
import { statusScopeOf } from '../../status/status-scope.sql.ts';
import { type CliContext, type Given, print, withDatabase } from '../command.ts';
import { chosenSources, type NamedSources, wholeNumber } from '../options.ts';
import { failLevels, fails, type Report, type Shown, statusJson, statusText } from '../output/status-report.ts';

const DEFAULT_ROWS = 50;

const help = `
Uses only the database, so it works beside a running daemon and from any machine. What is wrong comes first, a line for each cause,
with what to try; then totals, and the organizations, those in trouble before the others.

NOT COLLECTED is all time that is wanted and not collected yet, the DELAY included. It says so if Cloudflare will delete some
of that time within 30 days: then those events are lost.

States: fresh (collected up to now), quiet (the same, and nothing happened for a day), behind (some time is not collected yet;
with many organizations, silent ones are polled less often on purpose, which does not count as behind),
incomplete (the API does not serve some seconds, not even in parts: entries may be missing there),
failing (the last attempt of a lane failed: live, settle, backfill), refused (access denied: Cloudflare answers 403).
Organizations and accounts that vanished within a day have a line of their own.

Of more than 1,000 organizations and accounts, totals count all, and those are named that most need attention: first what is
about to be lost, then by state, then by how much is not collected. --json names 1,000 of them, or as many as --limit says, and has
totals; with --state it names those in these states. --all reads and names every one, which takes longer.

--json also has what was read a second time (checks): the last run of verify, and what the rounds of the daemon found.

Exit code 0 in any state, unless --fail-on is given. With --fail-on failing: 1 if an organization is failing or
refused or has vanished, a sink is failing, the listing of organizations failed or was never made, no daemon has written for a
minute, the database refuses to write, or evidence is no longer signed. With --fail-on behind:
1 also if an organization is behind or incomplete, a sink is behind, or a listing names fewer than it counts. --organization and
--account limit what is judged; --state and --limit do not. If accounts are read (ORGTRAIL_SOURCES), all of this is said of their logs, too.

Examples:
  $ orgtrail status
  $ orgtrail status --state failing,refused
  $ orgtrail status --organization 'Acme Aerospace'
  $ orgtrail status --fail-on behind --limit 0 || page-someone
  $ orgtrail status --json | jq '.sources[] | select(.state == "refused")'`;

type Options = Given<never, 'all' | 'json'> &
  NamedSources &
  Readonly<{ state?: readonly string[]; limit?: number; failOn?: (typeof failLevels)[number] }>;

const readStates = (text: string): readonly string[] => {
  const states = text.split(',').map((state) => state.trim());
  if (states.every((state) => (sourceStates as readonly string[]).includes(state))) return states;
  throw new InvalidArgumentError(`Allowed states are ${sourceStates.join(', ')}.`);
};

export const statusCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('status')
    .description('Show collection status of every organization')
    .option('--state <states>', 'only organizations in these states, separated by commas', readStates)
    .option('--organization <name or id...>', 'these organizations only')
    .option('--account <name or id...>', 'these accounts only')
    .option('--limit <number>', `show N organizations at most (default: ${DEFAULT_ROWS})`, wholeNumber(0))
    .option('--all', 'show all organizations, however many')
    .addOption(
      new Option('--fail-on <level>', 'exit with 1 when something is in this state or worse').choices(failLevels),
    )
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (options: Options) => {
      const shown = shownBy(options);
      const read = await withDatabase(context, (pool, { config }) => readReport(pool, config, options, shown));
      if (options.failOn !== undefined && fails(read, options.failOn)) report(exitCodes.sourceFailed);
      print(context, options, statusJson(read, shown), statusText(read, shown));
    });

/** JSON has everything unless a limit is given. */
const shownBy = ({ state, limit, all, json }: Options): Shown => {
  if (all === true && json !== true) return { states: state, most: Number.POSITIVE_INFINITY };
  return { states: state, most: limit ?? (json === true ? Number.POSITIVE_INFINITY : DEFAULT_ROWS) };
};

export const readReport = async (
  pool: Pool,
  config: Config,
  options: Pick<Options, 'organization' | 'account' | 'all'>,
  { states, most }: Shown,
): Promise<Report> => {
  const scope = statusScopeOf(await chosenSources(config, pool, options));
  // The pace depends on how many there are, not on how many are shown.
  const isPart = options.organization !== undefined || options.account !== undefined;
  const asked = isPart ? (await countShown(pool, statusScopeOf(config))).sources : undefined;
  const pace = { tickMs: config.tickMs, apiBudget: config.apiBudget, asked };
  const selection = { all: options.all, most: Number.isFinite(most) ? most : undefined, states };
  const status = await createStatusReader(pool, scope).read(pace, selection);
  const configured = config.sinks.map(({ name }) => name);
  const [sinks, runs, scrub, notRead] = await Promise.all([
    readSinkStatus(pool, configured.length > 0 ? configured : undefined),
    readVerifyRuns(pool, { before: undefined, limit: 1, found: false }),
    readScrubTotals(pool),
    describeNotRead(config, pool),
  ]);
  const causes = await readCauses(pool, config, status, sinks);
  return { causes, ...status, sinks, ...(notRead && { notRead }), checks: { lastVerify: runs.rows[0] ?? null, scrub } };
};

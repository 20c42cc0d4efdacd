import { z } from 'zod';
import { exitCodes } from '../base/errors.ts';
import { flag, integer, oneOf, operation } from '../base/operation.ts';
import { version } from '../base/package-files.ts';
import type { OperationSource } from '../postgres/access/access-log.sql.ts';
import { readSinkStatus, type SinkStatus } from '../sinks/sink-status.sql.ts';
import { readCauses } from '../status/causes.sql.ts';
import type { Cause } from '../status/causes.ts';
import { readScrubTotals, readVerifyRuns } from '../status/checks.sql.ts';
import { sourceStates } from '../status/health.ts';
import type { StatusWithStates } from '../status/source-state.ts';
import { countShown, createStatusReader, type StatusReader } from '../status/status-reader.sql.ts';
import { failLevels, fails, type Report, type Shown, statusJson, statusText } from '../status/status-report.ts';
import { statusScopeOf } from '../status/status-scope.sql.ts';
import { chosenSources, type NamedSources } from './chosen-sources.ts';
import type { Config } from './config/config.ts';
import { describeNotRead } from './sync-context.ts';

/** What the operations of a process are asked of. */
export interface AppSource extends OperationSource {
  readonly config: Config;
  /** Of a daemon, whose readers share what is asked often, and which knows more of what is wrong. */
  readonly status?: StatusReader;
  readonly causes?: (status: StatusWithStates, sinks: readonly SinkStatus[]) => Promise<readonly Cause[]>;
  /** Why a daemon cannot write the trail of access. */
  readonly accessTrouble?: string | undefined;
}

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
refused or has vanished, a sink is failing, the listing of organizations failed or was never made, no daemon has written for
45 seconds, the database refuses to write, or evidence is no longer signed. With --fail-on behind:
1 also if an organization is behind or incomplete, a sink is behind, or a listing names fewer than it counts. --organization and
--account limit what is judged; --state and --limit do not. If accounts are read (ORGTRAIL_SOURCES), all of this is said of their logs, too.

Examples:
  $ orgtrail status
  $ orgtrail status --state failing,refused
  $ orgtrail status --organization 'Acme Aerospace'
  $ orgtrail status --fail-on behind --limit 0 || page-someone
  $ orgtrail status --json | jq '.sources[] | select(.state == "refused")'`;

const names = (description: string) => z.array(z.string()).optional().describe(description);
const rows = z.array(z.looseObject({}));
/** It has come over the wire: what it prints has no Date. */
const asReport = (report: object): Report => report as Report;

export const showStatus = operation({
  name: 'status',
  says: 'Show collection status of every organization',
  path: '/v1/status',
  tool: 'get_status',
  needs: { scope: 'any' },
  help,
  input: z.strictObject({
    state: z
      .string('must be given once')
      .transform((list) => list.split(',').map((state) => state.trim()))
      .refine(
        (states) => states.every((state) => sourceStates.some((known) => known === state)),
        `must be a list of ${sourceStates.join(', ')}`,
      )
      .optional()
      .describe('only organizations in these states, separated by commas'),
    organization: names('these organizations only'),
    account: names('these accounts only'),
    limit: integer(`show N organizations at most (default: ${DEFAULT_ROWS})`, 0),
    all: flag('show all organizations, however many'),
    fail_on: oneOf(failLevels, `exit with 1 when something is in this state or worse: ${failLevels.join(', ')}`),
  }),
  output: z.looseObject({
    version: z.string().describe('Of the one who answers.'),
    causes: rows.describe('What is wrong, since when, and what to try.'),
    groups: rows.describe('Counts and sums by kind and state, of all that were asked for.'),
    sources: rows.describe('Organizations and accounts; of more than 1,000 those that most need attention.'),
    totals: z.looseObject({}).optional().describe('Without all sources: of all.'),
    vanished: rows.describe('What left within a day.'),
    sinks: rows,
  }),
  values: { state: 'states', organization: 'name or id', account: 'name or id', limit: 'number', fail_on: 'level' },
  run: async (source: AppSource, { state: states, limit, ...asked }) => {
    const shown = { states, most: limit ?? Number.POSITIVE_INFINITY };
    const report = statusJson(await readReport(source, asked, shown), shown);
    const access = source.accessTrouble && { access_log: { state: 'failing', last_error: source.accessTrouble } };
    return { version, ...JSON.parse(JSON.stringify(report)), ...access };
  },
  show: (report, { state: states, limit, all }) => {
    const most = limit ?? (all === true ? Number.POSITIVE_INFINITY : DEFAULT_ROWS);
    return statusText(asReport(report), { states, most });
  },
  exitCode: (report, { fail_on: level }) =>
    level !== undefined && fails(asReport(report), level) ? exitCodes.sourceFailed : exitCodes.done,
});

const readReport = async (
  { pool, config, ...source }: Pick<AppSource, 'pool' | 'config' | 'status' | 'causes'>,
  { all, ...named }: NamedSources & { readonly all?: boolean | undefined },
  { states, most }: Shown,
): Promise<Report> => {
  const isPart = named.organization !== undefined || named.account !== undefined;
  const scope = statusScopeOf(await chosenSources(config, pool, named));
  // The pace depends on how many there are, not on how many are shown.
  const asked = isPart ? (await countShown(pool, statusScopeOf(config))).sources : undefined;
  const pace = { tickMs: config.tickMs, apiBudget: config.apiBudget, asked };
  const reader = (isPart ? undefined : source.status) ?? createStatusReader(pool, scope);
  const status = await reader.read(pace, { all, most: Number.isFinite(most) ? most : undefined, states });
  const configured = config.sinks.map(({ name }) => name);
  const [sinks, runs, scrub, notRead] = await Promise.all([
    readSinkStatus(pool, configured.length > 0 ? configured : undefined),
    readVerifyRuns(pool, { before: undefined, limit: 1, found: false }),
    readScrubTotals(pool),
    describeNotRead(config, pool),
  ]);
  const causes = await (source.causes?.(status, sinks) ?? readCauses(pool, config, status, sinks));
  return { causes, ...status, sinks, ...(notRead && { notRead }), checks: { lastVerify: runs.rows[0] ?? null, scrub } };
};

import { Command } from 'commander';
import { horizonOf } from '../../app/collection-window.ts';
import type { Config } from '../../config/config.ts';
import { OrgtrailError } from '../../errors.ts';
import { formatDuration } from '../../time/duration.ts';
import type { CliContext } from '../cli-context.ts';
import { readWindow, timeHelp } from '../time-options.ts';
import { runSync } from './sync.ts';

const help = `
Fetches missing events between the two times, even if they are older than ORGTRAIL_HISTORY. Time that has been collected
already is not read again. Cloudflare keeps 18 months. Exits with 1 if a source failed, or if the API does not serve some seconds of
that time, not even in parts (holes).

Examples:
  $ orgtrail backfill --since 90d --before now
  $ orgtrail backfill --since 2026-01-01 --before 2026-02-01
  $ orgtrail backfill --since 2026-03-01T12:00:00Z --before 2026-03-02 --organization 'Acme Aerospace'`;

interface BackfillOptions {
  readonly since: string;
  readonly before: string;
  readonly organization?: string[];
  readonly account?: string[];
  readonly json?: boolean;
}

export const backfillCommand = (context: CliContext, report: (code: number) => void): Command =>
  new Command('backfill')
    .description('Fetch missing events for a time range')
    .requiredOption('--since <time>', timeHelp('inclusive'))
    .requiredOption('--before <time>', timeHelp('exclusive'))
    .option('--organization <name or id...>', 'these organizations only')
    .option('--account <name or id...>', 'these accounts only')
    .option('--json', 'print the result as JSON, and no progress')
    .addHelpText('after', help)
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

/** Here by the host's clock: the daemon drops by Cloudflare's. */
const requireWithinRetention = (config: Config, sinceMs: number): void => {
  const { retentionMs, archive } = config;
  const nowMs = Date.now();
  if (sinceMs >= nowMs - retentionMs || (archive !== undefined && sinceMs >= horizonOf(config, nowMs))) return;
  throw new OrgtrailError(
    'usage',
    `--since is further back than ORGTRAIL_RETENTION keeps (${formatDuration(retentionMs)})`,
    {
      hint: 'older events would be deleted again: choose a later --since, or a longer retention',
    },
  );
};

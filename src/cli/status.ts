import { Command } from 'commander';
import { openDatabase } from '../app.ts';
import { loadConfig } from '../config.ts';
import { formatDuration } from '../domain/duration.ts';
import { askedEveryMs, sourceHealth } from '../domain/health.ts';
import { RETENTION_NEAR_MS } from '../domain/retention.ts';
import { createLogger } from '../log.ts';
import { requireCurrent } from '../store/migrate.ts';
import { readStatus, type Status } from '../store/status.ts';
import { withoutControls } from '../terminal-text.ts';
import { secretsOf } from './secrets.ts';
import type { VerbContext } from './verb-context.ts';

const help = `
Reads the database alone, so it works beside a running daemon and from anywhere.

UNREAD says so where Cloudflare will delete some of it within 30 days: then it is lost.

States: fresh (read up to now), quiet (the same, and nothing happened for a day), behind (time is still unread),
failing (the last attempt failed), refused (Cloudflare answers 403).

Examples:
  $ orgtrail status
  $ orgtrail status --json | jq '.sources[] | select(.state == "refused")'`;

export const statusVerb = (context: VerbContext): Command =>
  new Command('status')
    .description('how far every organization is')
    .option('--json', 'print JSON')
    .addHelpText('after', help)
    .action(async (options: { json?: boolean }) => {
      const config = loadConfig(context.env, { needsCredential: false, interactive: context.interactive });
      const logger = createLogger({ ...config.log, destination: context.stderr, secrets: secretsOf(config) });
      const database = await openDatabase(config, logger);
      try {
        await requireCurrent(database.pool);
        const status = await readStatus(database.pool, config.organizationIds);
        const everyMs = askedEveryMs(config, status.sources.length);
        const sources = status.sources.map((source) => ({ ...source, state: sourceHealth(source, everyMs) }));
        if (options.json === true) context.stdout.write(`${JSON.stringify({ ...status, sources }, null, 2)}\n`);
        else context.stdout.write(table(status, sources));
      } finally {
        await database.close();
      }
    });

type Row = Status['sources'][number] & { readonly state: string };

const table = (status: Status, sources: readonly Row[]): string => {
  const header = ['ORGANIZATION', 'NAME', 'STATE', 'LAG', 'UNREAD', 'LAST EVENT', 'HELD BY', 'LAST ERROR'];
  const rows = sources.map((source) => [
    printable(source.organizationId, 64),
    printable(source.organizationName ?? '-', 28),
    source.state,
    formatDuration(source.lagSeconds * 1_000),
    unread(source),
    source.sinceLastEventSeconds === null ? 'never' : `${formatDuration(source.sinceLastEventSeconds * 1_000)} ago`,
    source.leaseOwner ?? '-',
    printable(source.lastError ?? '-', 60),
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const lines = [header, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const { discovery } = status;
  const listed = discovery.ageSeconds === null ? 'never' : `${formatDuration(discovery.ageSeconds * 1_000)} ago`;
  const by = discovery.leaseOwner === null ? '' : `, being listed by ${discovery.leaseOwner}`;
  const trouble = discovery.lastError === null ? '' : ` (last attempt failed: ${printable(discovery.lastError, 200)})`;
  return `${lines.join('\n')}\n\n${sources.length} organizations, listed ${listed}${by}${trouble}; feed ${status.feedId} at position ${status.position}\n`;
};

/** What is unread, and where Cloudflare will delete some of it within a month, how long that takes. */
const unread = ({ gapSeconds, retentionSlackSeconds }: Row): string => {
  const gap = formatDuration(gapSeconds * 1_000);
  if (retentionSlackSeconds * 1_000 >= RETENTION_NEAR_MS) return gap;
  const lost =
    retentionSlackSeconds <= 0 ? 'being lost now' : `lost in ${formatDuration(retentionSlackSeconds * 1_000)}`;
  return `${gap} (${lost})`;
};

/** Names and ids come from others: the terminal shows them and obeys nothing in them. */
export const printable = (text: string, width: number): string => {
  const clean = withoutControls(text.replaceAll(/[\r\n\t]/g, ' '));
  return clean.length > width ? `${clean.slice(0, width - 1)}…` : clean;
};

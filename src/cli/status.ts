import { Command } from 'commander';
import { loadConfig } from '../config.ts';
import { openDatabase } from '../database.ts';
import { collectionSpan, DELAY, NOT_COLLECTED } from '../domain/collection-words.ts';
import { formatDuration } from '../domain/duration.ts';
import { laneTroubleText, pausesOf, sourceHealth, vanishedOf } from '../domain/health.ts';
import { RETENTION_NEAR_MS } from '../domain/retention.ts';
import { createLogger } from '../log.ts';
import { requireCurrentSchema } from '../store/migrate.ts';
import { readSinkStatus, type SinkStatus } from '../store/sink-status.ts';
import { readStatus, type Status } from '../store/status.ts';
import { secretsOf } from './secrets.ts';
import { sinkTable } from './sink-table.ts';
import { alignColumns, printable } from './terminal-table.ts';
import type { VerbContext } from './verb-context.ts';

const help = `
Reads the database alone, so it works beside a running daemon and from anywhere.

NOT COLLECTED is all time that is wanted and not collected yet, the DELAY of the newest included. It says so where Cloudflare
will delete some of it within 30 days: then it is lost.

States: fresh (up to date), quiet (the same, and nothing happened for a day), behind (not up to date yet;
with many organizations silent ones are asked seldom on purpose, and that is not behind),
incomplete (the API does not serve some seconds, not even in parts: entries may be missing there),
failing (the last attempt of a lane failed: live, settle, backfill), refused (Cloudflare answers 403).
Organizations that vanished within a day have a line of their own below.

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
        await requireCurrentSchema(database.pool);
        const status = await readStatus(database.pool, config.organizationIds);
        const pauses = pausesOf(config, status.sources.length);
        const sources = status.sources.map((source) => ({ ...source, state: sourceHealth(source, pauses) }));
        const { gone, ...rest } = status;
        const shown = { ...rest, sources, vanished: vanishedOf(gone, sources.length) };
        const configured = config.sinks.map(({ name }) => name);
        const sinks = await readSinkStatus(database.pool, configured.length > 0 ? configured : undefined);
        if (options.json === true) context.stdout.write(`${JSON.stringify({ ...shown, sinks }, null, 2)}\n`);
        else context.stdout.write(table(shown, sinks));
      } finally {
        await database.close();
      }
    });

type Row = Status['sources'][number] & { readonly state: string };
type Shown = Omit<Status, 'gone' | 'sources'> & { readonly sources: readonly Row[]; readonly vanished: Status['gone'] };

const table = (status: Shown, sinks: readonly SinkStatus[]): string => {
  const { sources } = status;
  const header = [
    'ORGANIZATION',
    'NAME',
    'STATE',
    DELAY.toUpperCase(),
    NOT_COLLECTED.toUpperCase(),
    'LAST EVENT',
    'HELD BY',
    'LAST ERROR',
  ];
  const rows = sources.map((source) => [
    printable(source.organizationId, 64),
    printable(source.organizationName ?? '-', 28),
    source.state,
    collectionSpan(source.lagSeconds),
    notCollected(source),
    source.sinceLastEventSeconds === null ? 'never' : `${formatDuration(source.sinceLastEventSeconds * 1_000)} ago`,
    source.leaseOwner ?? '-',
    printable(source.failingLanes.map(laneTroubleText).join('; ') || '-', 72),
  ]);
  const lines = alignColumns([header, ...rows]);
  const { discovery } = status;
  const listed = discovery.ageSeconds === null ? 'never' : `${formatDuration(discovery.ageSeconds * 1_000)} ago`;
  const by = discovery.leaseOwner === null ? '' : `, being listed by ${discovery.leaseOwner}`;
  const trouble = discovery.lastError === null ? '' : ` (last attempt failed: ${printable(discovery.lastError, 200)})`;
  const jumps = status.positionJumps === 0 ? '' : ` (jumped after a failover or restore: ${status.positionJumps})`;
  const vanished = status.vanished.map((each) => `${vanishedLine(each)}\n`).join('');
  const notes = [...holeLines(sources), ...unprovenLine(sources)].map((line) => `${line}\n`).join('');
  return `${lines.join('\n')}\n\n${notes}${vanished}${sources.length} organizations, listed ${listed}${by}${trouble}; feed ${status.feedId} at position ${status.position}${jumps}\n${sinks.length === 0 ? '' : `\n${sinkTable(sinks)}`}`;
};

const vanishedLine = ({ organizationId, organizationName, goneSeconds }: Status['gone'][number]): string => {
  const name = organizationName === null ? '' : ` (${printable(organizationName, 28)})`;
  const ago = goneSeconds === null ? '' : ` ${formatDuration(goneSeconds * 1_000)} ago`;
  return `vanished${ago}: ${printable(organizationId, 64)}${name}: no listing names it, and its audit log refuses`;
};

/** The holes of each organization, the oldest first. */
const holeLines = (sources: readonly Row[]): readonly string[] =>
  sources.flatMap(({ organizationId, holes, firstHoles }) => {
    const named = firstHoles.map(
      ({ since, before, reason, message }) =>
        `hole: ${printable(organizationId, 64)} from ${since.toISOString()} to ${before.toISOString()}: ${reason}: ${printable(message, 120)}`,
    );
    const more = holes - firstHoles.length;
    return more > 0 ? [...named, `hole: ${printable(organizationId, 64)}, ${more} more: see coverage_holes`] : named;
  });

const unprovenLine = (sources: readonly Row[]): readonly string[] => {
  const unproven = sources.filter(({ unprovenSeconds }) => unprovenSeconds > 0);
  if (unproven.length === 0) return [];
  const seconds = unproven.reduce((sum, { unprovenSeconds }) => sum + unprovenSeconds, 0);
  return [
    `not proven: ${formatDuration(seconds * 1_000)} of ${unproven.length} organizations, claimed as read by version 0.1`,
  ];
};

/** What is not collected or cannot be had, and where Cloudflare will delete some of it within a month, how long that takes. */
const notCollected = ({ gapSeconds, holes, retentionSlackSeconds }: Row): string => {
  const lacking = holes === 0 ? '' : `, ${holes} ${holes === 1 ? 'hole' : 'holes'}`;
  const gap = `${collectionSpan(gapSeconds)}${lacking}`;
  if (retentionSlackSeconds * 1_000 >= RETENTION_NEAR_MS) return gap;
  const lost =
    retentionSlackSeconds <= 0 ? 'being lost now' : `lost in ${formatDuration(retentionSlackSeconds * 1_000)}`;
  return `${gap} (${lost})`;
};

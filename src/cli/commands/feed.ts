import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type { Logger } from 'pino';
import { archivedEventsOf } from '../../app/archive.ts';
import { accountIds, organizationIds } from '../../app/chosen-sources.ts';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { readNewestCheckpoint } from '../../evidence/builder/load-log.sql.ts';
import {
  conflictOf,
  copiesChoices,
  type FeedEvidence,
  type FeedHead,
  type FeedSource,
  goneBehind,
  lastLine,
  type Presented,
  placeOf,
  printFeedCursor,
  START_OVER,
} from '../../feed/feed.ts';
import { type Feed, openFeed } from '../../feed/open-feed.ts';
import { formatNames } from '../../formats/registry.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type CliContext, withDatabase } from '../command.ts';
import { daemonOf } from '../daemon.ts';
import { wholeNumber } from '../options.ts';
import { written } from '../output/terminal.ts';
import { type FeedOptions, writeFeedOf } from './feed-of-daemon.ts';

/** Ends a wait whose notification is lost. */
const MAX_WAIT_MS = 60_000;
/** When the database does not answer. */
const RETRY_AFTER_MS = 2_000;

const help = `
For collectors that run a command: stdout has one event per line, in order of position, and nothing else. To read on without
gaps, pass --last-line, keep its next_cursor, and continue with --cursor. A database that was swapped or restored is then
refused (exit code 2). So are events that retention has dropped before you read them (exit code 2): the hint has the cursor
that continues after them. --after, --feed-id, --check and --dropped are the parts of a cursor, for readers that keep the
position of each line. Events that a failover lost are sent again at higher positions; a warning on stderr says so.

With --url it reads GET /v1/events of a daemon, and goes on where an answer was cut off.

Examples:
  $ orgtrail feed --after 0 --limit 1000
  $ orgtrail feed --follow --format ocsf | collector
  $ orgtrail feed --cursor "$(cat cursor)" --last-line > events.ndjson && tail -1 events.ndjson | jq -r .next_cursor > cursor
  $ orgtrail feed --url https://orgtrail.example.com --token-file token --follow | collector
  $ orgtrail feed --after 5000 --last-line --organization 'Acme Aerospace' | tail -1`;

const collect = (id: string, before: readonly string[] | undefined) => [...(before ?? []), id];

export const feedCommand = (context: CliContext): Command =>
  new Command('feed')
    .description('Print stored events after a position, one per line')
    .option(
      '--cursor <text>',
      'the next_cursor of the last line: continue there; a different or restored database is refused',
    )
    .option('--after <position>', 'the last position that you have, in place of a cursor (default: 0)', wholeNumber(0))
    .option('--limit <number>', 'stop after N events', wholeNumber(1))
    .option('--follow', 'wait for new events until stopped')
    .addOption(new Option('--format <name>', 'docs/formats.md').choices(formatNames).default('native'))
    .option('--organization <name or id>', 'only events of this organization; repeatable', collect)
    .option('--account <name or id>', 'only events of this account; repeatable; with --organization, of both', collect)
    .addOption(
      new Option(
        '--copies <which>',
        'of an entry about a user, which stands in many accounts: every copy, or the first',
      )
        .choices(copiesChoices)
        .default('all'),
    )
    .option('--feed-id <uuid>', 'refuse to continue if the feed is not this one')
    .option('--check <hash>', 'the check from the last line of an earlier run; detects a restored database')
    .option('--dropped <number>', 'acknowledge deletions and jumps up to this number, and continue', wholeNumber(0))
    .option('--last-line', 'end with a line {"next_position":…,"feed_id":…,"check":…,"next_cursor":…}')
    .option('--url <url>', 'ask the daemon at this address')
    .option('--token-file <file>', 'for --url: file of a token with the scope feed')
    .addHelpText('after', help)
    .action(async (options: FeedOptions) => {
      const place = requirePlace(options);
      const daemon = daemonOf(options, context);
      if (daemon !== undefined) return await writeFeedOf(daemon, { ...options, place }, context);
      await withDatabase(context, async (pool, { config, url, logger }) => {
        const organization = options.organization && (await organizationIds(pool, options.organization));
        const account = options.account && (await accountIds(pool, options.account));
        const feed = openFeed(url, logger, { openArchive: archivedEventsOf(config) });
        try {
          const named = { ...(organization && { organization }), ...(account && { account }) };
          const lastSigned = () => lastSignedIn(pool);
          await writeFeed(feed, { ...options, ...named, place, lastSigned }, context, logger);
        } finally {
          await feed.close();
        }
      });
    });

/** Undefined without evidence, or if the account may not read it. */
const lastSignedIn = (pool: Pool): Promise<FeedEvidence | undefined> =>
  readNewestCheckpoint(pool).catch(() => undefined);

/** Throws OrgtrailError `usage`. */
const requirePlace = ({ cursor, after, feedId, check, dropped }: FeedOptions): Presented => {
  if (cursor !== undefined && [after, feedId, check, dropped].some((part) => part !== undefined)) {
    throw new OrgtrailError(
      'usage',
      '--cursor already includes --after, --feed-id, --check and --dropped: give one or the other',
    );
  }
  const place = placeOf({ cursor, after: after ?? 0, feedId, check, dropped });
  if (place === undefined) throw new OrgtrailError('usage', '--cursor is not a cursor of this feed');
  return place;
};

const writeFeed = async (
  feed: Feed,
  options: FeedOptions & { readonly place: Presented; readonly lastSigned: () => Promise<FeedEvidence | undefined> },
  context: CliContext,
  logger: Logger,
): Promise<void> => {
  const { source } = feed;
  const { place } = options;
  const { signal } = context;
  const head = await source.head(place.after);
  const state: Progress = {
    after: place.after,
    left: options.limit ?? Number.MAX_SAFE_INTEGER,
    feedId: head.feedId,
    dropped: head.lastDrop,
    aborted: once(signal, 'abort'),
  };
  await requireSameFeed(source, head, place);
  await requireAllThere(source, head, place, logger);
  for (;;) {
    try {
      await writeUpToHead(source, options, state, { ...context, logger });
      if (options.follow !== true || state.left <= 0 || signal.aborted) break;
      await source.waitBeyond(state.after, MAX_WAIT_MS, signal);
    } catch (error) {
      const passes = !(error instanceof OrgtrailError) || error.code === 'database_unreachable';
      if (options.follow !== true || !passes) throw error;
      logger.warn({ reason: reasonOf(error), after: state.after }, 'the database does not answer; retrying');
      await sleep(RETRY_AFTER_MS, undefined, { signal }).catch(() => {});
    }
    if (signal.aborted) break;
  }
  if (options.lastLine === true) {
    const check = await source.checkOf(state.after);
    const { dropped = 0 } = place;
    const cursor = { position: state.after, feedId: state.feedId, check, dropped };
    context.stdout.write(lastLine(cursor, await options.lastSigned()));
  }
};

/** Everything up to `after` has been printed. */
interface Progress {
  after: number;
  left: number;
  readonly feedId: string;
  /** Later drops and jumps are not known yet. */
  dropped: number;
  /** A reader that does not read must not hold up a stop. */
  readonly aborted: Promise<unknown>;
}

const writeUpToHead = async (
  source: FeedSource,
  { organization: organizationIds, account, copies, format }: FeedOptions,
  state: Progress,
  { stdout, signal, logger }: CliContext & { readonly logger: Logger },
): Promise<void> => {
  const head = await source.head(state.after);
  await requireSameFeed(source, head, state);
  await requireAllThere(source, head, state, logger);
  state.dropped = head.lastDrop;
  const range = { after: state.after, until: head.position, organizationIds, accountIds: account, copies };
  const until = await source.endOf(range, state.left);
  for await (const piece of source.pieces(head, { ...range, until }, format)) {
    if (signal.aborted) return;
    await Promise.race([written(stdout, piece.lines), state.aborted]);
    state.after = piece.until;
    state.left -= piece.events;
  }
};

const requireSameFeed = async (
  source: FeedSource,
  head: FeedHead,
  presented: Parameters<typeof conflictOf>[2],
): Promise<void> => {
  const reason = await conflictOf(source, head, presented);
  if (reason === undefined) return;
  throw new OrgtrailError('usage', reason, { hint: START_OVER });
};

/** Only says what a failover lost, since it comes again. What retention dropped does not. */
const requireAllThere = async (
  source: FeedSource,
  head: FeedHead,
  presented: Parameters<typeof goneBehind>[2],
  logger: Logger,
): Promise<void> => {
  const missed = await goneBehind(source, head, presented);
  if (missed === undefined) return;
  if (missed.months.length === 0) return logger.warn({ after: presented.after }, missed.reason);
  throw new OrgtrailError('usage', missed.reason, {
    hint: `to continue anyway, pass --cursor ${printFeedCursor({
      position: presented.after,
      feedId: head.feedId,
      check: presented.check,
      dropped: head.lastDrop,
    })}`,
  });
};

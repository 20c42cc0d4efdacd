import type { Logger } from 'pino';
import { coalesced } from '../limits/coalesced.ts';
import { ReaderMemory } from '../limits/reader-memory.ts';
import type { DatabaseUrl } from '../postgres/database-url.ts';
import { openPool } from '../postgres/open-pool.ts';
import { createClient, type Pool } from '../postgres/pool.ts';
import { lookUpAll } from './archived/look-up.ts';
import type { ArchivedEvents } from './archived/ports.ts';
import {
  hasFeedEvents,
  positionOfNth,
  readMissedEvents,
  readOrganizationNames,
  readPositionCheck,
} from './feed.sql.ts';
import type { FeedSource, PositionLookup } from './feed.ts';
import { readPieces } from './feed-pieces.ts';
import { createFeedSignal, type FeedSignal } from './feed-signal.sql.ts';
import { FormatThreads } from './formatting/format-threads.ts';
import { readFeedHead } from './head/feed-head.sql.ts';
import { headBehindFailover } from './head/head-behind-failover.ts';

/** Each reader holds one for a chunk only, so many readers share them. */
const CONNECTIONS = 4;
export interface Feed {
  readonly source: FeedSource;
  close(): Promise<void>;
}

export interface FeedOptions {
  /** What all readers share. */
  readonly memory?: ReaderMemory;
  /** Where events are that retention has dropped; without it they are gone. */
  readonly openArchive?: ((pool: Pool) => ArchivedEvents) | undefined;
  /** What makes the formats other than `native`. Default: threads of its own, in a bundle. */
  readonly threads?: FormatThreads;
}

/** Opens the feed of a database, on connections of its own: readers and ingestion do not wait for each other. */
export const openFeed = (databaseUrl: DatabaseUrl, logger: Logger, options: FeedOptions = {}): Feed => {
  const { memory = new ReaderMemory(), openArchive, threads = formatThreads(logger) } = options;
  const { pool, close } = openPool({ url: databaseUrl, size: CONNECTIONS, sharedFor: 'the feed', logger });
  const signal = createFeedSignal({
    createClient: () => createClient(databaseUrl),
    pool,
    headPosition: async () => (await readFeedHead(pool)).position,
    onFallback: (reason) => logger.info({ reason }, 'LISTEN/NOTIFY unavailable; polling for new events every second'),
  });
  const archived = openArchive?.(pool);
  return {
    source: createFeedSource({ pool, signal, memory, archived, threads }),
    close: async () => {
      signal.close();
      await threads.close();
      await archived?.close();
      await close();
    },
  };
};

const formatThreads = (logger: Logger): FormatThreads =>
  new FormatThreads({
    onFailure: (error) => logger.error({ err: error }, 'events could not be formatted; their readers are cut off'),
  });

interface FeedParts {
  readonly pool: Pool;
  readonly signal: FeedSignal;
  readonly memory: ReaderMemory;
  readonly archived: ArchivedEvents | undefined;
  readonly threads: FormatThreads;
}

/** Joins the statements of the store and the formats to what the feed over HTTP and the command `feed` need. */
const createFeedSource = (parts: FeedParts): FeedSource => {
  const { pool, signal, archived } = parts;
  // Each commit wakes all that wait, and all of them ask.
  const readHead = coalesced(() => readFeedHead(pool));
  const readNames = coalesced(() => readOrganizationNames(pool));
  return {
    head: async (after = 0) => {
      const head = await readHead();
      if (after <= head.position) return head;
      return await headBehindFailover(pool, after);
    },
    ...(archived === undefined ? lookUpHot(pool) : lookUpAll({ pool, archived })),
    waitBeyond: (position, timeoutMs, abort) => signal.waitBeyond(position, timeoutMs, abort),
    pieces: (head, range, format, gone) => readPieces({ ...parts, range, format, gone, readNames }, head),
  };
};

const lookUpHot = (pool: Pool): PositionLookup => ({
  checkOf: (position) => readPositionCheck(pool, position),
  endOf: (range, limit) => positionOfNth(pool, range, limit),
  hasEvents: (range) => hasFeedEvents(pool, range),
  missedBehind: (position, knownDrop) => readMissedEvents(pool, position, knownDrop, { hasArchive: false }),
});

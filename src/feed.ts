import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { type FormatName, formats } from './domain/formats/formats.ts';
import type { FeedPiece, FeedSource } from './http/feed.ts';
import {
  eachFeedRow,
  type FeedRange,
  hasFeedEvents,
  positionOfNth,
  readFeedChunk,
  readFeedHead,
  readPositionCheck,
} from './store/feed.ts';
import { createFeedSignal, type FeedSignal } from './store/feed-signal.ts';
import { NativeLines } from './store/native-lines.ts';
import { createClient, createPool } from './store/pool.ts';

/** Each holds one for a chunk only, so many readers share them. */
const CONNECTIONS = 4;
/** Enough that the cost of a statement does not show, few enough to be held in memory by each of many readers. */
const CHUNK_EVENTS = 1_000;
const CHUNK_BYTES = 2_097_152;

export interface Feed {
  readonly source: FeedSource;
  close(): Promise<void>;
}

/** Opens the feed of a database, on connections of its own: readers and ingestion do not wait for each other. */
export const openFeed = (databaseUrl: string, logger: Logger): Feed => {
  const pool = createPool(databaseUrl, CONNECTIONS, (error) =>
    logger.warn({ reason: error.message }, 'lost an idle database connection'),
  );
  const signal = createFeedSignal({
    createClient: () => createClient(databaseUrl),
    pool,
    headPosition: async () => (await readFeedHead(pool)).position,
    onFallback: (reason) => logger.info({ reason }, 'looking for new events every second instead of being notified'),
  });
  return {
    source: createFeedSource(pool, signal),
    close: async () => {
      signal.close();
      // A connection attempt that hangs must not hold up a stop.
      await Promise.race([pool.end(), sleep(2_000, undefined, { ref: false })]);
    },
  };
};

/** Joins the statements of the store and the formats to what the feed over HTTP and the verb `feed` need. */
const createFeedSource = (pool: Pool, signal: FeedSignal): FeedSource => ({
  head: () => readFeedHead(pool),
  checkOf: (position) => readPositionCheck(pool, position),
  endOf: (range, limit) => positionOfNth(pool, range, limit),
  hasEvents: (range) => hasFeedEvents(pool, range),
  waitBeyond: (position, timeoutMs, abort) => signal.waitBeyond(position, timeoutMs, abort),
  pieces: (feedId, range, format) => prefetched(chunkReader(pool, feedId, format), range),
});

interface Chunk extends FeedPiece {
  readonly full: boolean;
}

type ReadChunk = (range: FeedRange, maxEvents: number) => Promise<Chunk>;

const chunkReader = (pool: Pool, feedId: string, format: FormatName): ReadChunk => {
  if (format === 'native') {
    // Two, in turn: while one piece is on its way, the next is written.
    const writers = [new NativeLines(feedId), new NativeLines(feedId)] as const;
    let turn = 0;
    return async (range, maxEvents) => {
      turn = 1 - turn;
      const native = writers[turn === 0 ? 0 : 1];
      native.clear();
      const end = await eachFeedRow(pool, range, { maxEvents, maxBytes: CHUNK_BYTES }, (row) => native.add(row));
      return { ...end, lines: native.written() };
    };
  }
  const write = formats[format].format;
  return async (range, maxEvents) => {
    const { list, ...end } = await readFeedChunk(pool, feedId, range, { maxEvents, maxBytes: CHUNK_BYTES });
    return { ...end, lines: Buffer.from(list.map((event) => `${write(event)}\n`).join('')) };
  };
};

/** Piece by piece: one is read while the one before is on its way, and no more than that. */
async function* prefetched(read: ReadChunk, range: FeedRange): AsyncGenerator<FeedPiece, void, void> {
  if (range.until <= range.after) return;
  let maxEvents = CHUNK_EVENTS;
  let next: Promise<Chunk> | undefined = read(range, maxEvents);
  while (next !== undefined) {
    const chunk: Chunk = await next;
    maxEvents = chunk.full ? Math.max(1, chunk.events) : Math.min(CHUNK_EVENTS, maxEvents * 2);
    next = chunk.until < range.until ? read({ ...range, after: chunk.until }, maxEvents) : undefined;
    // Nobody may be there any more to hear that it failed.
    next?.catch(() => {});
    yield chunk;
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { DatabaseUrl } from './database-url.ts';
import { type FormatName, formats } from './domain/formats/formats.ts';
import { OrgtrailError } from './errors.ts';
import type { FeedPiece, FeedSource } from './http/feed.ts';
import { logIdleError, logJump } from './log-database.ts';
import {
  eachFeedRow,
  type FeedRange,
  hasFeedEvents,
  positionOfNth,
  readFeedChunk,
  readFeedContext,
  readFeedHead,
  readMissedEvents,
  readPositionCheck,
} from './store/feed.ts';
import type { FeedContext } from './store/feed-row.ts';
import { createFeedSignal, type FeedSignal } from './store/feed-signal.ts';
import { NativeLines } from './store/native-lines.ts';
import { createClient, createPool } from './store/pool.ts';
import { compareTimeline } from './store/position-jumps.ts';

/** Each holds one for a chunk only, so many readers share them. */
const CONNECTIONS = 4;
/** Enough that what a statement costs by itself does not show, few enough to be held in memory by each of many readers. */
const CHUNK_EVENTS = 5_000;
const CHUNK_BYTES = 6_291_456;
/** Made in JavaScript at some 8,000 a second (ocsf): nothing else happens in the process meanwhile. */
const FORMATTED_EVENTS = 250;
/** A first one tells how large the events are. */
const FIRST_CHUNK_EVENTS = 500;

export interface Feed {
  readonly source: FeedSource;
  close(): Promise<void>;
}

/** Opens the feed of a database, on connections of its own: readers and ingestion do not wait for each other. */
export const openFeed = (databaseUrl: DatabaseUrl, logger: Logger): Feed => {
  const pool = createPool(databaseUrl, CONNECTIONS, logIdleError(logger), logJump(logger));
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
  head: async (after = 0) => {
    const head = await readFeedHead(pool);
    if (after <= head.position) return head;
    await pool.query(compareTimeline);
    const compared = await readFeedHead(pool);
    if (after > compared.position && compared.isStandby) throw notArrived(after, compared.position);
    return compared;
  },
  checkOf: (position) => readPositionCheck(pool, position),
  endOf: (range, limit) => positionOfNth(pool, range, limit),
  hasEvents: (range) => hasFeedEvents(pool, range),
  waitBeyond: (position, timeoutMs, abort) => signal.waitBeyond(position, timeoutMs, abort),
  missedBehind: (position, knownDrop) => readMissedEvents(pool, position, knownDrop),
  pieces: (head, range, format) => pieces(pool, head, range, format),
});

interface Chunk extends FeedPiece {
  readonly full: boolean;
}

type ReadChunk = (range: FeedRange, maxEvents: number) => Promise<Chunk>;

const chunkReader = (pool: Pool, context: FeedContext, format: FormatName): ReadChunk => {
  if (format === 'native') {
    // Two, in turn: while one piece is on its way, the next is written.
    const writers = [new NativeLines(context), new NativeLines(context)] as const;
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
    const limits = { maxEvents: Math.min(maxEvents, FORMATTED_EVENTS), maxBytes: CHUNK_BYTES };
    const { list, ...end } = await readFeedChunk(pool, context, range, limits);
    return { ...end, lines: Buffer.from(list.map((event) => `${write(event)}\n`).join('')) };
  };
};

/** Piece by piece: one is read while the one before is on its way, and no more than that. */
async function* pieces(
  pool: Pool,
  { feedId, lastDrop }: { readonly feedId: string; readonly lastDrop: number },
  range: FeedRange,
  format: FormatName,
): AsyncGenerator<FeedPiece, void, void> {
  if (range.until <= range.after) return;
  const read = chunkReader(pool, await readFeedContext(pool, feedId), format);
  let next: Promise<Chunk> | undefined = read(range, FIRST_CHUNK_EVENTS);
  let after = range.after;
  while (next !== undefined) {
    const chunk: Chunk = await next;
    next = chunk.until < range.until ? read({ ...range, after: chunk.until }, fittingEvents(chunk)) : undefined;
    // Nobody may be there any more to hear that it failed.
    next?.catch(() => {});
    // Before it is handed on: who has it goes on behind it, and would not hear of what was dropped before it.
    if ((await readMissedEvents(pool, after, lastDrop)) !== undefined) throw goneMeanwhile(after);
    after = chunk.until;
    yield chunk;
  }
}

const notArrived = (after: number, position: number): OrgtrailError =>
  new OrgtrailError('database_unreachable', `this standby is at position ${position} and does not have ${after} yet`, {
    hint: 'ask again, or ask the primary',
  });

const goneMeanwhile = (after: number): OrgtrailError =>
  new OrgtrailError('usage', `events behind position ${after} were dropped or lost while they were being read`, {
    hint: `ask again for what is behind ${after}: the answer says what is gone`,
  });

/** As many as will probably fit, judged by the chunk before: what does not fit is read twice. */
const fittingEvents = ({ events, lines, full }: Chunk): number => {
  if (full) return Math.max(1, Math.floor(events * 0.8));
  if (events === 0) return CHUNK_EVENTS;
  return Math.max(1, Math.min(CHUNK_EVENTS, Math.floor((0.8 * CHUNK_BYTES * events) / lines.length)));
};

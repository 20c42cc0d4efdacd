import type { Logger } from 'pino';
import { OrgtrailError } from '../base/errors.ts';
import { coalesced } from '../base/limits.ts';
import { ReaderMemory } from '../base/memory.ts';
import type { FormatName } from '../formats/registry.ts';
import type { DatabaseUrl } from '../postgres/database-url.ts';
import { openPool } from '../postgres/open-pool.ts';
import { createClient, type Pool } from '../postgres/pool.ts';
import { lookUpAll } from './archived-rows.ts';
import { type Chunk, type ChunkReader, chunkReader, chunksAhead, retryWhileBusy } from './chunks.ts';
import {
  hasFeedEvents,
  positionOfNth,
  readMissedEvents,
  readOrganizationNames,
  readPositionCheck,
} from './feed.sql.ts';
import type { ArchivedEvents, FeedPiece, FeedRange, FeedSource, PositionLookup } from './feed.ts';
import { headBehindFailover, readFeedHead } from './feed-head.sql.ts';
import type { FeedContext } from './feed-row.ts';
import { FeedSignal } from './feed-signal.sql.ts';
import { FormatThreads } from './format-threads.ts';

/** A reader holds one for a chunk only, so many readers share them. */
const CONNECTIONS = 4;

export interface Feed {
  readonly source: FeedSource;
  close(): Promise<void>;
}

/** On connections of its own: ingestion does not wait for readers, nor they for it. Without an archive, events that were dropped are gone. */
export const openFeed = (
  databaseUrl: DatabaseUrl,
  logger: Logger,
  options: {
    readonly memory?: ReaderMemory;
    readonly openArchive?: ((pool: Pool) => ArchivedEvents) | undefined;
    readonly threads?: FormatThreads;
  } = {},
): Feed => {
  const { memory = new ReaderMemory(), openArchive, threads = formatThreads(logger) } = options;
  const { pool, close } = openPool({ url: databaseUrl, size: CONNECTIONS, sharedFor: 'the feed', logger });
  const signal = new FeedSignal({
    createClient: () => createClient(databaseUrl),
    pool,
    headPosition: async () => (await readFeedHead(pool)).position,
    onFallback: (reason) => logger.info({ reason }, 'LISTEN/NOTIFY unavailable; polling for new events every second'),
  });
  const archived = openArchive?.(pool);
  // Each commit wakes all that wait, and all of them ask.
  const readHead = coalesced(() => readFeedHead(pool));
  const readNames = coalesced(() => readOrganizationNames(pool));
  return {
    source: {
      head: async (after = 0) => {
        const head = await readHead();
        return after <= head.position ? head : await headBehindFailover(pool, after);
      },
      ...(archived === undefined ? lookUpHot(pool) : lookUpAll({ pool, archived })),
      waitBeyond: (position, timeoutMs, abort) => signal.waitBeyond(position, timeoutMs, abort),
      pieces: (head, range, format, gone) =>
        readPieces({ pool, memory, archived, threads, range, format, gone, readNames }, head),
    },
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

const lookUpHot = (pool: Pool): PositionLookup => ({
  checkOf: (position) => readPositionCheck(pool, position),
  endOf: (range, limit) => positionOfNth(pool, range, limit),
  hasEvents: (range) => hasFeedEvents(pool, range),
  missedBehind: (position, knownDrop) => readMissedEvents(pool, position, knownDrop, { hasArchive: false }),
});

interface Reading {
  readonly pool: Pool;
  readonly memory: ReaderMemory;
  readonly threads: FormatThreads;
  readonly archived: ArchivedEvents | undefined;
  readonly range: FeedRange;
  readonly format: FormatName;
  readonly readNames: () => Promise<FeedContext['organizationNames']>;
  /** The reader has gone: what is under way for it is cancelled. */
  readonly gone: AbortSignal | undefined;
}

/** Some pieces are read and formatted while the one before is on its way. Their memory is lent. */
export async function* readPieces(
  reading: Reading,
  { feedId, lastDrop }: { readonly feedId: string; readonly lastDrop: number },
): AsyncGenerator<FeedPiece, void, void> {
  const { pool, archived, range, memory } = reading;
  const hasArchive = archived !== undefined;
  if (range.until <= range.after) return;
  const context = { feedId, organizationNames: await reading.readNames() };
  const gone = reading.gone ?? new AbortController().signal;
  const parts = { reader: chunkReader(reading, context, reading.format), memory, gone };
  const missed = () => readMissedEvents(pool, after, lastDrop, { hasArchive });
  let after = range.after;
  let isBegun = false;
  let lackingBytes = 0;
  while (after < range.until) {
    const rest = { ...range, after };
    const pieces = lackingBytes === 0 ? inChunks(parts, rest) : alone(parts, rest, lackingBytes);
    try {
      let step = await pieces.next();
      for (; step.done !== true; step = await pieces.next()) {
        // In front of a piece: a reader that has it continues behind it, and would not learn what was dropped in front of it.
        if ((await (isBegun ? retryWhileBusy(missed, gone) : missed())) !== undefined) throw goneMeanwhile(after);
        isBegun = true;
        after = step.value.until;
        yield step.value;
      }
      lackingBytes = step.value;
    } finally {
      await pieces.return(0);
    }
  }
}

interface Parts {
  readonly reader: ChunkReader;
  readonly memory: ReaderMemory;
  readonly gone: AbortSignal;
}

/** Up to an event that has no room in a chunk. Returns how large that one is, 0 at the end. */
async function* inChunks({ reader, memory, gone }: Parts, range: FeedRange): AsyncGenerator<FeedPiece, number, void> {
  const chunks = chunksAhead(reader, memory, range, gone);
  try {
    for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
      const lackingBytes = yield* chunk.pieces();
      if (lackingBytes > 0) return lackingBytes;
    }
    return 0;
  } finally {
    await chunks.close();
  }
}

/** The first event, in memory of its own. Returns how large it is to be taken for: how long a line gets may show only when it is made. */
async function* alone(
  { reader, memory, gone }: Parts,
  range: FeedRange,
  lackingBytes: number,
): AsyncGenerator<FeedPiece, number, void> {
  const lent = await memory.lendLarge(lackingBytes, reader.share * lackingBytes, gone, reader.memory);
  let chunk: Chunk | undefined;
  try {
    chunk = await reader.read(lent, range, 1, { signal: gone, isAlone: true });
    return yield* chunk.pieces();
  } finally {
    await chunk?.settled();
    memory.giveBack(lent);
  }
}

const goneMeanwhile = (after: number): OrgtrailError =>
  new OrgtrailError('usage', `events after position ${after} were dropped or lost while they were being read`, {
    hint: `request the events after ${after} again: the answer says what is gone`,
  });

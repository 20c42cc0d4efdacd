import { OrgtrailError } from '../errors.ts';
import type { FormatName } from '../formats/formats.ts';
import type { ReaderMemory } from '../limits/reader-memory.ts';
import type { Pool } from '../postgres/pool.ts';
import type { ArchivedEvents } from './archived/ports.ts';
import type { Chunk, ChunkReader } from './chunk.ts';
import { ChunksAhead } from './chunks-ahead.ts';
import { readMissedEvents } from './feed.sql.ts';
import type { FeedPiece, FeedRange } from './feed.ts';
import { chunkReader } from './feed-chunks.ts';
import type { FeedContext } from './feed-row.ts';
import type { FormatThreads } from './formatting/format-threads.ts';
import { retryWhileBusy } from './retry-while-busy.ts';

/** One reading of a range. */
export interface Reading {
  readonly pool: Pool;
  readonly memory: ReaderMemory;
  readonly threads: FormatThreads;
  readonly archived: ArchivedEvents | undefined;
  readonly range: FeedRange;
  readonly format: FormatName;
  /** The names of all organizations by now. */
  readonly readNames: () => Promise<FeedContext['organizationNames']>;
  /** Aborts when the reader has gone: what is under way for it is cancelled. */
  readonly gone: AbortSignal | undefined;
}

/** Piece by piece: some are read and formatted while the one before is on its way. Their memory is lent. */
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
        // Before it is handed on: a reader that has it continues after it, and would not learn what was dropped before it.
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

/** The pieces of a range, up to an event that has no room in a chunk. Returns how large that one is, 0 at the end. */
async function* inChunks({ reader, memory, gone }: Parts, range: FeedRange): AsyncGenerator<FeedPiece, number, void> {
  const chunks = new ChunksAhead(reader, memory, range, gone);
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

/** The first event of a range, in memory of its own. Returns how large it must be taken for: how long a line gets may only show when it is made. */
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

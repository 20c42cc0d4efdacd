import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError } from '../base/errors.ts';
import { COLLECT_BYTES, collectGarbage, type MemoryKind, type ReaderMemory } from '../base/memory.ts';
import type { FormatName } from '../formats/registry.ts';
import type { BinaryRow } from '../postgres/copy.ts';
import type { Pool } from '../postgres/pool.ts';
import { eachMergedRow } from './archived-rows.ts';
import { type ChunkEnd, eachFeedRow } from './feed.sql.ts';
import type { ArchivedEvents, FeedPiece, FeedRange, RowLimits } from './feed.ts';
import type { FeedContext } from './feed-row.ts';
import { type FormatJob, type FormattedPart, PackedRows } from './format-rows.ts';
import type { FormatThreads } from './format-threads.ts';
import { NativeLines } from './native-lines.ts';

/** So many that what a statement costs by itself does not show. */
const NATIVE_EVENTS = 5_000;
/** It takes some 20 ms to format them. */
const FORMATTED_EVENTS = 750;
/** Rows that are to be formatted take a quarter of the memory: OCSF and ECS, which say the most, need three times as much. */
const ROWS_SHARE = 4;

interface ChunkSource {
  readonly pool: Pool;
  readonly archived: ArchivedEvents | undefined;
  readonly threads: FormatThreads;
}

export const chunkReader = (source: ChunkSource, context: FeedContext, format: FormatName): ChunkReader =>
  noting(format === 'native' ? nativeChunks(source, context) : formattedChunks(source, context, format));

type Chunks = Omit<ChunkReader, 'bytesEach'>;

const noting = (chunks: Chunks): ChunkReader => {
  let bytesEach: number | undefined;
  let isBegun = false;
  return {
    ...chunks,
    get bytesEach() {
      return bytesEach;
    },
    read: async (memory, range, maxEvents, options) => {
      const read = () => chunks.read(memory, range, maxEvents, options);
      // Only the first one can be refused: the answer has not begun yet.
      const chunk = await (isBegun ? retryWhileBusy(read, options.signal) : read());
      isBegun ||= chunk.events > 0 || chunk.lackingBytes === 0;
      if (chunk.events > 0) bytesEach = chunk.bytes / chunk.events;
      return chunk;
    },
  };
};

const nativeChunks = (source: ChunkSource, context: FeedContext): Chunks => {
  const writer = new NativeLines(context);
  return {
    maxEvents: NATIVE_EVENTS,
    share: 1,
    memory: 'own',
    ahead: 1,
    read: async (memory, range, maxEvents, { signal }) => {
      const start = () => {
        writer.writeInto(memory);
        return writer;
      };
      const end = await readRows(source, range, { maxEvents, maxBytes: memory.length }, start, signal);
      const lines = writer.written();
      return { ...end, bytes: lines.length, pieces: () => onePiece(end, lines), settled: async () => {} };
    },
  };
};

async function* onePiece(end: ChunkEnd, lines: Buffer): AsyncGenerator<FeedPiece, number, void> {
  if (end.events === 0 && end.lackingBytes > 0) return end.lackingBytes;
  yield { ...end, lines };
  return 0;
}

const formattedChunks = (source: ChunkSource, context: FeedContext, format: FormatName): Chunks => ({
  maxEvents: FORMATTED_EVENTS,
  share: ROWS_SHARE,
  memory: 'shared',
  ahead: 1 + source.threads.width,
  read: async (memory, range, maxEvents, { signal, isAlone }) => {
    const maxBytes = isAlone ? memory.length : Math.floor(memory.length / ROWS_SHARE);
    const start = () => new PackedRows(context.organizationNames, memory, maxBytes);
    let rows = start();
    const end = await readRows(source, range, { maxEvents, maxBytes }, () => (rows = start()), signal);
    // A single line may take the place of its row, which is read before.
    const job = { format, feedId: context.feedId, memory, rowsEnd: rows.end, linesStart: isAlone ? 0 : rows.end };
    return formattedChunk(end, job, source.threads);
  },
});

/** Hands the rows to what `start` gives, which is called again if they must be read again. */
const readRows = async (
  { pool, archived }: ChunkSource,
  range: FeedRange,
  limits: RowLimits,
  start: () => { add(row: BinaryRow): number },
  signal: AbortSignal,
): Promise<ChunkEnd> => {
  for (;;) {
    const taker = start();
    const take = (row: BinaryRow) => taker.add(row);
    const end = archived
      ? await eachMergedRow({ pool, archived }, range, limits, take, signal)
      : await eachFeedRow(pool, range, limits, take, signal);
    // The driver had a large one twice.
    if (limits.maxEvents === 1 && limits.maxBytes >= COLLECT_BYTES) collectGarbage();
    if (end !== undefined) return end;
  }
};

export interface Chunk extends ChunkEnd {
  /** Lines, or rows that are to be formatted. */
  readonly bytes: number;
  /** Returns how large the next event is to be taken for if the memory is too small for it alone, else 0. */
  pieces(): AsyncGenerator<FeedPiece, number, void>;
  /** Nothing is written to the memory any more. Never rejects. */
  settled(): Promise<void>;
}

export interface ChunkReader {
  readonly maxEvents: number;
  /** The memory of an event is so many times its share of `bytes` of a chunk. */
  readonly share: number;
  readonly memory: MemoryKind;
  readonly bytesEach: number | undefined;
  /** Chunks that may be on their way behind the one that is handed out. */
  readonly ahead: number;
  /** Reads the next events into the memory. `isAlone`: it is a single event, which may take all of the memory. On abort the statement is cancelled. */
  read(
    memory: Buffer,
    range: FeedRange,
    maxEvents: number,
    options: { readonly signal: AbortSignal; readonly isAlone: boolean },
  ): Promise<Chunk>;
}

/** It tells how large the events are, which are usually about a kilobyte. */
const FIRST_CHUNK_EVENTS = 500;
const FIRST_EVENT_BYTES = 2_048;
/** By the size of the last chunk's events. What does not fit is read twice. */
const FILLED_SHARE = 0.8;
const SURE_CHUNKS = 2;

interface Lent {
  readonly memory: Buffer;
  readonly chunk: Promise<Chunk | undefined>;
}

/** The chunks of a range in order, some of them read ahead: one always, more while memory is left. Their memory is lent. */
export const chunksAhead = (reader: ChunkReader, memory: ReaderMemory, range: FeedRange, gone: AbortSignal) => {
  const over = new AbortController();
  const signal = AbortSignal.any([gone, over.signal]);
  const queue: Lent[] = [];
  let current: Lent | undefined;
  let last: Promise<Chunk | undefined> | undefined;
  let isAtEnd = false;
  const mostEvents = () => (reader.bytesEach === undefined ? FIRST_CHUNK_EVENTS : reader.maxEvents);
  const estimate = () => reader.bytesEach ?? FIRST_EVENT_BYTES;
  const lend = (): Buffer | undefined => {
    const wanted = 2 * reader.share * Math.min(mostEvents(), range.until - range.after) * estimate();
    const held = queue.length + (current === undefined ? 0 : 1);
    return held < SURE_CHUNKS ? memory.lend(wanted, reader.memory) : memory.lendSpare(wanted, reader.memory);
  };
  const giveBack = async (lent: Lent | undefined): Promise<void> => {
    if (lent === undefined) return;
    await (await lent.chunk.catch(() => undefined))?.settled();
    memory.giveBack(lent.memory);
  };
  const readBehind = async (before: typeof last, into: Buffer): Promise<Chunk | undefined> => {
    const after = (await before)?.until ?? range.after;
    if (isAtEnd) return undefined;
    const fitting = Math.floor((FILLED_SHARE * into.length) / (reader.share * estimate()));
    const events = Math.max(1, Math.min(fitting, mostEvents(), range.until - after));
    const chunk = await reader.read(into, { ...range, after }, events, { signal, isAlone: false });
    isAtEnd ||= (chunk.events === 0 && chunk.lackingBytes > 0) || chunk.until >= range.until;
    return chunk;
  };
  const fill = (): void => {
    const ahead = reader.bytesEach === undefined ? 1 : reader.ahead;
    while (!isAtEnd && queue.length < ahead) {
      const lent = lend();
      if (lent === undefined) return;
      last = readBehind(last, lent);
      // The reader may be gone before it could hear that it failed.
      last.catch(() => {});
      queue.push({ memory: lent, chunk: last });
    }
  };
  fill();
  return {
    /** Gives the last chunk back. Undefined behind the end, and behind a chunk without events that lacks memory. */
    next: async (): Promise<Chunk | undefined> => {
      await giveBack(current);
      current = queue.shift();
      const chunk = await current?.chunk;
      fill();
      return chunk;
    },
    /** Cancels what is under way, and gives all memory back. */
    close: async (): Promise<void> => {
      over.abort();
      isAtEnd = true;
      for (const lent of [current, ...queue.splice(0)]) await giveBack(lent);
      current = undefined;
    },
  };
};

/** The first lines are made at once; more of them, if not all have room, as they are asked for. */
const formattedChunk = (end: ChunkEnd, job: Omit<FormatJob, 'from'>, threads: FormatThreads): Chunk => {
  const format = (from: number, rows: number): Promise<FormattedPart> => {
    const made = threads.format({ ...job, from }, rows);
    made.catch(() => {});
    return made;
  };
  let part = format(0, end.events);
  return {
    ...end,
    bytes: job.rowsEnd,
    pieces: async function* () {
      if (end.events === 0 && end.lackingBytes > 0) return end.lackingBytes;
      for (let left = end.events; ; ) {
        const { events, until, next, linesEnd, lackingBytes } = await part;
        if (lackingBytes > 0) return Math.ceil(lackingBytes / ROWS_SHARE);
        const isLast = next === job.rowsEnd;
        yield { until: isLast ? end.until : until, events, lines: job.memory.subarray(job.linesStart, linesEnd) };
        if (isLast) return 0;
        left -= events;
        part = format(next, left);
      }
    },
    settled: () =>
      part.then(
        () => {},
        () => {},
      ),
  };
};

/** A place is waited for before, except for one that is refused at once. */
const RETRY_AFTER_MS = 500;

/** Repeats what is refused as busy, since a reader whose answer has begun would be cut off. Rejects with all else, and when `gone` aborts. */
export const retryWhileBusy = async <T>(work: () => Promise<T>, gone: AbortSignal): Promise<T> => {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      await sleep(RETRY_AFTER_MS, undefined, { signal: gone });
    }
  }
};

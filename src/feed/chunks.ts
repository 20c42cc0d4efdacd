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

/** Enough that what a statement costs by itself does not show. */
const NATIVE_EVENTS = 5_000;
/** So many are formatted at once, in some 20 ms. */
const FORMATTED_EVENTS = 750;
/** Rows that are to be formatted take a quarter of the memory: OCSF and ECS, which have the most to say, need three times as much. */
const ROWS_SHARE = 4;

/** What all chunks of a reading have in common. */
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
      // Only the first one can be refused: then the answer has not begun.
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
    return new FormattedChunk(end, job, source.threads, ROWS_SHARE);
  },
});

interface RowTaker {
  add(row: BinaryRow): number;
}

/** Hands the rows to what `start` gives, which is asked again if they must be read again. */
const readRows = async (
  { pool, archived }: ChunkSource,
  range: FeedRange,
  limits: RowLimits,
  start: () => RowTaker,
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

/** A part of a range in lent memory, from which it is handed out. */
export interface Chunk extends ChunkEnd {
  /** What the events take of the memory: lines, or rows that are to be formatted. */
  readonly bytes: number;
  /** In one piece or in several. Returns how large the next event is to be taken for if the memory is too small for it alone, else 0. */
  pieces(): AsyncGenerator<FeedPiece, number, void>;
  /** Resolves when nothing is written to the memory any more. Never rejects. */
  settled(): Promise<void>;
}

/** How chunks of one reading are read. */
export interface ChunkReader {
  /** How many events a chunk has at most. */
  readonly maxEvents: number;
  /** So many times what `bytes` of a chunk are is the memory that its events need; also of a single one. */
  readonly share: number;
  /** What memory it reads into. */
  readonly memory: MemoryKind;
  /** What the events of the last chunk took each; undefined before the first. */
  readonly bytesEach: number | undefined;
  /** How many chunks may be on their way behind the one that is handed out. */
  readonly ahead: number;
  /** Reads the next events of the range, up to `maxEvents`, into the memory. On abort the statement is cancelled. */
  read(memory: Buffer, range: FeedRange, maxEvents: number, options: ReadOptions): Promise<Chunk>;
}

interface ReadOptions {
  readonly signal: AbortSignal;
  /** It is a single event, which may take all of the memory. */
  readonly isAlone: boolean;
}

/** A first one tells how large the events are, which are usually about a kilobyte. */
const FIRST_CHUNK_EVENTS = 500;
const FIRST_EVENT_BYTES = 2_048;
/** Judged by the chunk before: what does not fit is read twice. */
const FILLED_SHARE = 0.8;
/** What each stream can always have. */
const SURE_CHUNKS = 2;

interface Lent {
  readonly memory: Buffer;
  /** Undefined behind the end. */
  readonly chunk: Promise<Chunk | undefined>;
}

/** The chunks of a range in order, some of them read ahead: one always, more while memory is left. Lends their memory. */
export class ChunksAhead {
  readonly #reader: ChunkReader;
  readonly #memory: ReaderMemory;
  readonly #range: FeedRange;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #queue: Lent[] = [];
  #current: Lent | undefined;
  #last: Promise<Chunk | undefined> | undefined;
  #isAtEnd = false;

  constructor(reader: ChunkReader, memory: ReaderMemory, range: FeedRange, gone: AbortSignal) {
    this.#reader = reader;
    this.#memory = memory;
    this.#range = range;
    this.#signal = AbortSignal.any([gone, this.#over.signal]);
    this.#fill();
  }

  /** The next chunk; undefined behind the end, and behind one without events that lacks memory. The one before is given back. */
  async next(): Promise<Chunk | undefined> {
    await this.#giveBack(this.#current);
    this.#current = this.#queue.shift();
    const chunk = await this.#current?.chunk;
    this.#fill();
    return chunk;
  }

  /** Cancels what is under way, and gives all memory back. */
  async close(): Promise<void> {
    this.#over.abort();
    this.#isAtEnd = true;
    for (const lent of [this.#current, ...this.#queue.splice(0)]) await this.#giveBack(lent);
    this.#current = undefined;
  }

  async #giveBack(lent: Lent | undefined): Promise<void> {
    if (lent === undefined) return;
    const chunk = await lent.chunk.catch(() => undefined);
    await chunk?.settled();
    this.#memory.giveBack(lent.memory);
  }

  #fill(): void {
    const ahead = this.#reader.bytesEach === undefined ? 1 : this.#reader.ahead;
    while (!this.#isAtEnd && this.#queue.length < ahead) {
      const memory = this.#lend();
      if (memory === undefined) return;
      const chunk = this.#readBehind(this.#last, memory);
      // The reader may be gone before it could hear that it failed.
      chunk.catch(() => {});
      this.#last = chunk;
      this.#queue.push({ memory, chunk });
    }
  }

  #lend(): Buffer | undefined {
    const { share, memory } = this.#reader;
    const wanted = 2 * share * Math.min(this.#mostEvents(), this.#range.until - this.#range.after) * this.#estimate();
    const held = this.#queue.length + (this.#current === undefined ? 0 : 1);
    return held < SURE_CHUNKS ? this.#memory.lend(wanted, memory) : this.#memory.lendSpare(wanted, memory);
  }

  async #readBehind(before: Promise<Chunk | undefined> | undefined, memory: Buffer): Promise<Chunk | undefined> {
    const last = await before;
    if (this.#isAtEnd) return undefined;
    const after = last?.until ?? this.#range.after;
    const { share } = this.#reader;
    const fitting = Math.floor((FILLED_SHARE * memory.length) / (share * this.#estimate()));
    const events = Math.max(1, Math.min(fitting, this.#mostEvents(), this.#range.until - after));
    const chunk = await this.#reader.read(memory, { ...this.#range, after }, events, {
      signal: this.#signal,
      isAlone: false,
    });
    const lacks = chunk.events === 0 && chunk.lackingBytes > 0;
    this.#isAtEnd ||= lacks || chunk.until >= this.#range.until;
    return chunk;
  }

  #mostEvents(): number {
    return this.#reader.bytesEach === undefined ? FIRST_CHUNK_EVENTS : this.#reader.maxEvents;
  }

  #estimate(): number {
    return this.#reader.bytesEach ?? FIRST_EVENT_BYTES;
  }
}

/** Rows that are being formatted. The first lines are made at once; more of them, if not all have room, as they are asked for. */
class FormattedChunk implements Chunk {
  readonly until: number;
  readonly events: number;
  readonly lackingBytes: number;
  readonly bytes: number;
  readonly #job: Omit<FormatJob, 'from'>;
  readonly #threads: FormatThreads;
  readonly #share: number;
  #part: Promise<FormattedPart>;

  /** `share`: so many times as large as an event is taken for is the memory that it gets. */
  constructor(
    { until, events, lackingBytes }: ChunkEnd,
    job: Omit<FormatJob, 'from'>,
    threads: FormatThreads,
    share: number,
  ) {
    this.until = until;
    this.events = events;
    this.lackingBytes = lackingBytes;
    this.bytes = job.rowsEnd;
    this.#job = job;
    this.#threads = threads;
    this.#share = share;
    this.#part = this.#format(0, events);
  }

  async *pieces(): AsyncGenerator<FeedPiece, number, void> {
    const { memory, rowsEnd, linesStart } = this.#job;
    if (this.events === 0 && this.lackingBytes > 0) return this.lackingBytes;
    for (let left = this.events; ; ) {
      const { events, until, next, linesEnd, lackingBytes } = await this.#part;
      if (lackingBytes > 0) return Math.ceil(lackingBytes / this.#share);
      const isLast = next === rowsEnd;
      yield { until: isLast ? this.until : until, events, lines: memory.subarray(linesStart, linesEnd) };
      if (isLast) return 0;
      left -= events;
      this.#part = this.#format(next, left);
    }
  }

  async settled(): Promise<void> {
    await this.#part.catch(() => {});
  }

  #format(from: number, rows: number): Promise<FormattedPart> {
    const part = this.#threads.format({ ...this.#job, from }, rows);
    // The reader may be gone before it could hear that it failed.
    part.catch(() => {});
    return part;
  }
}

/** A place is waited for before that, but for one that is refused at once. */
const RETRY_AFTER_MS = 500;

/**
 * What the work comes to, as soon as it is not refused as busy. For a reader whose answer has begun: it has its place, and would be cut off
 * otherwise. Rejects with everything else, and when `gone` aborts.
 */
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

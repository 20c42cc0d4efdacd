import type { ReaderMemory } from '../limits/reader-memory.ts';
import type { Chunk, ChunkReader } from './chunk.ts';
import type { FeedRange } from './feed.ts';

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

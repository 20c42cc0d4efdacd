import type { Chunk } from '../chunk.ts';
import type { ChunkEnd } from '../feed.sql.ts';
import type { FeedPiece } from '../feed.ts';
import type { FormatJob, FormattedPart } from './format-rows.ts';
import type { FormatThreads } from './format-threads.ts';

/** Rows that are being formatted. The first lines are made at once; more of them, if not all have room, as they are asked for. */
export class FormattedChunk implements Chunk {
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

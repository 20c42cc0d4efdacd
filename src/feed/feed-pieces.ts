import { OrgtrailError } from '../errors.ts';
import { type FormatName, formats } from '../formats/formats.ts';
import type { PieceMemory } from '../limits/piece-memory.ts';
import type { BinaryRow } from '../postgres/copy-out.ts';
import type { Pool } from '../postgres/pool.ts';
import { eachMergedRow } from './archived/merged-rows.ts';
import type { ArchivedEvents } from './archived/ports.ts';
import { type ChunkEnd, eachFeedRow, readMissedEvents } from './feed.sql.ts';
import type { FeedPiece, FeedRange } from './feed.ts';
import type { FeedContext } from './feed-row.ts';
import { FormattedLines } from './formatted-lines.ts';
import { NativeLines } from './native-lines.ts';

/** Enough that what a statement costs by itself does not show. */
const CHUNK_EVENTS = 5_000;
/** Made in JavaScript at some 25,000 a second (ocsf): nothing else happens in the process meanwhile. */
const FORMATTED_EVENTS = 750;
/** A first one tells how large the events are, which are usually about a kilobyte. */
const FIRST_CHUNK_EVENTS = 500;
const FIRST_EVENT_BYTES = 2_048;

/** One reading of a range. */
export interface Reading {
  readonly pool: Pool;
  readonly memory: PieceMemory;
  readonly archived: ArchivedEvents | undefined;
  readonly range: FeedRange;
  readonly format: FormatName;
  /** The names of all organizations by now. */
  readonly readNames: () => Promise<FeedContext['organizationNames']>;
  /** Aborts when the reader has gone: what is under way for it is cancelled. */
  readonly gone: AbortSignal | undefined;
}

interface Chunk extends FeedPiece {
  readonly memory: Buffer;
}

/** Piece by piece: one is read while the one before is on its way, and no more than that. Its memory is lent. */
export async function* readPieces(
  reading: Reading,
  { feedId, lastDrop }: { readonly feedId: string; readonly lastDrop: number },
): AsyncGenerator<FeedPiece, void, void> {
  const { pool, memory, archived, range } = reading;
  const hasArchive = archived !== undefined;
  if (range.until <= range.after) return;
  const over = new AbortController();
  const signal = reading.gone === undefined ? over.signal : AbortSignal.any([reading.gone, over.signal]);
  const read = chunkReader(reading, { feedId, organizationNames: await reading.readNames() }, signal);
  let next: Promise<Chunk> | undefined = read(range, FIRST_CHUNK_EVENTS, FIRST_EVENT_BYTES);
  let after = range.after;
  try {
    while (next !== undefined) {
      const chunk: Chunk = await next;
      const bytesEach = chunk.events === 0 ? FIRST_EVENT_BYTES : chunk.lines.length / chunk.events;
      next = chunk.until < range.until ? read({ ...range, after: chunk.until }, CHUNK_EVENTS, bytesEach) : undefined;
      // The reader may be gone before it could hear that it failed.
      next?.catch(() => {});
      try {
        // Before it is handed on: a reader that has it continues after it, and would not learn what was dropped before it.
        if ((await readMissedEvents(pool, after, lastDrop, { hasArchive })) !== undefined) throw goneMeanwhile(after);
        after = chunk.until;
        yield chunk;
      } finally {
        memory.giveBack(chunk.memory);
      }
    }
  } finally {
    over.abort();
    await next?.then(
      (chunk) => memory.giveBack(chunk.memory),
      () => {},
    );
  }
}

type ReadChunk = (range: FeedRange, maxEvents: number, bytesEach: number) => Promise<Chunk>;

const chunkReader = (
  { pool, memory, archived, format }: Reading,
  context: FeedContext,
  signal: AbortSignal,
): ReadChunk => {
  const isNative = format === 'native';
  const writer = isNative ? new NativeLines(context) : new FormattedLines(context, formats[format].format);
  const readInto = async (lent: Buffer, range: FeedRange, maxEvents: number) => {
    try {
      let end: ChunkEnd | undefined;
      while (end === undefined) {
        writer.writeInto(lent);
        const take = (row: BinaryRow) => writer.add(row);
        const limits = { maxEvents, maxBytes: lent.length };
        end = archived
          ? await eachMergedRow({ pool, archived }, range, limits, take, signal)
          : await eachFeedRow(pool, range, maxEvents, take, signal);
      }
      return { ...end, lines: writer.written(), memory: lent };
    } catch (error) {
      memory.giveBack(lent);
      throw error;
    }
  };
  return async (range, maxEvents, bytesEach) => {
    const wanted = Math.min(maxEvents, isNative ? CHUNK_EVENTS : FORMATTED_EVENTS, range.until - range.after);
    const lent = memory.lend(2 * wanted * bytesEach);
    let chunk = await readInto(lent, range, fittingEvents(lent, wanted, bytesEach));
    // A single event that has no room. How long its line gets may only show when it is made.
    while (chunk.events === 0 && chunk.lackingBytes > 0) {
      memory.giveBack(chunk.memory);
      chunk = await readInto(await memory.lendLarge(chunk.lackingBytes, signal), range, 1);
    }
    return chunk;
  };
};

/** As many as will probably fit, judged by the chunk before: what does not fit is read twice. */
const fittingEvents = (memory: Buffer, wanted: number, bytesEach: number): number =>
  Math.max(1, Math.min(wanted, Math.floor((0.8 * memory.length) / bytesEach)));

const goneMeanwhile = (after: number): OrgtrailError =>
  new OrgtrailError('usage', `events after position ${after} were dropped or lost while they were being read`, {
    hint: `request the events after ${after} again: the answer says what is gone`,
  });

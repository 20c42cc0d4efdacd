import type { FormatName } from '../formats/formats.ts';
import { collectGarbage } from '../limits/collect-garbage.ts';
import { COLLECT_BYTES } from '../limits/reader-memory.ts';
import type { BinaryRow } from '../postgres/copy/binary-row.ts';
import type { Pool } from '../postgres/pool.ts';
import { eachMergedRow } from './archived/merged-rows.ts';
import type { ArchivedEvents, RowLimits } from './archived/ports.ts';
import type { ChunkReader } from './chunk.ts';
import { type ChunkEnd, eachFeedRow } from './feed.sql.ts';
import type { FeedPiece, FeedRange } from './feed.ts';
import type { FeedContext } from './feed-row.ts';
import type { FormatThreads } from './formatting/format-threads.ts';
import { FormattedChunk } from './formatting/formatted-chunk.ts';
import { PackedRows } from './formatting/packed-rows.ts';
import { NativeLines } from './native-lines.ts';
import { retryWhileBusy } from './retry-while-busy.ts';

/** Enough that what a statement costs by itself does not show. */
const NATIVE_EVENTS = 5_000;
/** So many are formatted at once, in some 20 ms. */
const FORMATTED_EVENTS = 750;
/** Rows that are to be formatted take a quarter of the memory: OCSF and ECS, which have the most to say, need three times as much. */
const ROWS_SHARE = 4;

/** What all chunks of a reading have in common. */
export interface ChunkSource {
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

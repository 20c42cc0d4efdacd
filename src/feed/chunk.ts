import type { MemoryKind } from '../limits/reader-memory.ts';
import type { ChunkEnd } from './feed.sql.ts';
import type { FeedPiece, FeedRange } from './feed.ts';

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

import type { Checkpoint } from '../notes/checkpoint.ts';
import type { LogName } from '../notes/origin.ts';
import type { Tile } from '../tree/growing-tree.ts';
import type { TileId } from '../tree/tiles.ts';

/** A log whose newest signed checkpoint is to be kept. */
export interface LogToAnchor {
  readonly log: LogName;
  readonly generation: number;
  readonly origin: string;
  /** Leaves of the checkpoint. */
  readonly size: number;
  readonly note: string;
  /** Leaves of the newest checkpoint that this anchor has; 0: none. */
  readonly keptSize: number;
  /** Since this anchor was last noted to have that; null: never. */
  readonly keptSecondsAgo: number | null;
  /** The full tiles of so many leaves are at this anchor already. */
  readonly tilesSize: number;
}

/** What an anchor has kept. */
interface Kept {
  /** What it answered: the version of an object, the signature line of a witness. */
  readonly receipt?: Buffer;
  readonly tilesSize: number;
}

/** What anchoring needs of the database. */
export interface AnchorStore {
  /** The newest signed checkpoints of the generation; fewer than two before both are signed. */
  readSigned(generation: number, anchor: string): Promise<readonly LogToAnchor[]>;
  readTiles(log: LogName, generation: number, tiles: readonly TileId[]): Promise<readonly Tile[]>;
  /** The texts of statements, from one index up to another. */
  readStatements(generation: number, from: number, to: number): Promise<readonly string[]>;
  noteKept(log: LogToAnchor, anchor: string, kept: Kept): Promise<void>;
  noteFailure(log: LogToAnchor, anchor: string, error: string): Promise<void>;
}

/** What lies at an anchor of one log; nothing of it is verified. */
export interface AnchorHistory {
  /** By their names, ascending. */
  readonly sizes: readonly number[];
  /** The checkpoint by its index in `sizes`. */
  read(index: number): Promise<Buffer>;
}

/** Keeps signed checkpoints outside the database. Everything of it may fail, for as long as it likes: building goes on. */
export interface Anchor {
  readonly name: string;
  readonly intervalMs: number;
  /** Those whose checkpoints it keeps; absent: both. */
  readonly logs?: readonly LogName[];
  /** The checkpoints that it has of a log, the newest first, as they lie there: nothing is verified. None: it keeps none that can be read. */
  newest(log: Pick<LogToAnchor, 'log' | 'generation'>): Promise<readonly Buffer[]>;
  /** All checkpoints that it has of a log, for an operator who can wait; absent: it keeps none that can be read. */
  history?(log: Pick<LogToAnchor, 'log' | 'generation'>): Promise<AnchorHistory>;
  /** The data of the first leaves of a journal, so many, as they lie there; absent: it keeps none. Rejects if one is not there. */
  statements?(generation: number, size: number): Promise<readonly Buffer[]>;
  /**
   * Keeps the checkpoint; does nothing if it is there. Resolves with undefined if it is not time yet. Throws an EvidenceFault if another one of
   * this size is there.
   */
  keepCheckpoint(log: LogToAnchor, store: AnchorStore): Promise<Kept | undefined>;
  /** Keeps the tiles that it lacks, or a part of them; absent if it keeps no tiles. */
  keepTiles?(log: LogToAnchor, store: AnchorStore, signal: AbortSignal): Promise<Kept>;
}

/** A checkpoint that lies at an anchor and is signed by the log. */
export interface AnchoredCheckpoint {
  readonly anchor: string;
  readonly checkpoint: Checkpoint;
  /** The same base and key, and another feed: the database began it a second time, or another one has this anchor. */
  readonly isOfOtherFeed?: boolean;
}

export interface AnchorObserver {
  kept?(anchor: string, log: LogToAnchor): void;
  failed?(anchor: string, reason: string): void;
}

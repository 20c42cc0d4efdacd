import type { Checkpoint } from '../notes/checkpoint.ts';
import type { ReadTile } from '../tree/growing-tree.ts';
import { rootOfPrefix, tilesOfRanges } from '../tree/proofs.ts';
import type { TileId } from '../tree/tiles.ts';

/** What a checkpoint that is known from elsewhere says of a log: it goes on from there, it lacks the end, or it is another one. */
export type Continuity = 'consistent' | 'behind' | 'forked';

type SizeAndRoot = Pick<Checkpoint, 'size' | 'root'>;

/** The tiles that `continuityOf` reads. */
export const tilesForContinuity = (known: SizeAndRoot, size: number): TileId[] =>
  known.size === 0 || known.size > size ? [] : tilesOfRanges([{ start: 0, end: known.size }], size);

/** Whether a log of this size goes on from a checkpoint. A tile that is missing is an EvidenceFault. */
export const continuityOf = (known: SizeAndRoot, size: number, readTile: ReadTile): Continuity => {
  if (known.size > size) return 'behind';
  return rootOfPrefix(known.size, size, readTile).equals(known.root) ? 'consistent' : 'forked';
};

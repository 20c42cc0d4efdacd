import { GrowingTree, type ReadTile } from '../../../src/evidence/tree/growing-tree.ts';
import { consistencyRanges, hashOfRange, inclusionRanges } from '../../../src/evidence/tree/proofs.ts';
import { hashesOnLevel, leafHash, type TileId, tilesOfLevel } from '../../../src/evidence/tree/tiles.ts';

/** The tiles of a tree, as a table would keep them: the last tile of a level grows. */
export class StoredTree {
  readonly tree = new GrowingTree();
  readonly tiles = new Map<string, Buffer>();

  readonly readTile: ReadTile = ({ level, n }) => this.tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);

  /** Appends leaves and stores the tiles that this has changed. */
  append(leaves: Iterable<Uint8Array>): this {
    for (const data of leaves) this.tree.append(leafHash(data));
    for (const { level, n, hashes } of this.tree.takeTiles()) this.tiles.set(`${level}/${n}`, hashes);
    return this;
  }

  inclusion(index: number, size = this.tree.size): Buffer[] {
    return inclusionRanges(index, size).map((range) => hashOfRange(range, size, this.readTile));
  }

  consistency(from: number, to = this.tree.size): Buffer[] {
    return consistencyRanges(from, to).map((range) => hashOfRange(range, to, this.readTile));
  }
}

/** Leaves of no meaning: `leaf 0`, `leaf 1` and so on. */
export const numberedLeaves = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(`leaf ${index}`));

/** From the leaves up. */
export function* tilesOfTree(size: number): Generator<TileId> {
  for (let level = 0; hashesOnLevel(size, level) > 0; level += 1) yield* tilesOfLevel(size, level);
}

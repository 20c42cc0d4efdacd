import { EvidenceFault, HASH_BYTES } from '../bytes.ts';
import { emptyRoot, hashesOnLevel, nodeHash, perfectRoot, TILE_WIDTH, type TileId, widthOfTile } from './tiles.ts';

/** A tile and its hashes, packed: `width` times 32 bytes. */
export interface Tile extends TileId {
  readonly hashes: Buffer;
}

/** Gives the hashes of a tile; throws if there is no such tile. A longer one, which has grown since, is cut. */
export type ReadTile = (tile: TileId) => Uint8Array;

/**
 * The right edge of a Merkle tree, which is all that appending takes: the last tile of each level, none of them full. Nothing of it is
 * shared with a database: after a commit that failed, make a new one from what is stored.
 */
export class GrowingTree {
  #size: number;
  /** Room for a full tile on each level; how much of it counts follows from the size. */
  readonly #edge: Buffer[] = [];
  /** Tiles that became full since `takeTiles`, and the size at that time. */
  #filled: Tile[] = [];
  #takenSize: number;

  /** A tree of this size that goes on; `readTile` is asked for the partial tiles at its edge. */
  constructor(size = 0, readTile: ReadTile = noTile) {
    this.#size = size;
    this.#takenSize = size;
    for (let level = 0; hashesOnLevel(size, level) > 0; level += 1) {
      const n = Math.floor(hashesOnLevel(size, level) / TILE_WIDTH);
      const width = widthOfTile(size, level, n);
      const tile = Buffer.alloc(TILE_WIDTH * HASH_BYTES);
      if (width > 0) tile.set(hashesOf(readTile, { level, n, width }));
      this.#edge.push(tile);
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Appends one leaf by its hash. */
  append(hash: Uint8Array): void {
    this.#put(0, this.#size, hash);
    this.#size += 1;
  }

  /** The root of all leaves so far. */
  root(): Buffer {
    let root: Buffer | undefined;
    for (const [level, tile] of this.#edge.entries()) {
      let end = hashesOnLevel(this.#size, level) % TILE_WIDTH;
      for (let count = 1; end > 0; count *= 2) {
        if ((end & count) === 0) continue;
        end -= count;
        const part = perfectRoot(tile, end, count);
        root = root === undefined ? part : nodeHash(part, root);
      }
    }
    return root ?? Buffer.from(emptyRoot);
  }

  /** Every tile that has other hashes than at the last call, as wide as it is now: what is to be stored beside size and root. */
  takeTiles(): Tile[] {
    const tiles = this.#filled;
    for (const [level, tile] of this.#edge.entries()) {
      const hashes = hashesOnLevel(this.#size, level);
      const width = hashes % TILE_WIDTH;
      if (width === 0 || hashes === hashesOnLevel(this.#takenSize, level)) continue;
      tiles.push({
        level,
        n: Math.floor(hashes / TILE_WIDTH),
        width,
        hashes: Buffer.from(tile.subarray(0, width * HASH_BYTES)),
      });
    }
    this.#filled = [];
    this.#takenSize = this.#size;
    return tiles;
  }

  #put(level: number, index: number, hash: Uint8Array): void {
    if (this.#edge.length === level) this.#edge.push(Buffer.alloc(TILE_WIDTH * HASH_BYTES));
    const tile = this.#edge[level] as Buffer;
    const place = index % TILE_WIDTH;
    tile.set(hash, place * HASH_BYTES);
    if (place < TILE_WIDTH - 1) return;
    const n = Math.floor(index / TILE_WIDTH);
    this.#filled.push({ level, n, width: TILE_WIDTH, hashes: Buffer.from(tile) });
    this.#put(level + 1, n, perfectRoot(tile, 0, TILE_WIDTH));
  }
}

const noTile: ReadTile = ({ level, n }) => {
  throw new EvidenceFault(`tile ${n} of level ${level} is missing`);
};

/** What `readTile` gives, checked for its length. */
export const hashesOf = (readTile: ReadTile, tile: TileId): Uint8Array => {
  const hashes = readTile(tile);
  const length = tile.width * HASH_BYTES;
  if (hashes.length < length) {
    throw new EvidenceFault(`tile ${tile.n} of level ${tile.level} has ${hashes.length} bytes instead of ${length}`);
  }
  return hashes.subarray(0, length);
};

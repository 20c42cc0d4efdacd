import { EvidenceFault, HASH_BYTES } from '../bytes.ts';
import { emptyRoot, hashesOnLevel, nodeHash, perfectRoot, TILE_WIDTH, type TileId, widthOfTile } from './tiles.ts';

/** `hashes`: packed, `width` times 32 bytes. */
export interface Tile extends TileId {
  readonly hashes: Buffer;
}

/** Throws if there is no such tile. A longer one, which has grown since, is cut. */
export type ReadTile = (tile: TileId) => Uint8Array;

/** The right edge of a Merkle tree: the last tile of each level, none full. After a failed commit, make a new one. */
export class GrowingTree {
  #size: number;
  /** Room for full tiles; how much counts follows from the size. */
  readonly #edge: Buffer[] = [];
  #filled: Tile[] = [];
  #takenSize: number;

  /** `readTile` is asked for the partial tiles at the edge. */
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

  append(hash: Uint8Array): void {
    this.#put(0, this.#size, hash);
    this.#size += 1;
  }

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

  /** Tiles that changed since the last call. */
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

/** Checked for its length. */
export const hashesOf = (readTile: ReadTile, tile: TileId): Uint8Array => {
  const hashes = readTile(tile);
  const length = tile.width * HASH_BYTES;
  if (hashes.length < length) {
    throw new EvidenceFault(`tile ${tile.n} of level ${tile.level} has ${hashes.length} bytes instead of ${length}`);
  }
  return hashes.subarray(0, length);
};

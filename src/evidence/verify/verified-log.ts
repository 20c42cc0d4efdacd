import { type BundleReader, isHidden, logTilePath } from '../bundle/layout.ts';
import type { LeafList } from '../bundle/leaf-list.ts';
import { HASH_BYTES } from '../crypto/sha256.ts';
import type { Checkpoint } from '../notes/checkpoint.ts';
import type { LogName } from '../notes/origin.ts';
import { GrowingTree, type Tile } from '../tree/growing-tree.ts';
import { rootOfPrefix } from '../tree/proofs.ts';
import { TILE_WIDTH, tilesOfLevel } from '../tree/tiles.ts';
import type { Report } from './report.ts';

/** A log as a bundle has it: all of its leaves, or those of one source. */
export interface VerifiedLog {
  readonly origin: string;
  readonly size: number;
  readonly log: LogName;
  /** Those that a bundle of one source discloses. Undefined: all leaves are here. */
  readonly listed?: LeafList;
  /** A view. Of a part, only of what is listed. */
  leafHash(index: number): Buffer;
  /** The root of the first `size` leaves. Throws an EvidenceFault if a part has not the tiles for it. */
  rootAt(size: number): Buffer;
}

/** All leaves of a log, and the tree that they give. Upper tiles of the bundle are compared, never used. */
class WholeLog implements VerifiedLog {
  readonly #leaves: readonly Buffer[];
  readonly #tiles: ReadonlyMap<string, Tile>;
  readonly origin: string;
  readonly size: number;
  readonly log: LogName;

  constructor(log: LogName, leaves: readonly Buffer[], tiles: readonly Tile[], { origin, size }: Checkpoint) {
    this.log = log;
    this.#leaves = leaves;
    this.#tiles = new Map(tiles.map((tile) => [`${tile.level}/${tile.n}`, tile]));
    this.origin = origin;
    this.size = size;
  }

  leafHash(index: number): Buffer {
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    const tile = this.#leaves[Math.floor(index / TILE_WIDTH)];
    if (tile === undefined || index >= this.size) throw new RangeError(`leaf ${index} of ${this.size}`);
    return tile.subarray(at, at + HASH_BYTES);
  }

  rootAt(size: number): Buffer {
    return rootOfPrefix(size, this.size, ({ level, n }) => this.#tiles.get(`${level}/${n}`)?.hashes ?? noHashes);
  }
}

const noHashes = Buffer.alloc(0);

/**
 * Reads the tiles of a log: that those of level 0 are there, that they give the signed root, and that those above are what they give.
 * Undefined if leaves are missing: nothing else can be said then.
 */
export const verifyLog = (
  report: Report,
  reader: BundleReader,
  log: LogName,
  checkpoint: Checkpoint,
): VerifiedLog | undefined => {
  const { size, root } = checkpoint;
  const tree = new GrowingTree();
  const leaves: Buffer[] = [];
  for (const tile of tilesOfLevel(size, 0)) {
    const path = logTilePath(log, tile);
    const hashes = reader.read(path);
    if (hashes?.length !== tile.width * HASH_BYTES) {
      report.fault('tile', `${path} ${hashes === undefined ? 'is missing' : `has ${hashes.length} bytes`}`);
      return undefined;
    }
    leaves.push(hashes);
    for (let at = 0; at < hashes.length; at += HASH_BYTES) tree.append(hashes.subarray(at, at + HASH_BYTES));
  }
  if (!tree.root().equals(root)) report.fault('root', `the leaves of ${log} do not give the root that is signed`);
  const tiles = tree.takeTiles();
  for (const tile of tiles) {
    const path = logTilePath(log, tile);
    if (tile.level > 0 && reader.read(path)?.equals(tile.hashes) !== true) {
      report.fault('tile', `${path} is not what the leaves give`);
    }
  }
  const known = new Set(tiles.map((tile) => logTilePath(log, tile)));
  for (const path of reader.paths) {
    if (path.startsWith(`${log}/tile/`) && !known.has(path) && !isHidden(path))
      report.fault('tile', `${path} is no tile of a tree of ${size}`);
  }
  return new WholeLog(log, leaves, tiles, checkpoint);
};

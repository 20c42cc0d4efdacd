import { type BundleReader, isHidden, LeafList, leafListPath, logTilePath } from '../bundle/layout.ts';
import { EvidenceFault, HASH_BYTES } from '../bytes.ts';
import type { Checkpoint, LogName } from '../notes/checkpoint.ts';
import { GrowingTree, type ReadTile, type Tile } from '../tree/growing-tree.ts';
import { parentOf, rootOfPrefix, tileKey } from '../tree/proofs.ts';
import { parseTilePath, perfectRoot, TILE_WIDTH, type TileId, tilesOfLevel, widthOfTile } from '../tree/tiles.ts';
import type { Report } from './report.ts';

export interface VerifiedLog {
  readonly origin: string;
  readonly size: number;
  readonly log: LogName;
  /** By a bundle of one source. Undefined: all leaves are here. */
  readonly listed?: LeafList;
  /** A view. */
  leafHash(index: number): Buffer;
  /** Throws an EvidenceFault if a part has not the tiles for it. */
  rootAt(size: number): Buffer;
}

/** Upper tiles of the bundle are compared, never used. */
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

/** Level 0 must be there and give the signed root, and what is above follow from it. Undefined if leaves are missing. */
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

export const isOfOneSource = (reader: BundleReader): boolean => reader.paths.includes(leafListPath('events'));

type Tiles = ReadonlyMap<string, { readonly tile: TileId; readonly hashes: Buffer }>;

class PartOfLog implements VerifiedLog {
  readonly listed: LeafList;
  readonly origin: string;
  readonly size: number;
  readonly log: LogName;
  readonly #readTile: ReadTile;

  constructor(log: LogName, listed: LeafList, readTile: ReadTile, { origin, size }: Checkpoint) {
    this.log = log;
    this.origin = origin;
    this.size = size;
    this.#readTile = readTile;
    this.listed = listed;
  }

  leafHash(index: number): Buffer {
    const place = this.listed.placeOf(index);
    if (place === undefined) throw new RangeError(`leaf ${index} is not listed`);
    return this.listed.hashAt(place);
  }

  rootAt(size: number): Buffer {
    return rootOfPrefix(size, this.size, this.#readTile);
  }
}

/**
 * The right edge must give the signed root, the tile above prove each full tile, and its tile each listed leaf. Undefined if
 * the list or the edge cannot be read.
 */
export const verifyPartOfLog = (
  report: Report,
  reader: BundleReader,
  log: LogName,
  checkpoint: Checkpoint,
): VerifiedLog | undefined => {
  const { size, root } = checkpoint;
  const path = leafListPath(log);
  const bytes = reader.read(path);
  if (bytes === undefined) report.fault('leaf', `${path} is missing`);
  const leaves = bytes && report.attempt('leaf', path, () => new LeafList(bytes));
  const tiles = readTiles(report, reader, log, size);
  const readTile: ReadTile = (tile) => {
    const found = tiles.get(tileKey(tile));
    if (found === undefined) throw new EvidenceFault(`${logTilePath(log, tile)} is not in the bundle`);
    return found.hashes;
  };
  const edge = report.attempt('tile', 'the root', () => new GrowingTree(size, readTile).root());
  if (leaves === undefined || edge === undefined) return undefined;
  if (!edge.equals(root)) report.fault('root', `the tiles of ${log} do not give the root that is signed`);
  for (const { tile } of tiles.values()) verifyParent(report, log, tile, { size, readTile });
  const here = leaves.below(size);
  if (here.count < leaves.count)
    report.fault('leaf', `${path} has leaf ${leaves.indexAt(here.count)}, and the log has ${size}`);
  for (let place = 0; place < here.count; place += 1) verifyLeaf(report, log, here, place, { size, readTile });
  return new PartOfLog(log, here, readTile, checkpoint);
};

const readTiles = (report: Report, reader: BundleReader, log: LogName, size: number): Tiles => {
  const tiles = new Map<string, { readonly tile: TileId; readonly hashes: Buffer }>();
  for (const path of reader.paths) {
    if (!path.startsWith(`${log}/tile/`) || isHidden(path)) continue;
    const tile = report.attempt('tile', path, () => tileOf(path.slice(log.length + 1), size));
    const hashes = reader.read(path);
    if (tile === undefined || hashes === undefined) continue;
    if (hashes.length === tile.width * HASH_BYTES) tiles.set(tileKey(tile), { tile, hashes });
    else report.fault('tile', `${path} has ${hashes.length} bytes`);
  }
  return tiles;
};

const tileOf = (path: string, size: number): TileId => {
  const { level, n, width } = parseTilePath(path);
  if (level === 'entries' || width !== widthOfTile(size, level, n))
    throw new EvidenceFault(`it is no tile of a tree of ${size}`);
  return { level, n, width };
};

interface Tree {
  readonly size: number;
  readonly readTile: ReadTile;
}

const verifyParent = (report: Report, log: LogName, tile: TileId, { size, readTile }: Tree): void => {
  if (tile.width < TILE_WIDTH) return;
  const path = logTilePath(log, tile);
  report.attempt('tile', path, () => {
    const above = readTile(parentOf(size, tile));
    const at = (tile.n % TILE_WIDTH) * HASH_BYTES;
    const root = perfectRoot(readTile(tile), 0, TILE_WIDTH);
    if (!root.equals(above.subarray(at, at + HASH_BYTES)))
      throw new EvidenceFault('its root is not in the tile above it');
  });
};

const verifyLeaf = (report: Report, log: LogName, leaves: LeafList, place: number, { size, readTile }: Tree): void => {
  const index = leaves.indexAt(place);
  const n = Math.floor(index / TILE_WIDTH);
  report.attempt('tile', `leaf ${index} of ${log}`, () => {
    const tile = readTile({ level: 0, n, width: widthOfTile(size, 0, n) });
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    if (Buffer.compare(tile.subarray(at, at + HASH_BYTES), leaves.hashAt(place)) === 0) return;
    const position = log === 'events' ? index + 1 : undefined;
    report.fault('leaf', `leaf ${index} in ${leafListPath(log)} is not the one in the tree`, position);
  });
};

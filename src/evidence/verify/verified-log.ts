import { type BundleReader, isHidden, LeafList, leafListPath, logTilePath } from '../bundle/layout.ts';
import { EvidenceFault, HASH_BYTES } from '../bytes.ts';
import type { Checkpoint, LogName } from '../notes/checkpoint.ts';
import { GrowingTree, type ReadTile } from '../tree/growing-tree.ts';
import { parentOf, rootOfPrefix, tileKey } from '../tree/proofs.ts';
import { parseTilePath, perfectRoot, TILE_WIDTH, type TileId, tilesOfLevel, widthOfTile } from '../tree/tiles.ts';
import type { Report } from './report.ts';

export interface VerifiedLog {
  readonly origin: string;
  readonly size: number;
  readonly log: LogName;
  /** The leaves of a bundle of one source. Undefined: all leaves are here. */
  readonly listed?: LeafList;
  /** A view. */
  leafHash(index: number): Buffer;
  /** Throws an EvidenceFault if a part has not the tiles for it. */
  rootAt(size: number): Buffer;
}

const noHashes = Buffer.alloc(0);

/** Level 0 must be there and give the signed root; the levels above must follow from it. Undefined if leaves are missing. */
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
  // Upper tiles of the bundle are compared, never used.
  const byPlace = new Map(tiles.map((tile) => [tileKey(tile), tile.hashes]));
  return {
    log,
    origin: checkpoint.origin,
    size,
    leafHash: (index) => {
      const at = (index % TILE_WIDTH) * HASH_BYTES;
      const tile = leaves[Math.floor(index / TILE_WIDTH)];
      if (tile === undefined || index >= size) throw new RangeError(`leaf ${index} of ${size}`);
      return tile.subarray(at, at + HASH_BYTES);
    },
    rootAt: (at) => rootOfPrefix(at, size, (tile) => byPlace.get(tileKey(tile)) ?? noHashes),
  };
};

export const isOfOneSource = (reader: BundleReader): boolean => reader.paths.includes(leafListPath('events'));

type Tiles = ReadonlyMap<string, { readonly tile: TileId; readonly hashes: Buffer }>;

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
  return {
    log,
    origin: checkpoint.origin,
    size,
    listed: here,
    leafHash: (index) => {
      const place = here.placeOf(index);
      if (place === undefined) throw new RangeError(`leaf ${index} is not listed`);
      return here.hashAt(place);
    },
    rootAt: (at) => rootOfPrefix(at, size, readTile),
  };
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

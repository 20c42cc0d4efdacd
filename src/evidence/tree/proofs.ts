import { hashesOf, type ReadTile } from './growing-tree.ts';
import { emptyRoot, leftHalf, nodeHash, perfectRoot, TILE_WIDTH, type TileId, widthOfTile } from './tiles.ts';

/* RFC 6962, 2.1.2. Each hash is the root of a range: first come the ranges, then their tiles, then the hashes. */

/** Leaves [start, end). */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** Empty for equal sizes, or an empty beginning. */
export const consistencyRanges = (from: number, to: number): LeafRange[] => {
  if (!isInteger(from) || !isInteger(to) || from > to) throw new RangeError(`a tree of ${from} leaves in one of ${to}`);
  if (from === 0) return [];
  const ranges: LeafRange[] = [];
  let [start, end] = [0, to];
  while (end !== from) {
    const middle = start + leftHalf(end - start);
    if (from <= middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  // The verifier knows the old root, not another complete part of it.
  if (start > 0) ranges.push({ start, end });
  return ranges.reverse();
};

const isInteger = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** For `hashOfRange`, each once. */
export const tilesOfRanges = (ranges: readonly LeafRange[], size: number): TileId[] => {
  const tiles = ranges.flatMap((range) => perfectParts(range, size).map(({ tile }) => tile));
  return [...new Map(tiles.map((tile) => [`${tile.level}/${tile.n}`, tile])).values()];
};

export const hashOfRange = (range: LeafRange, size: number, readTile: ReadTile): Buffer => {
  let root: Buffer | undefined;
  for (const { tile, first, count } of perfectParts(range, size).reverse()) {
    const part = perfectRoot(hashesOf(readTile, tile), first, count);
    root = root === undefined ? part : nodeHash(part, root);
  }
  if (root === undefined) throw new RangeError('an empty range has no place in a tree');
  return root;
};

/** From the tiles that `tilesOfRanges` names for [0, from). */
export const rootOfPrefix = (from: number, size: number, readTile: ReadTile): Buffer => {
  if (from > size) throw new RangeError(`the first ${from} leaves of ${size}`);
  return from === 0 ? Buffer.from(emptyRoot) : hashOfRange({ start: 0, end: from }, size, readTile);
};

/** `count` hashes of a tile from number `first` on. */
interface PerfectPart {
  readonly tile: TileId;
  readonly first: number;
  readonly count: number;
}

const perfectParts = ({ start, end }: LeafRange, size: number): PerfectPart[] => {
  const parts: PerfectPart[] = [];
  for (let at = start; at < end; ) {
    let leaves = 1;
    while (leaves * 2 <= end - at) leaves *= 2;
    let [level, leavesOfHash] = [0, 1];
    while (leavesOfHash * TILE_WIDTH <= leaves) {
      level += 1;
      leavesOfHash *= TILE_WIDTH;
    }
    const index = at / leavesOfHash;
    const n = Math.floor(index / TILE_WIDTH);
    const tile = { level, n, width: widthOfTile(size, level, n) };
    parts.push({ tile, first: index % TILE_WIDTH, count: leaves / leavesOfHash });
    at += leaves;
  }
  return parts;
};

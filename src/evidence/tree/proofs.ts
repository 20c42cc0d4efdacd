import { HASH_BYTES } from '../bytes.ts';
import { hashesOf, type ReadTile } from './growing-tree.ts';
import { edgeOf, emptyRoot, leftHalf, nodeHash, perfectRoot, TILE_WIDTH, type TileId, widthOfTile } from './tiles.ts';

/* RFC 6962, 2.1.1 and 2.1.2. Each hash is the root of a range: first come the ranges, then their tiles, then the hashes. */

/** Leaves [start, end). */
export interface LeafRange {
  readonly start: number;
  readonly end: number;
}

/** From the sibling of the leaf up. */
export const inclusionRanges = (index: number, size: number): LeafRange[] => {
  if (!isInteger(index) || !isInteger(size) || index >= size) throw new RangeError(`leaf ${index} of ${size}`);
  const ranges: LeafRange[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + leftHalf(end - start);
    if (index < middle) {
      ranges.push({ start: middle, end });
      end = middle;
    } else {
      ranges.push({ start, end: middle });
      start = middle;
    }
  }
  return ranges.reverse();
};

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

/** Undefined if the proof has not the right length. */
export const rootByInclusion = (
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
): Buffer | undefined => {
  if (!isInteger(index) || !isInteger(size) || index >= size || !areHashes(proof)) return undefined;
  const ranges = inclusionRanges(index, size);
  if (ranges.length !== proof.length) return undefined;
  return proof.reduce<Buffer>(
    (hash, other, at) => ((ranges[at]?.start ?? 0) > index ? nodeHash(hash, other) : nodeHash(other, hash)),
    Buffer.from(leaf),
  );
};

export const isConsistent = (
  from: { readonly size: number; readonly root: Uint8Array },
  to: { readonly size: number; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): boolean => {
  if (!isInteger(from.size) || !isInteger(to.size) || from.size > to.size || !areHashes(proof)) return false;
  const ranges = consistencyRanges(from.size, to.size);
  if (ranges.length !== proof.length) return false;
  if (from.size === 0) return emptyRoot.equals(from.root) && (to.size > 0 || emptyRoot.equals(to.root));
  const isPrefix = (ranges[0]?.start ?? from.size) < from.size && ranges[0]?.end === from.size;
  const seed = isPrefix ? proof[0] : from.root;
  let before: Buffer = Buffer.from(seed ?? []);
  let after = before;
  for (const [at, other] of proof.entries()) {
    if (isPrefix && at === 0) continue;
    if ((ranges[at]?.start ?? 0) >= from.size) after = nodeHash(after, other);
    else [before, after] = [nodeHash(other, before), nodeHash(other, after)];
  }
  return before.equals(from.root) && after.equals(to.root);
};

const areHashes = (proof: readonly Uint8Array[]): boolean => proof.every(({ length }) => length === HASH_BYTES);

export const tileKey = ({ level, n }: Pick<TileId, 'level' | 'n'>): string => `${level}/${n}`;

export const parentOf = (size: number, { level, n }: TileId): TileId => {
  const parent = { level: level + 1, n: Math.floor(n / TILE_WIDTH) };
  return { ...parent, width: widthOfTile(size, parent.level, parent.n) };
};

/** Tiles that prove these up to the root, with those above them and the right edge. */
export const tilesOfPart = (
  size: number,
  { leafTiles, prefixes }: { readonly leafTiles: Iterable<number>; readonly prefixes: Iterable<number> },
): TileId[] => {
  const tiles = new Map<string, TileId>();
  const add = (tile: TileId): void => {
    for (let one = tile; !tiles.has(tileKey(one)); one = parentOf(size, one)) {
      tiles.set(tileKey(one), one);
      // The root follows from the partial tiles themselves.
      if (one.width < TILE_WIDTH) return;
    }
  };
  for (const n of leafTiles) add({ level: 0, n, width: widthOfTile(size, 0, n) });
  for (const prefix of prefixes) for (const tile of tilesOfRanges([{ start: 0, end: prefix }], size)) add(tile);
  for (const tile of edgeOf(size)) add(tile);
  return [...tiles.values()];
};

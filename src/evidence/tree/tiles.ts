import { HASH_BYTES, sha256, writeSha256 } from '../bytes.ts';

export const TILE_WIDTH = 256;

/** c2sp.org/tlog-tiles: hashes of `level` from number 256 · n on. Level 0 are the leaves. */
export interface TileId {
  readonly level: number;
  readonly n: number;
  /** 1 to 256; partial below 256. */
  readonly width: number;
}

/** Each stands for 256^level leaves. */
export const hashesOnLevel = (size: number, level: number): number => Math.floor(size / TILE_WIDTH ** level);

/** The partial tiles at the right edge of a tree. */
export const edgeOf = (size: number): TileId[] => {
  const tiles: TileId[] = [];
  for (let level = 0; hashesOnLevel(size, level) > 0; level += 1) {
    const n = Math.floor(hashesOnLevel(size, level) / TILE_WIDTH);
    const width = widthOfTile(size, level, n);
    if (width > 0) tiles.push({ level, n, width });
  }
  return tiles;
};

/** 0 or less if there is none. */
export const widthOfTile = (size: number, level: number, n: number): number =>
  Math.min(TILE_WIDTH, hashesOnLevel(size, level) - n * TILE_WIDTH);

/** `tile/0/x001/x234/067`, partial `tile/0/x001/x234/067.p/8`. */
export const tilePath = ({ level, n, width }: TileId): string => `tile/${level}/${placePath(n, width)}`;

/** `x001/x234/067`, partial `….p/8`. */
const placePath = (n: number, width: number): string => {
  const digits = String(n);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  const path = groups.map((group, index) => (index < groups.length - 1 ? `x${group}` : group)).join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
};

/* RFC 6962, 2.1: leaf = SHA-256(0x00 ‖ data), node = SHA-256(0x01 ‖ left ‖ right). Hashes lie packed, as in a tile. */

export const emptyRoot: Buffer = sha256(Buffer.alloc(0));

/** The data of one leaf, also of a statement. */
export const MAX_LEAF_BYTES = 65_000;

const leafInput = Buffer.alloc(1 + MAX_LEAF_BYTES);
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 0x01);

export const leafHash = (data: Uint8Array): Buffer => {
  if (data.length > MAX_LEAF_BYTES) throw new RangeError(`a leaf of ${data.length} bytes`);
  leafInput.set(data, 1);
  return sha256(leafInput.subarray(0, 1 + data.length));
};

export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
};

const scratch = Buffer.alloc(256 * HASH_BYTES);

/** Of `count` packed hashes, a power of two up to 256, from number `first` on. */
export const perfectRoot = (hashes: Uint8Array, first: number, count: number): Buffer => {
  scratch.set(hashes.subarray(first * HASH_BYTES, (first + count) * HASH_BYTES));
  for (let left = count; left > 1; left /= 2) {
    for (let pair = 0; pair < left / 2; pair += 1) {
      const at = 2 * pair * HASH_BYTES;
      nodeInput.set(scratch.subarray(at, at + 2 * HASH_BYTES), 1);
      writeSha256(nodeInput, scratch, pair * HASH_BYTES);
    }
  }
  return Buffer.from(scratch.subarray(0, HASH_BYTES));
};

/** Leaves in the left half of a tree: the largest power of two below `size`, which is at least 2. */
export const leftHalf = (size: number): number => {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
};

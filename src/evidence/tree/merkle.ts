import { HASH_BYTES, sha256, writeSha256 } from '../crypto/sha256.ts';

/*
 * The hashes of RFC 6962, section 2.1: leaf = SHA-256(0x00 ‖ data), node = SHA-256(0x01 ‖ left ‖ right). Hashes lie packed in
 * buffers, since a tile is one.
 */

/** The root of a tree without leaves. */
export const emptyRoot: Buffer = sha256(Buffer.alloc(0));

/** Longer data is refused: an entry bundle of tlog-tiles gives its length in two bytes. */
export const MAX_LEAF_BYTES = 65_535;

const leafInput = Buffer.alloc(1 + MAX_LEAF_BYTES);
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 0x01);

/** The hash of a leaf with this data. */
export const leafHash = (data: Uint8Array): Buffer => {
  if (data.length > MAX_LEAF_BYTES) throw new RangeError(`a leaf of ${data.length} bytes`);
  leafInput.set(data, 1);
  return sha256(leafInput.subarray(0, 1 + data.length));
};

/** The hash of a node above two others. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
};

const scratch = Buffer.alloc(256 * HASH_BYTES);

/** The node above `count` packed hashes beginning with hash number `first`; `count` is a power of two, at most 256. */
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

/** The largest power of two below `size`, which is at least 2: how many leaves are in the left half of a tree. */
export const leftHalf = (size: number): number => {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
};

import { createHash } from 'node:crypto';
import type { ByteRange } from '../store/ports.ts';

/** As in drizzle/0055_archive_blocks.sql: each so many bytes of an object have a hash of their own. */
const BLOCK_BYTES = 262_144;
const HASH_BYTES = 32;

const hashOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** The SHA-256 of each block, one after the other. */
export const hashBlocks = (bytes: Uint8Array): Buffer => {
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) hashes.push(hashOf(bytes.subarray(at, at + BLOCK_BYTES)));
  return Buffer.concat(hashes);
};

/** The whole blocks that a range lies in. */
export const blocksAround = ({ from, to }: ByteRange, sizeBytes: number): ByteRange => ({
  from: from - (from % BLOCK_BYTES),
  to: Math.min(sizeBytes, Math.ceil(to / BLOCK_BYTES) * BLOCK_BYTES),
});

/** Whether bytes that begin with a block are those that the hashes of the object's blocks are of. */
export const haveHashes = (bytes: Uint8Array, from: number, blocks: Buffer): boolean => {
  const first = (from / BLOCK_BYTES) * HASH_BYTES;
  const hashes = hashBlocks(bytes);
  return hashes.equals(blocks.subarray(first, first + hashes.length));
};

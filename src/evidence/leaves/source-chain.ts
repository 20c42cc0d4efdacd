import { HASH_BYTES, sha256 } from '../crypto/sha256.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';

/*
 * Completeness of a part: beside the tree, the leaves of each source are chained in order of position. A coverage statement has the
 * count and the chain of a source, so who holds the leaf hashes of one source alone sees that none of them is missing.
 */

/** How many leaves of a source there are, and the hash that chains them. */
export interface SourceChain {
  readonly events: number;
  readonly chain: Uint8Array;
}

/** Before the first leaf of a source: 32 zero bytes. */
export const chainStart: SourceChain = { events: 0, chain: Buffer.alloc(HASH_BYTES) };

const input = Buffer.alloc(2 * HASH_BYTES);

/** After one more leaf: SHA-256(chain ‖ leaf hash). */
export const chained = ({ events, chain }: SourceChain, leafHash: Uint8Array): SourceChain => {
  input.set(chain);
  input.set(leafHash, HASH_BYTES);
  return { events: events + 1, chain: sha256(input) };
};

/** Stands for a leaf of no source, which is a hole. Sources are numbered from 1, by `source` statements. */
export const NO_SOURCE = 0;

/**
 * Of each leaf of a tile of level 0 the number of its source, in two bytes: kept beside the tile, since after a drop the leaf hash
 * alone does not tell whose it was. Nothing has to sign it: a wrong number gives another chain.
 */
export const writeTileSources = (numbers: readonly number[]): Buffer => {
  if (numbers.length > TILE_WIDTH) throw new RangeError(`sources of ${numbers.length} leaves`);
  const bytes = Buffer.alloc(2 * numbers.length);
  for (const [index, number] of numbers.entries()) bytes.writeUInt16BE(number, 2 * index);
  return bytes;
};

/** Reads what `writeTileSources` writes for a tile of this width. Throws an EvidenceFault for another length. */
export const readTileSources = (bytes: Buffer, width: number): number[] => {
  if (bytes.length !== 2 * width) {
    throw new EvidenceFault(`sources of a tile have ${bytes.length} bytes instead of ${2 * width}`);
  }
  return Array.from({ length: width }, (_, index) => bytes.readUInt16BE(2 * index));
};

import { uint64 } from '../bytes.ts';
import { HASH_BYTES } from '../crypto/sha256.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import type { LogName } from '../notes/origin.ts';

/** `events/leaves`: the leaves of a log that a bundle of one source discloses. That it is there makes the bundle one of one source. */
export const leafListPath = (log: LogName): string => `${log}/leaves`;

/** A leaf of such a list. */
export interface ListedLeaf {
  readonly index: number;
  readonly hash: Uint8Array;
}

const RECORD_BYTES = 8 + HASH_BYTES;

/** The index in eight bytes, the leaf hash. */
export const writeListedLeaf = ({ index, hash }: ListedLeaf): Buffer => Buffer.concat([uint64(index), hash]);

/** The leaves in ascending order, as views. Throws an EvidenceFault if it is cut, or in another order. */
export const readLeafList = (bytes: Buffer): ListedLeaf[] => {
  if (bytes.length % RECORD_BYTES !== 0) throw new EvidenceFault('the list of leaves is cut off');
  const leaves: ListedLeaf[] = [];
  for (let at = 0; at < bytes.length; at += RECORD_BYTES) {
    const index = Number(bytes.readBigUInt64BE(at));
    const before = leaves.at(-1)?.index ?? -1;
    if (index <= before || !Number.isSafeInteger(index))
      throw new EvidenceFault(`leaf ${index} is listed after leaf ${before}`);
    leaves.push({ index, hash: bytes.subarray(at + 8, at + RECORD_BYTES) });
  }
  return leaves;
};

import { EvidenceFault } from '../evidence-fault.ts';
import { MAX_LEAF_BYTES } from './merkle.ts';

/** An entry bundle of c2sp.org/tlog-tiles: the data of leaves, each after its length in two bytes. */
export const writeEntryBundle = (leaves: readonly Uint8Array[]): Buffer =>
  Buffer.concat(
    leaves.flatMap((data) => {
      if (data.length > MAX_LEAF_BYTES) throw new RangeError(`a leaf of ${data.length} bytes`);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(data.length);
      return [length, data];
    }),
  );

/** The data of the leaves of a bundle, as views of it. Throws an EvidenceFault if it ends within one. */
export const readEntryBundle = (bundle: Buffer): Buffer[] => {
  const leaves: Buffer[] = [];
  for (let at = 0; at < bundle.length; ) {
    const start = at + 2;
    const end = start <= bundle.length ? start + bundle.readUInt16BE(at) : Number.POSITIVE_INFINITY;
    if (end > bundle.length) throw new EvidenceFault(`entry bundle ends within its entry ${leaves.length}`);
    leaves.push(bundle.subarray(start, end));
    at = end;
  }
  return leaves;
};

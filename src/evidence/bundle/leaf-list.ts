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

/** Such a list as it was read: 40 bytes for each leaf, so that millions fit. */
export class LeafList {
  readonly #bytes: Buffer;

  /** Throws an EvidenceFault if it is cut off, or if indexes do not ascend. */
  constructor(bytes: Buffer) {
    if (bytes.length % RECORD_BYTES !== 0) throw new EvidenceFault('the list of leaves is cut off');
    this.#bytes = bytes;
    let before = -1;
    for (let place = 0; place < this.count; place += 1) {
      const index = this.indexAt(place);
      if (index <= before || !Number.isSafeInteger(index))
        throw new EvidenceFault(`leaf ${index} is listed after leaf ${before}`);
      before = index;
    }
  }

  get count(): number {
    return this.#bytes.length / RECORD_BYTES;
  }

  indexAt(place: number): number {
    return Number(this.#bytes.readBigUInt64BE(place * RECORD_BYTES));
  }

  /** A view. */
  hashAt(place: number): Buffer {
    return this.#bytes.subarray(place * RECORD_BYTES + 8, (place + 1) * RECORD_BYTES);
  }

  /** The place of a leaf; undefined if it is not listed. */
  placeOf(index: number): number | undefined {
    const place = this.countBelow(index);
    return place < this.count && this.indexAt(place) === index ? place : undefined;
  }

  /** How many listed leaves are before this index. */
  countBelow(index: number): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.indexAt(middle) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Without those from this index on. */
  below(index: number): LeafList {
    return new LeafList(this.#bytes.subarray(0, this.countBelow(index) * RECORD_BYTES));
  }
}

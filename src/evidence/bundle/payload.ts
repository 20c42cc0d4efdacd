import { uint16, uint32 } from '../bytes.ts';
import { EvidenceFault } from '../evidence-fault.ts';

/** A leaf and the payload that it speaks of. */
export interface PayloadRecord {
  readonly leaf: Uint8Array;
  /** `raw::text` in UTF-8. */
  readonly raw: Uint8Array;
}

/** One event of `events/payload/000000.oev`: the data of the leaf after its length in two bytes, raw after its length in four. */
export const writePayloadRecord = ({ leaf, raw }: PayloadRecord): Buffer =>
  Buffer.concat([uint16(leaf.length), leaf, uint32(raw.length), raw]);

/** One of `events/withheld/000000.leaves`: the data of the leaf after its length in two bytes. */
export const writeWithheldRecord = (leaf: Uint8Array): Buffer => Buffer.concat([uint16(leaf.length), leaf]);

/** The events of such a file, as views of it. Throws an EvidenceFault if it is cut. */
export function* readPayload(bytes: Uint8Array): Generator<PayloadRecord> {
  const splitter = new PayloadSplitter();
  yield* splitter.push(bytes);
  splitter.end();
}

/** Reads such a file piece by piece: a file may be larger than memory, a record is not. */
export class PayloadSplitter {
  readonly #hasRaw: boolean;
  /** What has not been handed over yet, from `#start` to `#end`. One place for all pieces: a buffer for each would cost more than the hashes. */
  #room = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** How long the first record of it is at least. */
  #needed = 0;

  /** `hasRaw`: else a record is the length of the leaf and the leaf, and its raw is empty. */
  constructor(hasRaw = true) {
    this.#hasRaw = hasRaw;
  }

  /** The records that end in this piece, as views that are valid until the next call. */
  *push(piece: Uint8Array): Generator<PayloadRecord> {
    this.#append(piece);
    if (this.#end < this.#needed) return;
    const bytes = this.#room.subarray(0, this.#end);
    for (;;) {
      const length = leastLength(bytes, this.#start, this.#hasRaw);
      const start = this.#start;
      if (start + length > bytes.length) {
        this.#needed = length;
        return;
      }
      const leafEnd = start + 2 + bytes.readUInt16BE(start);
      this.#start = start + length;
      const raw = this.#hasRaw ? bytes.subarray(leafEnd + 4, this.#start) : nothing;
      yield { leaf: bytes.subarray(start + 2, leafEnd), raw };
    }
  }

  /** Throws an EvidenceFault if the last record is cut. */
  end(): void {
    if (this.#end > this.#start) throw new EvidenceFault('payload is cut off');
  }

  #append(piece: Uint8Array): void {
    const rest = this.#end - this.#start;
    const target = rest + piece.length > this.#room.length ? Buffer.alloc(2 * (rest + piece.length)) : this.#room;
    this.#room.copy(target, 0, this.#start, this.#end);
    target.set(piece, rest);
    this.#room = target;
    this.#start = 0;
    this.#end = rest + piece.length;
  }
}

const nothing = new Uint8Array();

/** An event of more bytes is refused: its length alone must not cost memory. Entries have some kilobytes. */
const MAX_RAW_BYTES = 67_108_864;

/** How long the record at this place is at least: exactly so, once its lengths are there. */
const leastLength = (bytes: Buffer, at: number, hasRaw: boolean): number => {
  if (bytes.length < at + 2) return 2;
  const leafEnd = 2 + bytes.readUInt16BE(at);
  if (!hasRaw) return leafEnd;
  if (bytes.length < at + leafEnd + 4) return leafEnd + 4;
  const rawLength = bytes.readUInt32BE(at + leafEnd);
  if (rawLength > MAX_RAW_BYTES) throw new EvidenceFault(`an event of ${rawLength} bytes is longer than one can be`);
  return leafEnd + 4 + rawLength;
};

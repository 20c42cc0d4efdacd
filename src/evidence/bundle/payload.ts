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

/** The events of such a file, as views of it. Throws an EvidenceFault if it is cut. */
export function* readPayload(bytes: Uint8Array): Generator<PayloadRecord> {
  const splitter = new PayloadSplitter();
  yield* splitter.push(bytes);
  splitter.end();
}

/** Reads such a file piece by piece: a file may be larger than memory, a record is not. */
export class PayloadSplitter {
  /** What belongs to a record that is not complete, and how long it is at least. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #needed = 0;

  /** The records that end in this piece, as views of it or of a copy. The piece must not be written to afterwards. */
  *push(piece: Uint8Array): Generator<PayloadRecord> {
    this.#rest.push(piece);
    this.#restBytes += piece.length;
    if (this.#restBytes < this.#needed) return;
    const bytes =
      this.#rest.length === 1 ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : Buffer.concat(this.#rest);
    let at = 0;
    for (;;) {
      const end = at + leastLength(bytes, at);
      if (end > bytes.length) break;
      const leafEnd = at + 2 + bytes.readUInt16BE(at);
      yield { leaf: bytes.subarray(at + 2, leafEnd), raw: bytes.subarray(leafEnd + 4, end) };
      at = end;
    }
    this.#rest = [bytes.subarray(at)];
    this.#restBytes = bytes.length - at;
    this.#needed = leastLength(bytes, at);
  }

  /** Throws an EvidenceFault if the last record is cut. */
  end(): void {
    if (this.#restBytes > 0) throw new EvidenceFault('payload is cut off');
  }
}

/** How long the record at this place is at least: exactly so, once its two lengths are there. */
const leastLength = (bytes: Buffer, at: number): number => {
  if (bytes.length < at + 2) return 2;
  const leafEnd = 2 + bytes.readUInt16BE(at);
  return bytes.length < at + leafEnd + 4 ? leafEnd + 4 : leafEnd + 4 + bytes.readUInt32BE(at + leafEnd);
};

import { ByteReader, uint16, uint32 } from '../bytes.ts';

/** A leaf and the payload that it speaks of. */
export interface PayloadRecord {
  readonly leaf: Uint8Array;
  /** `raw::text` in UTF-8. */
  readonly raw: Uint8Array;
}

/** One event of `events/payload/000000.oev`: the data of the leaf after its length in two bytes, raw after its length in four. */
export const writePayloadRecord = ({ leaf, raw }: PayloadRecord): Buffer =>
  Buffer.concat([uint16(leaf.length), leaf, uint32(raw.length), raw]);

/** The events of such a file, as views of it. Throws an EvidenceFault where it is cut. */
export function* readPayload(bytes: Uint8Array): Generator<PayloadRecord> {
  const reader = new ByteReader(bytes, 'payload');
  while (!reader.isAtEnd) {
    const leaf = reader.bytes(reader.uint16());
    yield { leaf, raw: reader.bytes(reader.uint32()) };
  }
}

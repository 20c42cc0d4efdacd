import { ByteReader, uint64 } from '../bytes.ts';
import { SIGNATURE_BYTES } from '../crypto/ed25519.ts';
import { EvidenceFault } from '../evidence-fault.ts';

/** What a witness puts into its signature line: c2sp.org/tlog-cosignature of Ed25519. */
export interface Cosignature {
  /** When the witness had not seen a larger tree of this log, in seconds since 1970. */
  readonly atSeconds: number;
  readonly signature: Uint8Array;
}

/** What a witness signs: the whole text of the checkpoint, after a line with the time. */
export const cosignedMessage = (text: string, atSeconds: number): string =>
  `cosignature/v1\ntime ${atSeconds}\n${text}`;

/** Time and signature as they follow the id of the key in a signature line. */
export const writeCosignature = ({ atSeconds, signature }: Cosignature): Buffer =>
  Buffer.concat([uint64(atSeconds), signature]);

/** Reads what `writeCosignature` writes. Throws an EvidenceFault for another length, or a time that is none. */
export const readCosignature = (bytes: Uint8Array): Cosignature => {
  if (bytes.length !== 8 + SIGNATURE_BYTES) throw new EvidenceFault(`a cosignature of ${bytes.length} bytes`);
  const reader = new ByteReader(bytes, 'cosignature');
  return { atSeconds: reader.uint64(), signature: reader.bytes(SIGNATURE_BYTES) };
};

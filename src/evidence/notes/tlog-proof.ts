import { textOf } from '../bytes.ts';
import { HASH_BYTES } from '../crypto/sha256.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { bytesOfBase64 } from './base64.ts';
import { countOf } from './checkpoint.ts';

/** A proof that one leaf is in a log, in one file: c2sp.org/tlog-proof. The leaf itself is not in it. */
export interface TlogProof {
  /** What the specification leaves to the application, and nothing signs. */
  readonly extra?: Uint8Array | undefined;
  readonly index: number;
  /** From the sibling of the leaf up. */
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A tree of 2⁶³ leaves has no longer one. */
const MAX_HASHES = 63;

/** The text of a `.tlog-proof`. */
export const writeTlogProof = ({ extra, index, hashes, checkpoint }: TlogProof): string =>
  [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${Buffer.from(extra).toString('base64')}`]),
    `index ${index}`,
    ...hashes.map((hash) => Buffer.from(hash).toString('base64')),
    '',
    checkpoint,
  ].join('\n');

/** Reads a `.tlog-proof`. Throws an EvidenceFault that names what is wrong. Verifies nothing. */
export const parseTlogProof = (bytes: Uint8Array): TlogProof => {
  const text = textOf(bytes, 'proof');
  const cut = text.indexOf('\n\n');
  const [header, ...lines] = text.slice(0, Math.max(cut, 0)).split('\n');
  if (header !== HEADER) throw new EvidenceFault(`proof does not begin with ${HEADER}, or has no checkpoint`);
  const extra = lines[0]?.startsWith('extra ') ? lines.shift()?.slice('extra '.length) : undefined;
  const index = lines.shift();
  if (index?.startsWith('index ') !== true) throw new EvidenceFault('proof has no index');
  if (lines.length > MAX_HASHES) throw new EvidenceFault(`proof has ${lines.length} hashes`);
  const hashes = lines.map((line) => bytesOfBase64(line, 'a hash of the proof'));
  if (hashes.some(({ length }) => length !== HASH_BYTES)) throw new EvidenceFault('a hash of the proof is cut');
  return {
    ...(extra === undefined ? {} : { extra: bytesOfBase64(extra, 'the extra data of the proof') }),
    index: countOf(index.slice('index '.length), 'the index in a proof'),
    hashes,
    checkpoint: text.slice(cut + 2),
  };
};

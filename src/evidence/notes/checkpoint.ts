import { HASH_BYTES } from '../crypto/sha256.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { bytesOfBase64 } from './base64.ts';

/** What a log signs: c2sp.org/tlog-checkpoint, without extension lines, which witnesses do not vouch for. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** The text to be signed: three lines. */
export const writeCheckpoint = ({ origin, size, root }: Checkpoint): string => {
  if (!Number.isSafeInteger(size) || size < 0 || root.length !== HASH_BYTES) throw new RangeError('not a checkpoint');
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
};

/** Reads the text of a note of a log. Throws an EvidenceFault for one that is no checkpoint, or has extension lines. */
export const parseCheckpoint = (text: string): Checkpoint => {
  const [origin = '', size = '', root = '', end, ...more] = text.split('\n');
  if (origin === '' || end === undefined) throw new EvidenceFault('checkpoint has not three lines');
  if (end !== '' || more.length > 0) throw new EvidenceFault('checkpoint has extension lines, which no log here has');
  const hash = bytesOfBase64(root, 'the root in a checkpoint');
  if (hash.length !== HASH_BYTES) throw new EvidenceFault(`the root in a checkpoint has ${hash.length} bytes`);
  return { origin, size: countOf(size, 'the size in a checkpoint'), root: hash };
};

/** A number of the texts of logs: digits without leading zeroes. Throws an EvidenceFault for anything else. */
export const countOf = (text: string, what: string): number => {
  const count = Number(text);
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text) || !Number.isSafeInteger(count))
    throw new EvidenceFault(`${what} is no number`);
  return count;
};

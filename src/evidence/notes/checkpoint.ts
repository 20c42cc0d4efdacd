import { bytesOfBase64, EvidenceFault, HASH_BYTES, textOf } from '../bytes.ts';

/** What a log signs: c2sp.org/tlog-checkpoint, without extension lines, which witnesses do not vouch for. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

export const writeCheckpoint = ({ origin, size, root }: Checkpoint): string => {
  if (!Number.isSafeInteger(size) || size < 0 || root.length !== HASH_BYTES) throw new RangeError('not a checkpoint');
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
};

/** Throws an EvidenceFault for no checkpoint, or one with extension lines. */
export const parseCheckpoint = (text: string): Checkpoint => {
  const [origin = '', size = '', root = '', end, ...more] = text.split('\n');
  if (origin === '' || end === undefined) throw new EvidenceFault('checkpoint has not three lines');
  if (end !== '' || more.length > 0) throw new EvidenceFault('checkpoint has extension lines, which no log here has');
  const hash = bytesOfBase64(root, 'the root in a checkpoint');
  if (hash.length !== HASH_BYTES) throw new EvidenceFault(`the root in a checkpoint has ${hash.length} bytes`);
  return { origin, size: countOf(size, 'the size in a checkpoint'), root: hash };
};

/** Digits without leading zeroes; throws an EvidenceFault for anything else. */
export const countOf = (text: string, what: string): number => {
  const count = Number(text);
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text) || !Number.isSafeInteger(count))
    throw new EvidenceFault(`${what} is no number`);
  return count;
};

/** c2sp.org/tlog-proof, without the leaf. */
interface TlogProof {
  /** Left to the application, and unsigned. */
  readonly extra?: Uint8Array | undefined;
  readonly index: number;
  /** From the sibling of the leaf up. */
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: string;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A tree of 2⁶³ leaves has no longer one. */
const MAX_HASHES = 63;

export const writeTlogProof = ({ extra, index, hashes, checkpoint }: TlogProof): string =>
  [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${Buffer.from(extra).toString('base64')}`]),
    `index ${index}`,
    ...hashes.map((hash) => Buffer.from(hash).toString('base64')),
    '',
    checkpoint,
  ].join('\n');

/** Verifies nothing. Throws an EvidenceFault that names what is wrong. */
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

/** Leaves of `events` are positions, those of `journal` statements. */
export type LogName = 'events' | 'journal';

/** Also the name of the key, and the URL without the scheme. */
export interface LogOrigin {
  readonly base: string;
  readonly feedId: string;
  /** From 1. The next one begins if a log cannot go on, after a restore. */
  readonly generation: number;
  readonly log: LogName;
}

/** `audit.example.com/evidence/1f2e….1/events`. */
export const writeOrigin = ({ base, feedId, generation, log }: LogOrigin): string =>
  `${base}/${feedId}.${generation}/${log}`;

/** Throws an EvidenceFault for any other text. */
export const parseOrigin = (text: string): LogOrigin => {
  const match = /^(.+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9]\d{0,8})\/(events|journal)$/.exec(text);
  const [, base = '', feedId = '', generation, log] = match ?? [];
  if (match === null || faultOfBase(base) !== undefined) {
    throw new EvidenceFault(`not the origin of a log of orgtrail: ${JSON.stringify(text)}`);
  }
  return { base, feedId, generation: Number(generation), log: log as LogName };
};

/** Witnesses may have one byte for the length of an origin; feed, generation and log take at most 55. */
const MAX_BASE_LENGTH = 200;

/** Why a text cannot be the base of an origin. It is the address without the scheme, and part of a key name: no spaces, no `+`. */
export const faultOfBase = (base: string): string | undefined => {
  if (base === '') return 'is empty';
  if (base.includes('://')) return 'must be without the scheme';
  if (base.endsWith('/')) return 'must not end with "/"';
  if (base.length > MAX_BASE_LENGTH) return `must not be longer than ${MAX_BASE_LENGTH} characters`;
  const isAddress = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9]\d{0,4})?(?:\/[A-Za-z0-9._~-]+)*$/.test(base);
  return isAddress ? undefined : 'must be like audit.example.com/evidence: a host in small letters, and a path';
};

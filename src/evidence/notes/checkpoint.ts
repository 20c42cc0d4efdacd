import { bytesOfBase64, EvidenceFault, HASH_BYTES, textOf } from '../bytes.ts';

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

/** A proof that one leaf is in a log, in one file: c2sp.org/tlog-proof. The leaf itself is not in it. */
interface TlogProof {
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

/** The two logs of a feed: leaves of `events` are the positions, those of `journal` are signed statements. */
export type LogName = 'events' | 'journal';

/** What names a log, everywhere: in its checkpoints, as the name of its key, and as its URL without the scheme. */
export interface LogOrigin {
  /** Where the evidence is served, without the scheme. */
  readonly base: string;
  readonly feedId: string;
  /** From 1. The next one begins if a log cannot go on, after a restore. */
  readonly generation: number;
  readonly log: LogName;
}

/** `audit.example.com/evidence/1f2e….1/events`. */
export const writeOrigin = ({ base, feedId, generation, log }: LogOrigin): string =>
  `${base}/${feedId}.${generation}/${log}`;

/** Reads what `writeOrigin` writes. Throws an EvidenceFault for any other text. */
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

/**
 * Why a text cannot be the origin of a log, as the end of a sentence that begins with the name of a setting; undefined if it can. It must be
 * the address without the scheme, in characters that a URL has as they are, and is part of a key name: no spaces, no `+`.
 */
export const faultOfBase = (base: string): string | undefined => {
  if (base === '') return 'is empty';
  if (base.includes('://')) return 'must be without the scheme';
  if (base.endsWith('/')) return 'must not end with "/"';
  if (base.length > MAX_BASE_LENGTH) return `must not be longer than ${MAX_BASE_LENGTH} characters`;
  const isAddress = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9]\d{0,4})?(?:\/[A-Za-z0-9._~-]+)*$/.test(base);
  return isAddress ? undefined : 'must be like audit.example.com/evidence: a host in small letters, and a path';
};

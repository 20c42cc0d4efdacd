import { bytesOfBase64, EvidenceFault, HASH_BYTES, unlessFault } from '../bytes.ts';
import {
  type NoteSignature,
  type NoteSigner,
  parseNote,
  parseVerifierKey,
  printVerifierKey,
  type SignatureType,
  signatureTypes,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from './signed-note.ts';

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

/** Also the name of the key. */
export interface LogOrigin {
  readonly base: string;
  readonly feedId: string;
  /** Of the log, from 1. The next one goes on with the same tree if a log cannot, after a restore. */
  readonly number: number;
}

/** `audit.example.com/evidence/1f2e….1`. */
export const writeOrigin = ({ base, feedId, number }: LogOrigin): string => `${base}/${feedId}.${number}`;

/** Throws an EvidenceFault for any other text. */
export const parseOrigin = (text: string): LogOrigin => {
  const match = /^(.+)\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9]\d{0,8})$/.exec(text);
  const [, base = '', feedId = '', number] = match ?? [];
  if (match === null || faultOfBase(base) !== undefined) {
    throw new EvidenceFault(`not the origin of a log of orgtrail: ${JSON.stringify(text)}`);
  }
  return { base, feedId, number: Number(number) };
};

/** Witnesses may have one byte for the length of an origin; feed and number take at most 47. */
const MAX_BASE_LENGTH = 200;

/** Why a text cannot be the base of an origin. It is like an address without the scheme, and part of a key name: no spaces, no `+`. */
export const faultOfBase = (base: string): string | undefined => {
  if (base === '') return 'is empty';
  if (base.includes('://')) return 'must be without the scheme';
  if (base.endsWith('/')) return 'must not end with "/"';
  if (base.length > MAX_BASE_LENGTH) return `must not be longer than ${MAX_BASE_LENGTH} characters`;
  const isAddress = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[1-9]\d{0,4})?(?:\/[A-Za-z0-9._~-]+)*$/.test(base);
  return isAddress ? undefined : 'must be like audit.example.com/evidence: a host in small letters, and a path';
};

/** Whom a verifier believes. */
export interface Policy {
  readonly logs: readonly VerifierKey[];
  readonly witnesses: readonly VerifierKey[];
}

/** A line for each key: `log VKEY`, `witness NAME VKEY`. */
export const writePolicy = ({ logs, witnesses }: Policy): string =>
  [
    ...logs.map((key) => `log ${printVerifierKey(key)}\n`),
    ...witnesses.map((key, index) => `witness w${index + 1} ${printVerifierKey(key)}\n`),
  ].join('');

/** Throws an EvidenceFault that names the line. Lines that begin with another word are left alone. */
export const parsePolicy = (bytes: Uint8Array): Policy => {
  const [logs, witnesses]: [VerifierKey[], VerifierKey[]] = [[], []];
  for (const [index, line] of Buffer.from(bytes).toString().split('\n').entries()) {
    const [word, ...rest] = line.split(/[ \t]+/).filter((part) => part !== '');
    try {
      if (word === 'log') add(logs, rest[0], signatureTypes.note);
      else if (word === 'witness') add(witnesses, rest[1], signatureTypes.cosignature);
    } catch (error) {
      if (!(error instanceof EvidenceFault)) throw error;
      throw new EvidenceFault(`line ${index + 1} of the policy: ${error.message}`);
    }
  }
  return { logs, witnesses };
};

const add = (keys: VerifierKey[], vkey: string | undefined, type: SignatureType): void => {
  const key = parseVerifierKey(vkey ?? '');
  if (key.type !== type) throw new EvidenceFault(`the key of ${key.name} is not of the type that is needed here`);
  if (!keys.some(({ name, id }) => name === key.name && id === key.id)) keys.push(key);
};

export interface OpenCheckpoint extends Checkpoint {
  readonly signers: readonly NoteSigner[];
  /** Signature lines of unknown keys. */
  readonly unknown: readonly NoteSignature[];
}

/** Throws an EvidenceFault for a wrong signature of a known key, or if none is of a key of a log. */
export const openCheckpoint = (note: Uint8Array, { logs, witnesses }: Policy): OpenCheckpoint => {
  const { text, signers, unknown } = verifyNote(parseNote(note), [...logs, ...witnesses]);
  const checkpoint = parseCheckpoint(text);
  if (!signers.some(({ key }) => logs.includes(key) && key.name === checkpoint.origin)) {
    throw new EvidenceFault(`checkpoint is not signed by ${checkpoint.origin}`);
  }
  return { ...checkpoint, signers, unknown };
};

export const originOf = (text: string): LogOrigin | undefined => unlessFault(() => parseOrigin(text));

/** The key of a log has the name of its origin. */
export const keyOfLog = (origin: string, publicKey: Uint8Array): VerifierKey =>
  verifierKey(origin, signatureTypes.note, publicKey);

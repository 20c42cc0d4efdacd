import { EvidenceFault, unlessFault } from '../bytes.ts';
import { type Checkpoint, type LogOrigin, parseCheckpoint, parseOrigin } from './checkpoint.ts';
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

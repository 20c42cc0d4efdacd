import { textOf } from '../bytes.ts';
import { isSigned } from '../crypto/ed25519.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { bytesOfBase64 } from './base64.ts';
import { cosignedMessage, readCosignature } from './cosignature.ts';
import { hexOfId, isKeyName, signatureTypes, type VerifierKey } from './verifier-key.ts';

/** A note of c2sp.org/signed-note as read, nothing of it verified. */
export interface SignedNote {
  /** With its last line end. What is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A signature line. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  /** What follows the id of the key: a signature, or a time and a signature. */
  readonly signature: Uint8Array;
}

const MAX_BYTES = 1_000_000;
/** The specification asks for 16 at least. */
const MAX_SIGNATURES = 100;
const DASH = '\u2014 ';

/** The note of a text with its signatures. Throws an EvidenceFault for a text that no note can have. */
export const writeNote = ({ text, signatures }: SignedNote): string => {
  if (!text.endsWith('\n') || hasControls(text) || !text.isWellFormed())
    throw new EvidenceFault('not a text for a note');
  const lines = signatures.map(({ name, keyId, signature }) => {
    const bytes = Buffer.concat([Buffer.alloc(4), signature]);
    bytes.writeUInt32BE(keyId);
    return `${DASH}${name} ${bytes.toString('base64')}\n`;
  });
  return `${text}\n${lines.join('')}`;
};

/** Reads a note of any log. Throws an EvidenceFault that names what is wrong. */
export const parseNote = (bytes: Uint8Array): SignedNote => {
  if (bytes.length > MAX_BYTES) throw new EvidenceFault(`note has more than ${MAX_BYTES} bytes`);
  const note = textOf(bytes, 'note');
  if (hasControls(note)) throw new EvidenceFault('note has control characters');
  // The last empty line: the text itself may have some.
  const cut = note.lastIndexOf('\n\n');
  if (cut < 0 || !note.endsWith('\n') || cut + 2 === note.length) throw new EvidenceFault('note has no signatures');
  const lines = note.slice(cut + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new EvidenceFault(`note has more than ${MAX_SIGNATURES} signatures`);
  return { text: note.slice(0, cut + 1), signatures: lines.map(parseLine) };
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const hasControls = (text: string): boolean => /[\u0000-\u0009\u000b-\u001f]/.test(text);

const parseLine = (line: string, index: number): NoteSignature => {
  const what = `signature line ${index + 1}`;
  const [name = '', base64 = '', ...more] = line.startsWith(DASH) ? line.slice(DASH.length).split(' ') : [];
  if (!isKeyName(name) || base64 === '' || more.length > 0) throw new EvidenceFault(`${what} is not one`);
  const bytes = bytesOfBase64(base64, `the signature in ${what}`);
  if (bytes.length < 5) throw new EvidenceFault(`the signature in ${what} is too short`);
  return { name, keyId: bytes.readUInt32BE(), signature: bytes.subarray(4) };
};

/** What the keys that a verifier knows make of a note. */
export interface VerifiedNote {
  readonly text: string;
  /** The known keys that signed it, each once. Never empty. */
  readonly signers: readonly NoteSigner[];
  /** Lines of keys that are not known: nothing follows from these. */
  readonly unknown: readonly NoteSignature[];
}

export interface NoteSigner {
  readonly key: VerifierKey;
  /** When a witness cosigned, by its clock, in seconds since 1970; undefined of a log's own signature. */
  readonly atSeconds: number | undefined;
}

/**
 * Every line of a known key must verify, and there must be one: else an EvidenceFault is thrown. Lines of other keys are no fault,
 * also if they share a name or an id with a known one.
 */
export const verifyNote = ({ text, signatures }: SignedNote, keys: readonly VerifierKey[]): VerifiedNote => {
  const signers = new Map<VerifierKey, NoteSigner>();
  const unknown: NoteSignature[] = [];
  for (const line of signatures) {
    const key = keys.find(({ name, id }) => name === line.name && id === line.keyId);
    if (key === undefined) unknown.push(line);
    else signers.set(key, { key, atSeconds: verifyLine(text, line, key) });
  }
  if (signers.size === 0) throw new EvidenceFault('note is not signed by a known key');
  return { text, signers: [...signers.values()], unknown };
};

const verifyLine = (text: string, { signature }: NoteSignature, key: VerifierKey): number | undefined => {
  const cosignature = key.type === signatureTypes.cosignature ? readCosignature(signature) : undefined;
  const message = cosignature === undefined ? text : cosignedMessage(text, cosignature.atSeconds);
  if (!isSigned(Buffer.from(message), cosignature?.signature ?? signature, key.publicKey)) {
    throw new EvidenceFault(`the signature of ${key.name} (${hexOfId(key.id)}) does not verify`);
  }
  return cosignature?.atSeconds;
};

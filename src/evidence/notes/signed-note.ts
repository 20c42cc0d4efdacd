import {
  ByteReader,
  bytesOfBase64,
  EvidenceFault,
  isSigned,
  PUBLIC_KEY_BYTES,
  SIGNATURE_BYTES,
  sha256,
  textOf,
  unlessFault,
} from '../bytes.ts';

/** c2sp.org/signed-note, unverified. */
interface SignedNote {
  /** Signed, with its last line end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  /** Of a witness: a time and a signature. */
  readonly signature: Uint8Array;
}

const MAX_BYTES = 1_000_000;
/** The specification asks for 16. */
const MAX_SIGNATURES = 100;
const DASH = '\u2014 ';

/** Throws an EvidenceFault for a text that no note can have. */
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

/** Throws an EvidenceFault that names what is wrong. */
export const parseNote = (bytes: Uint8Array): SignedNote => {
  if (bytes.length > MAX_BYTES) throw new EvidenceFault(`note has more than ${MAX_BYTES} bytes`);
  const note = textOf(bytes, 'note');
  if (hasControls(note)) throw new EvidenceFault('note has control characters');
  // The text itself may have empty lines.
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

interface VerifiedNote {
  readonly text: string;
  /** Each once; never empty. */
  readonly signers: readonly NoteSigner[];
  /** Lines of unknown keys. */
  readonly unknown: readonly NoteSignature[];
}

export interface NoteSigner {
  readonly key: VerifierKey;
  /** By the witness's clock, in seconds since 1970; undefined of a log. */
  readonly atSeconds: number | undefined;
}

/** Throws an EvidenceFault if a line of a known key does not verify, or if there is none. */
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

/** Both are of Ed25519. Others are ignored. */
export const signatureTypes = { note: 0x01, cosignature: 0x04 } as const;
export type SignatureType = (typeof signatureTypes)[keyof typeof signatureTypes];

/** Name and id together name the key in a signature line. */
export interface VerifierKey {
  readonly name: string;
  readonly id: number;
  readonly type: SignatureType;
  readonly publicKey: Uint8Array;
}

/** Throws an EvidenceFault for a name that cannot be one. */
export const verifierKey = (name: string, type: SignatureType, publicKey: Uint8Array): VerifierKey => {
  if (!isKeyName(name)) throw new EvidenceFault(`${JSON.stringify(name)} cannot be the name of a key`);
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([type]), publicKey])).readUInt32BE();
  return { name, id, type, publicKey };
};

export const isKeyName = (name: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  name !== '' && name.isWellFormed() && !/[\p{White_Space}+\u0000-\u001f]/u.test(name);

/** `name+id+base64` */
export const printVerifierKey = ({ name, id, type, publicKey }: VerifierKey): string =>
  `${name}+${hexOfId(id)}+${Buffer.concat([Buffer.from([type]), publicKey]).toString('base64')}`;

export const hexOfId = (id: number): string => id.toString(16).padStart(8, '0');

/** Throws an EvidenceFault for another type, or an id that does not follow from the rest. */
export const parseVerifierKey = (text: string): VerifierKey => {
  const [name = '', id = '', ...rest] = text.split('+');
  // Base64 has `+` as well.
  const material = bytesOfBase64(rest.join('+'), 'the key in a vkey');
  const type = Object.values(signatureTypes).find((known) => known === material[0]);
  if (!isKeyName(name) || !/^[0-9a-f]{8}$/.test(id)) throw new EvidenceFault('a vkey is name+id+key');
  if (type === undefined || material.length !== 1 + PUBLIC_KEY_BYTES) {
    throw new EvidenceFault(`the vkey of ${name} is not one of Ed25519`);
  }
  const key = verifierKey(name, type, material.subarray(1));
  if (hexOfId(key.id) !== id) throw new EvidenceFault(`the vkey of ${name} has id ${id} instead of ${hexOfId(key.id)}`);
  return key;
};

/** c2sp.org/tlog-cosignature of Ed25519. */
interface Cosignature {
  /** When it had seen no larger tree, in seconds since 1970. */
  readonly atSeconds: number;
  readonly signature: Uint8Array;
}

export const cosignedMessage = (text: string, atSeconds: number): string =>
  `cosignature/v1\ntime ${atSeconds}\n${text}`;

/** Throws an EvidenceFault for another length, or no time. */
export const readCosignature = (bytes: Uint8Array): Cosignature => {
  if (bytes.length !== 8 + SIGNATURE_BYTES) throw new EvidenceFault(`a cosignature of ${bytes.length} bytes`);
  const reader = new ByteReader(bytes, 'cosignature');
  return { atSeconds: reader.uint64(), signature: reader.bytes(SIGNATURE_BYTES) };
};

/** Those with a signature on the note, each once, unverified; all of them if there is none: then a verifier says so. */
export const whoSigned = (note: string, keys: readonly VerifierKey[]): readonly VerifierKey[] => {
  const lines = unlessFault(() => parseNote(Buffer.from(note)).signatures) ?? [];
  const different = [...new Map(keys.map((key) => [printVerifierKey(key), key])).values()];
  const found = different.filter((key) => lines.some(({ name, keyId }) => key.name === name && key.id === keyId));
  return found.length === 0 ? different : found;
};

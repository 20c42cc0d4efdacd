import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { publicBytes, signatureOf } from '../../../src/evidence/bytes.ts';
import type { NoteSignature } from '../../../src/evidence/notes/signed-note.ts';
import {
  cosignedMessage,
  signatureTypes,
  type VerifierKey,
  verifierKey,
} from '../../../src/evidence/notes/signed-note.ts';

/** A private key that follows from a word, so that tests sign the same each time. */
export const privateKeyOf = (word: string): KeyObject => {
  const seed = createHash('sha256').update(word).digest();
  // PKCS #8 of Ed25519: these bytes, then the seed.
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
};

/** A log or a witness. */
export interface TestSigner {
  readonly key: VerifierKey;
  sign(text: string): NoteSignature;
}

export const logSigner = (name: string, word = 'orgtrail evidence test key'): TestSigner => {
  const privateKey = privateKeyOf(word);
  const key = verifierKey(name, signatureTypes.note, publicBytes(privateKey));
  return {
    key,
    sign: (text) => ({ name, keyId: key.id, signature: signatureOf(Buffer.from(text), privateKey) }),
  };
};

export const witnessSigner = (
  name: string,
  atSeconds = 1_767_225_600,
  word = 'orgtrail evidence test witness',
): TestSigner => {
  const privateKey = privateKeyOf(word);
  const key = verifierKey(name, signatureTypes.cosignature, publicBytes(privateKey));
  return { key, sign: (text) => ({ name, keyId: key.id, signature: cosignatureOf(text, atSeconds, privateKey) }) };
};

export const cosignatureOf = (text: string, atSeconds: number, privateKey: KeyObject): Buffer => {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(atSeconds));
  return Buffer.concat([time, signatureOf(Buffer.from(cosignedMessage(text, atSeconds)), privateKey)]);
};

import { PUBLIC_KEY_BYTES } from '../crypto/ed25519.ts';
import { sha256 } from '../crypto/sha256.ts';
import { EvidenceFault } from '../evidence-fault.ts';
import { bytesOfBase64 } from './base64.ts';

/** Signature types of c2sp.org/signed-note that are known here; both are of Ed25519. Others are ignored. */
export const signatureTypes = { note: 0x01, cosignature: 0x04 } as const;
export type SignatureType = (typeof signatureTypes)[keyof typeof signatureTypes];

/** Who signs: a log signs the note itself, a witness cosigns with a time. Name and id together name the key in a signature line. */
export interface VerifierKey {
  readonly name: string;
  /** Four bytes, as a number. */
  readonly id: number;
  readonly type: SignatureType;
  readonly publicKey: Uint8Array;
}

/** The key with the id that name, type and public key give. Throws an EvidenceFault for a name that cannot be one. */
export const verifierKey = (name: string, type: SignatureType, publicKey: Uint8Array): VerifierKey => {
  if (!isKeyName(name)) throw new EvidenceFault(`${JSON.stringify(name)} cannot be the name of a key`);
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([type]), publicKey])).readUInt32BE();
  return { name, id, type, publicKey };
};

/** Not empty, without white space of any kind and without `+`; no control characters, which no note may hold. */
export const isKeyName = (name: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  name !== '' && name.isWellFormed() && !/[\p{White_Space}+\u0000-\u001f]/u.test(name);

/** The text of a key, a vkey: `name+id+base64`. */
export const printVerifierKey = ({ name, id, type, publicKey }: VerifierKey): string =>
  `${name}+${hexOfId(id)}+${Buffer.concat([Buffer.from([type]), publicKey]).toString('base64')}`;

/** The id of a key as vkeys have it: eight digits. */
export const hexOfId = (id: number): string => id.toString(16).padStart(8, '0');

/**
 * Reads a vkey. Throws an EvidenceFault for one that is none, that is of another type than the two known, or whose id does not
 * follow from the rest.
 */
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

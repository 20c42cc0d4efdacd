import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** Length of a public key of Ed25519. */
export const PUBLIC_KEY_BYTES = 32;
/** Length of a signature. */
export const SIGNATURE_BYTES = 64;

/** The 32 bytes of a public key, or of the public half of a private one. Throws a TypeError for a key of another kind. */
export const publicBytes = (key: KeyObject): Buffer => {
  const { asymmetricKeyType } = key;
  if (asymmetricKeyType !== 'ed25519') throw new TypeError(`a key of ${asymmetricKeyType ?? key.type}, not Ed25519`);
  const { x = '' } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
};

/** Whether the holder of a key has signed this, as RFC 8032 says. False also for bytes that are no key or no signature. */
export const isSigned = (data: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') };
  try {
    return verify(null, data, createPublicKey({ key: jwk, format: 'jwk' }), signature);
  } catch {
    return false;
  }
};

/** Signs with a private key of Ed25519. The same data gives the same signature. */
export const signatureOf = (data: Uint8Array, privateKey: KeyObject): Buffer => sign(null, data, privateKey);

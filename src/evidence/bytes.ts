import { createHash, createPublicKey, type Hash, hash, type KeyObject, sign, verify } from 'node:crypto';

/* Binary formats, big-endian. What does not fit when written is a bug; what does not fit when read is an EvidenceFault. */

export const uint16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
};

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Towards minus infinity. */
export const floorDivide = (value: bigint, by: bigint): bigint => value / by - (value % by < 0n ? 1n : 0n);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const textOf = (bytes: Uint8Array, what: string): string => {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new EvidenceFault(`${what} is not UTF-8`);
  }
};

/** `what` names the bytes in the EvidenceFault that is thrown when they end too soon. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  bytes(length: number): Buffer {
    const start = this.#pass(length);
    return this.#bytes.subarray(start, this.#at);
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#pass(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#pass(4));
  }

  /** At most 2⁵³ - 1. */
  uint64(): number {
    const value = Number(this.#bytes.readBigUInt64BE(this.#pass(8)));
    if (!Number.isSafeInteger(value)) throw new EvidenceFault(`${this.#what} has a number that is too large`);
    return value;
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#pass(8));
  }

  textWithLength(): string {
    const start = this.#pass(this.uint16());
    const text = this.#bytes.toString('utf8', start, this.#at);
    // U+FFFD may be meant, too. A view for each text would cost more than the hashes.
    return text.includes('\ufffd') ? textOf(this.#bytes.subarray(start, this.#at), this.#what) : text;
  }

  #pass(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) throw new EvidenceFault(`${this.#what} is cut off`);
    this.#at = start + length;
    return start;
  }

  end(): void {
    if (this.#at < this.#bytes.length) throw new EvidenceFault(`${this.#what} has bytes left over`);
  }
}

/** RFC 4648, section 4. Throws an EvidenceFault for a text that these bytes are not written as: no two texts say the same. */
export const bytesOfBase64 = (text: string, what: string): Buffer => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new EvidenceFault(`${what} is not base64`);
  return bytes;
};

/** Bytes break a format of the evidence. No bug: the message is a line of a verifier's report, and does not quote the bytes. */
export class EvidenceFault extends Error {
  override readonly name = 'EvidenceFault';
}

/** Undefined for an EvidenceFault. */
export const unlessFault = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch (error) {
    if (error instanceof EvidenceFault) return undefined;
    throw error;
  }
};

export const HASH_BYTES = 32;

export const sha256 = (data: Uint8Array): Buffer => Buffer.from(hash('sha256', data, 'binary'), 'binary');

/** Of what comes in pieces. */
export const sha256InPieces = (): Hash => createHash('sha256');

/** By a string, since a Buffer for each hash costs three times as much. */
export const writeSha256 = (data: Uint8Array, target: Buffer, at: number): void => {
  target.write(hash('sha256', data, 'binary'), at, 'binary');
};

export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** Also of a private key. Throws a TypeError for a key of another kind. */
export const publicBytes = (key: KeyObject): Buffer => {
  const { asymmetricKeyType } = key;
  if (asymmetricKeyType !== 'ed25519') throw new TypeError(`a key of ${asymmetricKeyType ?? key.type}, not Ed25519`);
  const { x = '' } = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' });
  return Buffer.from(x, 'base64url');
};

/** RFC 8032. False also for what is no key or no signature. */
export const isSigned = (data: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') };
  try {
    return verify(null, data, createPublicKey({ key: jwk, format: 'jwk' }), signature);
  } catch {
    return false;
  }
};

/** The same data gives the same signature. */
export const signatureOf = (data: Uint8Array, privateKey: KeyObject): Buffer => sign(null, data, privateKey);

import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';

/*
 * Integers (big-endian) and texts of binary formats. What is written must fit, or it is a bug; what is read may be anything, and is
 * then an EvidenceFault.
 */

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

export const uint64 = (value: number): Buffer => {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`);
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A text of UTF-8; throws an EvidenceFault for other bytes. `what` names them in its message. */
export const textOf = (bytes: Uint8Array, what: string): string => {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new EvidenceFault(`${what} is not UTF-8`);
  }
};

/** Reads bytes from the front; `what` names them in the EvidenceFault that is thrown when they end too soon. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** A view. */
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

  /** None above 2⁵³ - 1: positions and counts. */
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
    // The character that stands for what is no UTF-8 may also be meant. A view for each text would cost more than the hashes.
    return text.includes('\ufffd') ? textOf(this.#bytes.subarray(start, this.#at), this.#what) : text;
  }

  /** Moves on; gives the place before. */
  #pass(length: number): number {
    const start = this.#at;
    if (start + length > this.#bytes.length) throw new EvidenceFault(`${this.#what} is cut off`);
    this.#at = start + length;
    return start;
  }

  /** Throws an EvidenceFault if something is left. */
  end(): void {
    if (!this.isAtEnd) throw new EvidenceFault(`${this.#what} has bytes left over`);
  }
}

/**
 * The bytes of a base64 text (RFC 4648, section 4). Throws an EvidenceFault for a text that is not exactly what these bytes are
 * written as: missing padding, stray bits, letters of base64url, white space. So no two texts say the same. `what` names the text.
 */
export const bytesOfBase64 = (text: string, what: string): Buffer => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw new EvidenceFault(`${what} is not base64`);
  return bytes;
};

/**
 * Bytes that are not what the formats of the evidence say: a note that cannot be read, a leaf with bytes left over. Not a bug, and
 * not for the operator of a daemon alone: the message is a line in the report of a verifier, so it names what is wrong without
 * the bytes themselves.
 */
export class EvidenceFault extends Error {
  override readonly name = 'EvidenceFault';
}

/** Length of every hash of the evidence. */
export const HASH_BYTES = 32;

/** SHA-256. */
export const sha256 = (data: Uint8Array): Buffer => Buffer.from(hash('sha256', data, 'binary'), 'binary');

/** As `sha256`, written into `target` at `at`. By a string, since a Buffer for each hash costs three times as much. */
export const writeSha256 = (data: Uint8Array, target: Buffer, at: number): void => {
  target.write(hash('sha256', data, 'binary'), at, 'binary');
};

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

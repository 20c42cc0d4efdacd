import { EvidenceFault } from './evidence-fault.ts';

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

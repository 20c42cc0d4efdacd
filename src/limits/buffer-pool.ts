const MAX_KEPT = 4;
const MAX_KEPT_BYTES = 8_388_608;
/** Pages of one log differ a little in size. */
const ROOM = 1.25;

/**
 * Memory for pages, on their way in and on their way to the database, used again. A new buffer of a megabyte or two for each page is, by
 * its size alone, what brings the garbage collector to work: it was half of all that the daemon did.
 */
export class BufferPool {
  readonly #kept: Buffer[] = [];

  /** At least so many bytes, with anything in them. */
  take(bytes: number): Buffer {
    const index = this.#kept.findIndex(({ length }) => length >= bytes);
    if (index !== -1) return this.#kept.splice(index, 1)[0] as Buffer;
    // One that is too small makes room for what is needed now.
    if (this.#kept.length === MAX_KEPT) this.#kept.shift();
    return Buffer.allocUnsafeSlow(Math.ceil(bytes * ROOM));
  }

  /** Only what has no reader or writer any more. */
  giveBack(buffer: Buffer): void {
    if (buffer.length <= MAX_KEPT_BYTES && this.#kept.length < MAX_KEPT) this.#kept.push(buffer);
  }
}

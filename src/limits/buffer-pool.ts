/** Two for each of sixteen workers: a page, and the one that proves it. */
const MAX_KEPT = 32;
const MAX_KEPT_BYTES = 33_554_432;
const MAX_BUFFER_BYTES = 8_388_608;
/** Pages of one log differ a little in size. */
const ROOM = 1.25;

/**
 * Memory for pages, on their way in and on their way to the database, used again. A new buffer of a megabyte or two for each page is, by
 * its size alone, what brings the garbage collector to work: it was half of all that the daemon did. The smallest that is large enough is
 * given out, so that the pages of small sources leave the large ones to others.
 */
export class BufferPool {
  /** The smallest first. */
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;

  /** At least so many bytes, with anything in them. */
  take(bytes: number): Buffer {
    const index = this.#kept.findIndex(({ length }) => length >= bytes);
    const [found] = index === -1 ? [] : this.#kept.splice(index, 1);
    if (found === undefined) return Buffer.allocUnsafeSlow(Math.ceil(bytes * ROOM));
    this.#keptBytes -= found.length;
    return found;
  }

  /** Only what has no reader or writer any more. */
  giveBack(buffer: Buffer): void {
    if (buffer.length > MAX_BUFFER_BYTES) return;
    const index = this.#kept.findIndex(({ length }) => length >= buffer.length);
    this.#kept.splice(index === -1 ? this.#kept.length : index, 0, buffer);
    this.#keptBytes += buffer.length;
    // The smallest are the cheapest to make.
    while (this.#kept.length > MAX_KEPT || this.#keptBytes > MAX_KEPT_BYTES) {
      this.#keptBytes -= this.#kept.shift()?.length ?? 0;
    }
  }
}

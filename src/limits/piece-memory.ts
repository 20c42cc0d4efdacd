const MIB = 1_048_576;
/** A piece that any stream gets at any time. */
const MIN_PIECE_BYTES = 262_144;
const MAX_PIECE_BYTES = 8 * MIB;
/** Of what is left, one piece takes at most so much: later streams find some, too. */
const SHARE = 4;
/** Kept for the next pieces: a new buffer for each would keep the garbage collector busy. */
const MAX_UNUSED_BYTES = 24 * MIB;

/** `shared`: other threads may read and write it. Copying into it takes longer. */
export type MemoryKind = 'own' | 'shared';

export interface PieceMemoryOptions {
  /** Of all pieces together, but for a single larger event. Default 64 MiB. */
  readonly totalBytes?: number;
  /** Streams at once: two of the smallest pieces are kept back for each. Default 64. */
  readonly streams?: number;
}

/**
 * The memory of all pieces of all streams. Pieces are large while few streams read, which is fast, and small while many do. The
 * smallest size is always available to as many streams as are allowed at once; the rest is lent first come, first served.
 */
export class PieceMemory {
  /** Memory beyond the smallest pieces. */
  readonly #extraBytes: number;
  readonly #totalBytes: number;
  readonly #lent = new Map<Buffer, number>();
  readonly #unused: Buffer[] = [];
  readonly #waiting = new Set<() => void>();
  #extraLent = 0;
  #lentBytes = 0;

  constructor({ totalBytes = 64 * MIB, streams = 64 }: PieceMemoryOptions = {}) {
    this.#totalBytes = totalBytes;
    this.#extraBytes = totalBytes - streams * 2 * MIN_PIECE_BYTES;
    if (this.#extraBytes < 0) throw new Error('less memory than the smallest pieces need');
  }

  /** Lent at present. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** At most so large, and never smaller than the smallest piece. Its content is whatever was in it. */
  lend(atMostBytes: number, kind: MemoryKind = 'own'): Buffer {
    const free = this.#waiting.size > 0 ? 0 : (this.#extraBytes - this.#extraLent) / SHARE;
    const wanted = Math.min(atMostBytes, MIN_PIECE_BYTES + free, MAX_PIECE_BYTES);
    return this.#take(largestWithin(wanted), kind);
  }

  /** For a piece more than the two of each stream: undefined if little is left. */
  lendSpare(atMostBytes: number, kind: MemoryKind = 'own'): Buffer | undefined {
    const free = (this.#extraBytes - this.#extraLent) / SHARE;
    if (this.#waiting.size > 0 || free < MIN_PIECE_BYTES) return undefined;
    const size = largestWithin(Math.min(atMostBytes, free, MAX_PIECE_BYTES));
    return this.#take(size, kind, size);
  }

  /**
   * For an event that no piece holds. Waits until so much is free; one that is larger than everything is lent when nothing else is
   * lent beyond the smallest pieces. Rejects with the signal's reason on abort.
   */
  async lendLarge(bytes: number, signal: AbortSignal, kind: MemoryKind = 'own'): Promise<Buffer> {
    const size = sizeFor(bytes);
    const extra = this.#extraOf(size);
    while (this.#extraLent + extra > this.#extraBytes) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    return this.#take(size, kind);
  }

  /** Only what is not read or written any more. */
  giveBack(buffer: Buffer): void {
    const extra = this.#lent.get(buffer);
    if (extra === undefined) throw new Error('memory that was not lent is given back');
    this.#lent.delete(buffer);
    this.#extraLent -= extra;
    this.#lentBytes -= buffer.length;
    if (buffer.length <= MAX_PIECE_BYTES) this.#unused.push(buffer);
    this.#trim();
    for (const wake of [...this.#waiting]) wake();
  }

  #take(bytes: number, kind: MemoryKind, extra = this.#extraOf(bytes)): Buffer {
    const index = this.#unused.findLastIndex((unused) => unused.length === bytes && kindOf(unused) === kind);
    const buffer = index === -1 ? newBuffer(bytes, kind) : (this.#unused.splice(index, 1)[0] as Buffer);
    this.#lent.set(buffer, extra);
    this.#extraLent += extra;
    this.#lentBytes += bytes;
    this.#trim();
    return buffer;
  }

  #trim(): void {
    const most = Math.min(MAX_UNUSED_BYTES, this.#totalBytes - this.#lentBytes);
    let bytes = this.#unused.reduce((sum, { length }) => sum + length, 0);
    while (bytes > most) {
      const dropped = this.#unused.shift();
      if (dropped === undefined) return;
      bytes -= dropped.length;
    }
  }

  #extraOf(bytes: number): number {
    return Math.min(Math.max(0, bytes - MIN_PIECE_BYTES), this.#extraBytes);
  }
}

/** The sizes are few, so that memory fits again: the smallest one, doubled, up to the largest; beyond it, as it is. */
const sizeFor = (bytes: number): number => {
  if (bytes > MAX_PIECE_BYTES) return bytes;
  let size = MIN_PIECE_BYTES;
  while (size < bytes) size *= 2;
  return size;
};

const largestWithin = (bytes: number): number => {
  let size = MIN_PIECE_BYTES;
  while (size * 2 <= bytes) size *= 2;
  return size;
};

const newBuffer = (bytes: number, kind: MemoryKind): Buffer =>
  kind === 'shared' ? Buffer.from(new SharedArrayBuffer(bytes)) : Buffer.allocUnsafeSlow(bytes);

const kindOf = ({ buffer }: Buffer): MemoryKind => (buffer instanceof SharedArrayBuffer ? 'shared' : 'own');

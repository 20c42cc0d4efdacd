import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BusyError } from './errors.ts';

const MIB = 1_048_576;
/** Any stream gets such a piece at any time; smaller entries wait for nothing, as the places of their readers bound them. */
const MIN_PIECE_BYTES = 262_144;
const MAX_PIECE_BYTES = 8 * MIB;
/** One piece takes at most this part of what is left: later streams find some too. */
const SHARE = 4;
/** Of all pieces beyond the smallest: more makes no reader faster. */
const MAX_PIECES_BYTES = 32 * MIB;
/** Kept for the next pieces: new buffers would keep the garbage collector busy. */
const MAX_UNUSED_BYTES = 24 * MIB;
/** Copies of a large entry in memory: driver, text, parsed, text of the answer, on its way. */
const COPIES = 5;
/** Around larger entries, what others have left is collected. */
export const COLLECT_BYTES = 8 * MIB;
/** Limit for a request that has not been answered yet. */
export const MAX_WAIT_MS = 10_000;
const RETRY_AFTER_SECONDS = 30;
/** `shared` can be used by other threads; copying into it takes longer. */
export type MemoryKind = 'own' | 'shared';

interface ReaderMemoryOptions {
  /** Except for what is small. Default 240 MiB: with the daemon's own needs, below the 512 MiB of deploy/. */
  readonly totalBytes?: number;
  /** Readers of the feed: two of the smallest pieces are kept back for each. Default 64. */
  readonly streams?: number;
}

/**
 * The memory of all readers: pieces of the feed, and large entries of other answers. Pieces are large while few streams read, small
 * while many do; there are always enough of the smallest. The rest is lent first come, first served; a waiting reader holds none.
 */
export class ReaderMemory {
  readonly #extraBytes: number;
  readonly #totalBytes: number;
  readonly #lent = new Map<Buffer, () => void>();
  readonly #unused: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  #extraLent = 0;
  #lentBytes = 0;

  constructor({ totalBytes = 240 * MIB, streams = 64 }: ReaderMemoryOptions = {}) {
    this.#totalBytes = totalBytes;
    this.#extraBytes = totalBytes - streams * 2 * MIN_PIECE_BYTES;
    if (this.#extraBytes < 0) throw new Error('less memory than the smallest pieces need');
  }

  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** Never smaller than the smallest piece. The content is arbitrary. */
  lend(atMostBytes: number, kind: MemoryKind = 'own'): Buffer {
    const wanted = Math.min(atMostBytes, MIN_PIECE_BYTES + this.#freeForPiece(), MAX_PIECE_BYTES);
    const size = largestWithin(wanted);
    return this.#take(size, kind, size - MIN_PIECE_BYTES);
  }

  /** A piece beyond the two of each stream; undefined if little is left. */
  lendSpare(atMostBytes: number, kind: MemoryKind = 'own'): Buffer | undefined {
    const free = this.#freeForPiece();
    if (free < MIN_PIECE_BYTES) return undefined;
    const size = largestWithin(Math.min(atMostBytes, free, MAX_PIECE_BYTES));
    return this.#take(size, kind, size);
  }

  /** `size` bytes for an event that no piece holds, once `acquire` gives the memory of its entry. */
  async lendLarge(entryBytes: number, size: number, signal: AbortSignal, kind: MemoryKind = 'own'): Promise<Buffer> {
    const release = await this.acquire(entryBytes, signal);
    const buffer = newBuffer(size, kind);
    this.#lent.set(buffer, release);
    return buffer;
  }

  /**
   * Memory of entries that are in no piece. Resolves with a function that gives it back. What exceeds the whole waits until nothing else
   * is lent beyond the smallest pieces. Rejects with BusyError after `maxWaitMs`, or the signal's reason.
   */
  async acquire(entryBytes: number, signal: AbortSignal, maxWaitMs = Number.POSITIVE_INFINITY): Promise<() => void> {
    signal.throwIfAborted();
    if (entryBytes <= MIN_PIECE_BYTES) return () => {};
    const bytes = COPIES * entryBytes;
    const extra = Math.min(bytes, this.#extraBytes);
    const tryToTake = () => (this.#extraLent + extra <= this.#extraBytes ? this.#count(bytes, extra) : undefined);
    const release =
      (this.#waiting.length === 0 ? tryToTake() : undefined) ?? (await this.#wait(tryToTake, signal, maxWaitMs));
    if (entryBytes >= COLLECT_BYTES) {
      // Its last holder keeps it until then: the rest of a cut connection, which is closed after the first of these.
      await setImmediate();
      await setImmediate();
      collectGarbage();
    }
    return release;
  }

  giveBack(buffer: Buffer): void {
    const release = this.#lent.get(buffer);
    if (release === undefined) throw new Error('memory that was not lent is given back');
    this.#lent.delete(buffer);
    if (buffer.length <= MAX_PIECE_BYTES) this.#unused.push(buffer);
    release();
    this.#trim();
  }

  #freeForPiece(): number {
    if (this.#waiting.length > 0) return 0;
    return Math.max(0, Math.min(this.#extraBytes, MAX_PIECES_BYTES) - this.#extraLent) / SHARE;
  }

  #take(bytes: number, kind: MemoryKind, extra: number): Buffer {
    const index = this.#unused.findLastIndex((unused) => unused.length === bytes && kindOf(unused) === kind);
    const buffer = index === -1 ? newBuffer(bytes, kind) : (this.#unused.splice(index, 1)[0] as Buffer);
    this.#lent.set(buffer, this.#count(bytes, extra));
    this.#trim();
    return buffer;
  }

  #count(bytes: number, extra: number): () => void {
    this.#lentBytes += bytes;
    this.#extraLent += extra;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#lentBytes -= bytes;
      this.#extraLent -= extra;
      this.#wakeNext();
    };
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

  #wakeNext(): void {
    this.#waiting[0]?.();
  }

  #wait(tryToTake: () => (() => void) | undefined, signal: AbortSignal, maxWaitMs: number): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#waiting.splice(this.#waiting.indexOf(look), 1);
      };
      const look = () => {
        const release = tryToTake();
        if (release === undefined) return;
        leave();
        resolve(release);
        this.#wakeNext();
      };
      const fail = (reason: unknown) => {
        leave();
        reject(reason);
        this.#wakeNext();
      };
      const onAbort = () => fail(signal.reason);
      const giveUp = () => fail(new BusyError('busy: large entries are sent to others', RETRY_AFTER_SECONDS));
      const timer = Number.isFinite(maxWaitMs) ? setTimeout(giveUp, maxWaitMs) : undefined;
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(look);
    });
  }
}

/** Few sizes, so that memory fits again: the smallest one, doubled. */
const largestWithin = (bytes: number): number => {
  let size = MIN_PIECE_BYTES;
  while (size * 2 <= bytes) size *= 2;
  return size;
};

const newBuffer = (bytes: number, kind: MemoryKind): Buffer =>
  kind === 'shared' ? Buffer.from(new SharedArrayBuffer(bytes)) : Buffer.allocUnsafeSlow(bytes);

const kindOf = ({ buffer }: Buffer): MemoryKind => (buffer instanceof SharedArrayBuffer ? 'shared' : 'own');

/** Two for each of sixteen workers: a page, and the one that proves it. */
const MAX_KEPT = 32;
const MAX_KEPT_BYTES = 33_554_432;
const MAX_BUFFER_BYTES = 8_388_608;
/** Pages of one log differ a little in size. */
const ROOM = 1.25;

/**
 * Buffers of pages, used again: new ones of a megabyte or two made the garbage collector half of all that the daemon did. Gives the
 * smallest that fits, so that pages of small sources leave the large ones to others.
 */
export class BufferPool {
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;

  /** The content is arbitrary. */
  take(bytes: number): Buffer {
    const index = this.#kept.findIndex(({ length }) => length >= bytes);
    const [found] = index === -1 ? [] : this.#kept.splice(index, 1);
    if (found === undefined) return Buffer.allocUnsafeSlow(Math.ceil(bytes * ROOM));
    this.#keptBytes -= found.length;
    return found;
  }

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

/** Read by glibc only at the start of a process. */
const VARIABLE = 'MALLOC_MMAP_THRESHOLD_';
const THRESHOLD_BYTES = 1_048_576;
/** Make objects of archives; others would only start more slowly. */
const commands: readonly (string | undefined)[] = ['run', 'archive'];
type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Starts this process over, under the same number, if it may write an archive: pieces from 1 MiB on then go back to the system once
 * unused. glibc otherwise keeps up to 32 MB, the size of an archive's buffers: the peak of `archive run` is 41 MB lower
 * (docs/decisions/22). The user's own value stays. Linux with glibc only. `settings`: the environment and a `.env`.
 */
export const giveBackLargeMemory = (settings: Environment, environment: Environment): void => {
  const mayArchive = settings['ORGTRAIL_ARCHIVE'] !== undefined || settings['ORGTRAIL_CONFIG'] !== undefined;
  if (!mayArchive || !commands.includes(process.argv[2]) || environment[VARIABLE] !== undefined) return;
  if (process.platform !== 'linux' || process.execve === undefined) return;
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, args, { ...environment, [VARIABLE]: String(THRESHOLD_BYTES) });
};

let collect: (() => void) | undefined;

/** Takes some 10 ms. V8 does not see how large buffers outside its heap are, and would let them lie while the next object is made. */
export const collectGarbage = (): void => {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
};

import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BusyError } from './errors.ts';

const MIB = 1_048_576;
/** A piece that any stream gets at any time. Entries that are not larger wait for nothing: the places of those who ask bound them. */
const MIN_PIECE_BYTES = 262_144;
const MAX_PIECE_BYTES = 8 * MIB;
/** Of what is left, one piece takes at most so much: later streams find some, too. */
const SHARE = 4;
/** Beyond the smallest pieces, of all pieces together: more makes no reader faster. */
const MAX_PIECES_BYTES = 32 * MIB;
/** Kept for the next pieces: a new buffer for each would keep the garbage collector busy. */
const MAX_UNUSED_BYTES = 24 * MIB;
/** In the driver, as text, as what is parsed, as the text of an answer and on its way: so many times a large entry is in memory. */
const COPIES = 5;
/** From so large an entry on, what others have left is collected before it and behind it. */
export const COLLECT_BYTES = 8 * MIB;
/** A request that has not been answered yet waits so long. */
export const MAX_WAIT_MS = 10_000;
const RETRY_AFTER_SECONDS = 30;

/** `shared`: other threads may read and write it. Copying into it takes longer. */
export type MemoryKind = 'own' | 'shared';

interface ReaderMemoryOptions {
  /** Of all readers together, but for what is small. Default 240 MiB: with what the daemon itself needs, less than the 512 MiB of deploy/. */
  readonly totalBytes?: number;
  /** Readers of the feed at once: two of the smallest pieces are kept back for each. Default 64. */
  readonly streams?: number;
}

/**
 * The memory of all readers, of whichever route: pieces of the feed, and large entries of every other answer. Pieces are large while few
 * streams read, which is fast, and small while many do; the smallest ones are always there for as many streams as are allowed at once. The
 * rest is lent first come, first served. Who waits holds none of it, so that those who have it can go on.
 */
export class ReaderMemory {
  /** Memory beyond the smallest pieces. */
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

  /** Lent at present. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** At most so large, and never smaller than the smallest piece. Its content is whatever was in it. */
  lend(atMostBytes: number, kind: MemoryKind = 'own'): Buffer {
    const wanted = Math.min(atMostBytes, MIN_PIECE_BYTES + this.#freeForPiece(), MAX_PIECE_BYTES);
    const size = largestWithin(wanted);
    return this.#take(size, kind, size - MIN_PIECE_BYTES);
  }

  /** For a piece more than the two of each stream: undefined if little is left. */
  lendSpare(atMostBytes: number, kind: MemoryKind = 'own'): Buffer | undefined {
    const free = this.#freeForPiece();
    if (free < MIN_PIECE_BYTES) return undefined;
    const size = largestWithin(Math.min(atMostBytes, free, MAX_PIECE_BYTES));
    return this.#take(size, kind, size);
  }

  /** For an event that no piece holds: `size` bytes, when `acquire` gives the memory that its entry takes. */
  async lendLarge(entryBytes: number, size: number, signal: AbortSignal, kind: MemoryKind = 'own'): Promise<Buffer> {
    const release = await this.acquire(entryBytes, signal);
    const buffer = newBuffer(size, kind);
    this.#lent.set(buffer, release);
    return buffer;
  }

  /**
   * The memory of entries of so many bytes, which are in no piece. Resolves with what gives it back; calling that again does nothing. What is
   * larger than everything waits until nothing else is lent beyond the smallest pieces. Rejects with BusyError after `maxWaitMs`, and with the
   * signal's reason on abort.
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
      // Who gave it back has it until then: what a cut connection still had to write, until it is closed, which comes behind the first of these.
      await setImmediate();
      await setImmediate();
      collectGarbage();
    }
    return release;
  }

  /** Only what is not read or written any more. */
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
        // There may be room for the next one, too.
        this.#wakeNext();
      };
      const fail = (reason: unknown) => {
        leave();
        reject(reason);
        this.#wakeNext();
      };
      const onAbort = () => fail(signal.reason);
      const timer = Number.isFinite(maxWaitMs)
        ? setTimeout(
            () => fail(new BusyError('busy: large entries are sent to others', RETRY_AFTER_SECONDS)),
            maxWaitMs,
          )
        : undefined;
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(look);
    });
  }
}

/** The sizes are few, so that memory fits again: the smallest one, doubled, up to the largest. */
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

/** What glibc reads at the start of a process, and never again. */
const VARIABLE = 'MALLOC_MMAP_THRESHOLD_';
const THRESHOLD_BYTES = 1_048_576;

/** The commands that make objects; for others it would be a slower start alone. */
const commands: readonly (string | undefined)[] = ['run', 'archive'];

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Starts this process over, with the same number, if it may write an archive: pieces of memory from 1 MiB on then go back to the system as soon as they
 * are not used any more. By itself glibc keeps pieces of up to 32 MB for later once the first one was given back, and the buffers of an archive are as
 * large as that: the peak of `archive run` is 41 MB lower (docs/decisions/22). A value of the user's stays. Does nothing if the system is not Linux; another
 * libc than glibc does not look at it. `settings` are the environment and what a `.env` adds to it.
 */
export const giveBackLargeMemory = (settings: Environment, environment: Environment): void => {
  const mayArchive = settings['ORGTRAIL_ARCHIVE'] !== undefined || settings['ORGTRAIL_CONFIG'] !== undefined;
  if (!mayArchive || !commands.includes(process.argv[2]) || environment[VARIABLE] !== undefined) return;
  if (process.platform !== 'linux' || process.execve === undefined) return;
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, args, { ...environment, [VARIABLE]: String(THRESHOLD_BYTES) });
};

let collect: (() => void) | undefined;

/**
 * Gives back the memory of what this thread does not use any more, at once: some 10 ms. V8 does not see how large buffers outside of its heap
 * are, and would let those of one object or entry lie while the next one is made.
 */
export const collectGarbage = (): void => {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
};

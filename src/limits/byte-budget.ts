import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BusyError } from '../errors.ts';

const MIB = 1_048_576;
/** What is smaller is bounded by the places of those who ask for it, and waits for none that is large. */
const SMALL_BYTES = MIB;
/** As JSON text, as the text of an answer and on its way, an entry is in memory three to five times. */
const TOTAL_BYTES = 24 * MIB;
/** A request that has not been answered yet waits so long. */
const MAX_WAIT_MS = 10_000;
const RETRY_AFTER_SECONDS = 30;

/** From so many bytes on, what the one before has left is collected first: V8 would let several of that size lie. */
const COLLECT_BYTES = 8 * MIB;

let collector: (() => void) | undefined;
const collect = (): void => {
  if (collector === undefined) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
  }
  collector();
};

/**
 * Bounds the bytes of large entries that are in memory for all readers together: so many at once, or a single one that is larger. First come,
 * first served.
 */
export class ByteBudget {
  readonly #waiting: (() => void)[] = [];
  #lent = 0;

  /**
   * Resolves with what gives the bytes back; calling that again does nothing. Rejects with BusyError after `maxWaitMs`; with the signal's reason
   * on abort.
   */
  async acquire(bytes: number, signal: AbortSignal, maxWaitMs = MAX_WAIT_MS): Promise<() => void> {
    signal.throwIfAborted();
    if (bytes <= SMALL_BYTES) return () => {};
    const fits = () => this.#lent === 0 || this.#lent + bytes <= TOTAL_BYTES;
    if (this.#waiting.length > 0 || !fits()) await this.#wait(fits, signal, maxWaitMs);
    this.#lent += bytes;
    this.#wakeNext();
    if (bytes >= COLLECT_BYTES) collect();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#lent -= bytes;
      this.#wakeNext();
    };
  }

  #wakeNext(): void {
    this.#waiting[0]?.();
  }

  #wait(fits: () => boolean, signal: AbortSignal, maxWaitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#waiting.splice(this.#waiting.indexOf(look), 1);
      };
      const look = () => {
        if (!fits()) return;
        leave();
        resolve();
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

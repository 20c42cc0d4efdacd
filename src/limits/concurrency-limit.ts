import type { BusyError } from '../errors.ts';

export interface ConcurrencyLimitOptions {
  /** How many may run at once. */
  readonly maxRunning: number;
  /** How many may wait for a place; more are refused at once. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** What a refused one is told. */
  readonly busy: (running: number, waiting: number) => BusyError;
}

/** First come, first served: runs so many at once, lets some wait for a while, and refuses the rest. */
export class ConcurrencyLimit {
  readonly #options: ConcurrencyLimitOptions;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #refused = 0;

  constructor(options: ConcurrencyLimitOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Since the start. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Resolves with what gives the place back; calling that again does nothing. Rejects with `busy` after `maxWaitMs`, or at once if
   * too many wait; with the signal's reason on abort.
   */
  async acquire(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#running >= this.#options.maxRunning) await this.#wait(signal);
    else this.#running += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#release();
    };
  }

  /** The place goes from hand to hand: a later request cannot overtake one that waits. */
  #release(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#running -= 1;
    else next();
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    const { maxWaiting, maxWaitMs } = this.#options;
    if (this.#waiting.size >= maxWaiting) return Promise.reject(this.#refusal());
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(onPlace);
      };
      const onPlace = () => {
        leave();
        resolve();
      };
      const onAbort = () => {
        leave();
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        leave();
        reject(this.#refusal());
      }, maxWaitMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(onPlace);
    });
  }

  #refusal(): BusyError {
    this.#refused += 1;
    return this.#options.busy(this.#running, this.#waiting.size);
  }
}

import { type RequestBudget, sleep } from './wire/request.ts';

export interface Wait {
  readonly waitMs: number;
  readonly because: string;
}

interface PermitsOptions {
  /** Takes as many of `needed` as there are now, and up to `ahead` more if there are plenty. What is taken is spent,
   * used or not. */
  readonly take: (needed: number, ahead: number) => Promise<number>;
  readonly wait: () => Promise<Wait>;
  /** Permits of another name are worth nothing. */
  readonly name: () => string;
  readonly nowMs: () => number;
  readonly sleep: (durationMs: number, signal: AbortSignal) => Promise<void>;
  readonly onWait: (wait: Wait) => void;
}

/** A permit taken ahead is used within this time, or lost: so late may a request leave after it was counted, or after
 * another process has learned of a block. */
const HELD_MS = 100;
const MOST_AHEAD = 16;
/** What became free between two statements needs no wait, and no busy loop. */
const LEAST_WAIT_MS = 5;

interface Waiting {
  readonly isListing: boolean;
  readonly admit: () => void;
  readonly fail: (reason: unknown) => void;
}

/**
 * Permits for the requests of one process, in order; but a waiting listing gets every second one, or what it finds
 * would be read hours later. Those that wait at the same time take theirs together, and one that comes soon after
 * others takes twice as many ahead as they were.
 */
export class Permits {
  readonly #options: PermitsOptions;
  readonly #waiting = new Set<Waiting>();
  #held = 0;
  #heldUntilMs = 0;
  #name = '';
  #used = 0;
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #dropped = 0;
  #lastWasListing = false;
  #isTaking = false;
  #sleep: { readonly end: AbortController; readonly untilMs: number; readonly because: string } | undefined;

  constructor(options: PermitsOptions) {
    this.#options = options;
  }

  /** Resolves when a request may go out. Rejects with the signal's reason, or with the error of a statement. */
  async acquire(signal: AbortSignal, isListing = false): Promise<void> {
    signal.throwIfAborted();
    if (this.#options.name() !== this.#name) {
      this.drop();
      this.#sleep?.end.abort();
    }
    if (this.#waiting.size === 0 && this.#use()) return;
    await this.#join(signal, isListing);
  }

  get isUsedUp(): boolean {
    return this.#sleep !== undefined;
  }

  drop(): void {
    this.#held = 0;
    this.#dropped += 1;
  }

  async #join(signal: AbortSignal, isListing: boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { isListing, admit: resolve, fail: reject };
    const onAbort = (): void => {
      this.#leave(waiting);
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.add(waiting);
    if (this.#sleep !== undefined) this.#tell(this.#sleep);
    else if (!this.#isTaking) void this.#takeAll();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #leave(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    if (this.#waiting.size === 0) this.#sleep?.end.abort();
  }

  #tell({ untilMs, because }: { readonly untilMs: number; readonly because: string }): void {
    this.#options.onWait({ waitMs: Math.max(0, untilMs - this.#options.nowMs()), because });
  }

  #use(): boolean {
    if (this.#held === 0 || this.#options.nowMs() >= this.#heldUntilMs) return false;
    this.#held -= 1;
    this.#used += 1;
    return true;
  }

  async #takeAll(): Promise<void> {
    this.#isTaking = true;
    try {
      while (this.#waiting.size > 0) {
        if ((await this.#takeSome()) === 0 && this.#waiting.size > 0) await this.#waitForMore();
      }
    } catch (error) {
      for (const { fail } of this.#waiting) fail(error);
      this.#waiting.clear();
    }
    this.#isTaking = false;
  }

  async #takeSome(): Promise<number> {
    const { take, nowMs, name } = this.#options;
    const sentAtMs = nowMs();
    const ahead = sentAtMs - this.#sentAtMs < HELD_MS ? Math.min(MOST_AHEAD, 2 * this.#used) : 0;
    const dropped = this.#dropped;
    this.#name = name();
    this.#used = 0;
    this.#sentAtMs = sentAtMs;
    const taken = await take(this.#waiting.size, ahead);
    let left = taken;
    for (; left > 0 && this.#waiting.size > 0; left -= 1) {
      this.#used += 1;
      this.#admitNext();
    }
    this.#held = dropped === this.#dropped && this.#name === name() ? left : 0;
    this.#heldUntilMs = sentAtMs + HELD_MS;
    return taken;
  }

  #admitNext(): void {
    const [first] = this.#waiting;
    const inTurn = [...this.#waiting].find(({ isListing }) => isListing !== this.#lastWasListing) ?? first;
    if (inTurn === undefined) return;
    this.#lastWasListing = inTurn.isListing;
    this.#waiting.delete(inTurn);
    inTurn.admit();
  }

  async #waitForMore(): Promise<void> {
    const { waitMs, because } = await this.#options.wait();
    const sleepMs = Math.max(LEAST_WAIT_MS, waitMs);
    const end = new AbortController();
    this.#sleep = { end, untilMs: this.#options.nowMs() + sleepMs, because };
    for (const _ of [...this.#waiting]) this.#options.onWait({ waitMs: sleepMs, because });
    if (this.#waiting.size > 0) await this.#options.sleep(sleepMs, end.signal).catch(() => {});
    this.#sleep = undefined;
  }
}

/** Cloudflare allows an address 200 requests a second; other processes behind it have the other half. */
const MAX_PER_SECOND = 100;
const SECOND_MS = 1_000;
const BUDGET_SECONDS = 300;

interface ProcessLimitOptions {
  /** The budget of one principal, in 5 minutes: a rate above the limit may be configured. */
  readonly requestsPerWindow: number;
  readonly nowMs: () => number;
  readonly sleep?: (durationMs: number, signal: AbortSignal) => Promise<void>;
}

export type ProcessLimit = (signal: AbortSignal) => Promise<void>;

/** No second sees more than 100 requests of this process, however many principals it reads with. */
export const createProcessLimit = (options: ProcessLimitOptions): ProcessLimit => {
  const { requestsPerWindow, nowMs, sleep: wait = sleep } = options;
  const perSecond = Math.max(MAX_PER_SECOND, Math.ceil(requestsPerWindow / BUDGET_SECONDS));
  const sentAtMs: number[] = new Array(perSecond).fill(Number.NEGATIVE_INFINITY);
  let next = 0;
  return async (signal) => {
    const now = nowMs();
    const place = next;
    next = (next + 1) % perSecond;
    const atMs = Math.max(now, (sentAtMs[place] ?? Number.NEGATIVE_INFINITY) + SECOND_MS);
    sentAtMs[place] = atMs;
    if (atMs > now) await wait(atMs - now, signal);
  };
};

export const withProcessLimit = <Budget extends RequestBudget>(budget: Budget, limit: ProcessLimit): Budget => ({
  ...budget,
  acquire: async (signal, isListing) => {
    await budget.acquire(signal, isListing);
    await limit(signal);
  },
});

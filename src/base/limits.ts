import { BusyError } from './errors.ts';
import { ReaderMemory } from './memory.ts';

export const streamKinds = ['feed', 'page', 'export'] as const;
type StreamKind = (typeof streamKinds)[number];

export interface StreamPlace {
  /** The body is cut when its reader has taken nothing for this long. */
  readonly stallTimeoutMs: number;
  /** To be called then. */
  stalled(): void;
  /** Can be called again. */
  leave(): void;
}

export interface StreamObserver {
  refused(kind: StreamKind): void;
  stalled(kind: StreamKind): void;
}

export interface StreamLimits {
  /** To be called before the head of an answer. Waits shortly for a place. Rejects with BusyError, or the signal's reason. */
  enter(kind: StreamKind, signal: AbortSignal): Promise<StreamPlace>;
  readonly memory: ReaderMemory;
  readonly stallTimeoutMs: number;
  stalled(): void;
  /** Resolves when no page is wanted or sent, or after a moment: people wait for pages, and exports stand back. */
  afterPages(): Promise<void>;
  load(): Readonly<Record<StreamKind, { readonly open: number; readonly waiting: number }>>;
}

/** `ReaderMemory` keeps memory for as many. */
const MAX_FEED_STREAMS = 64;
/** A page has up to 500 events, in memory until it is sent. */
const MAX_PAGES = 24;
/** An export reads as fast as it can. */
const MAX_EXPORTS = 2;
/** Limit for each piece: an export still ends if pages are asked for all the time. */
const MAX_STANDING_BACK_MS = 250;

const limitOf = (
  options: { readonly places: number; readonly waiting: number; readonly waitMs: number },
  retryAfterSeconds: number,
  words: string,
): ConcurrencyLimit =>
  new ConcurrencyLimit({
    maxRunning: options.places,
    maxWaiting: options.waiting,
    maxWaitMs: options.waitMs,
    busy: (running, waiting) =>
      new BusyError(`busy: ${running} ${words}${waiting === 0 ? '' : `, ${waiting} more wait`}`, retryAfterSeconds),
  });

/** One for all routes of a process. */
export const createStreamLimits = (stallTimeoutMs: number, observer: StreamObserver): StreamLimits => {
  const limits: Record<StreamKind, ConcurrencyLimit> = {
    feed: limitOf({ places: MAX_FEED_STREAMS, waiting: 1_000, waitMs: 5_000 }, 10, 'readers of the feed are served'),
    page: limitOf({ places: MAX_PAGES, waiting: 200, waitMs: 10_000 }, 5, 'searches are running'),
    export: limitOf({ places: MAX_EXPORTS, waiting: 4, waitMs: 10_000 }, 30, 'exports are running'),
  };
  const pages = createTurnstile(MAX_STANDING_BACK_MS);
  const loadOf = (kind: StreamKind) => ({ open: limits[kind].running, waiting: limits[kind].waiting });
  return {
    enter: async (kind, signal) => {
      const passed = kind === 'page' ? pages.enter() : () => {};
      try {
        const left = await limits[kind].acquire(signal);
        const leave = () => {
          passed();
          left();
        };
        return { stallTimeoutMs, stalled: () => observer.stalled(kind), leave };
      } catch (error) {
        passed();
        if (error instanceof BusyError) observer.refused(kind);
        throw error;
      }
    },
    memory: new ReaderMemory({ streams: MAX_FEED_STREAMS }),
    stallTimeoutMs,
    stalled: () => observer.stalled('page'),
    afterPages: pages.empty,
    load: () => ({ feed: loadOf('feed'), page: loadOf('page'), export: loadOf('export') }),
  };
};

export type StreamLoad = Readonly<{ streams: ReturnType<StreamLimits['load']>; memoryBytes: number }>;

/** Counts who is inside, so that others can wait until it is empty. */
const createTurnstile = (maxWaitMs: number) => {
  const inside = new Set<symbol>();
  const waiting = new Set<() => void>();
  return {
    /** Returns a function that leaves; it can be called again. */
    enter: (): (() => void) => {
      const one = Symbol();
      inside.add(one);
      return () => {
        inside.delete(one);
        if (inside.size === 0) for (const goOn of waiting) goOn();
      };
    },
    empty: (): Promise<void> => {
      if (inside.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const goOn = () => {
          clearTimeout(timer);
          waiting.delete(goOn);
          resolve();
        };
        const timer = setTimeout(goOn, maxWaitMs);
        waiting.add(goOn);
      });
    },
  };
};

interface ConcurrencyLimitOptions {
  readonly maxRunning: number;
  /** More are refused at once. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  readonly busy: (running: number, waiting: number) => BusyError;
}

/** First come, first served; some wait for a while, the rest are refused. */
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

  get refused(): number {
    return this.#refused;
  }

  /** Resolves with a function that gives the place back. Rejects with `busy` after `maxWaitMs` or if too many wait, or on abort. */
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

  /** From hand to hand: a later request cannot overtake a waiting one. */
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

/** Calls while a reading is under way share the next one: each gets a reading begun after its call, and only one runs at a time. */
export const coalesced = <T>(read: () => Promise<T>): (() => Promise<T>) => {
  let underWay: Promise<unknown> | undefined;
  let next: Promise<T> | undefined;
  const start = (): Promise<T> => {
    next = undefined;
    const reading = read();
    const over = () => {
      underWay = undefined;
    };
    underWay = reading.then(over, over);
    return reading;
  };
  return () => {
    if (underWay === undefined && next === undefined) return start();
    next ??= (underWay ?? Promise.resolve()).then(start);
    return next;
  };
};

/** One query at a time; its answer serves all requests for a while, whatever their arguments. */
export const keptFor = <Args extends readonly unknown[], T>(
  keepMs: number,
  read: (...args: Args) => Promise<T>,
): ((...args: Args) => Promise<T>) => {
  let kept: { readonly answer: Promise<T>; readonly untilMs: number } | undefined;
  return (...args) => {
    if (kept !== undefined && performance.now() < kept.untilMs) return kept.answer;
    const answer = read(...args);
    const mine = { answer, untilMs: Number.POSITIVE_INFINITY };
    kept = mine;
    answer.then(
      () => {
        if (kept === mine) kept = { answer, untilMs: performance.now() + keepMs };
      },
      () => {
        if (kept === mine) kept = undefined;
      },
    );
    return answer;
  };
};

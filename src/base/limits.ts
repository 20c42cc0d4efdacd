import { BusyError } from './errors.ts';
import { ReaderMemory } from './memory.ts';

/** What is sent as a stream: events of the feed, a page of search, an export of all events of a search. */
export const streamKinds = ['feed', 'page', 'export'] as const;
type StreamKind = (typeof streamKinds)[number];

/** Permission to send one body. */
export interface StreamPlace {
  /** How long the reader may take nothing before the body is cut. */
  readonly stallTimeoutMs: number;
  /** To be called when that has happened. */
  stalled(): void;
  /** Gives the place to the next one; again, does nothing. */
  leave(): void;
}

/** Receives what happens to streams. Implemented by the metrics. */
export interface StreamObserver {
  refused(kind: StreamKind): void;
  stalled(kind: StreamKind): void;
}

export interface StreamLimits {
  /**
   * To be called before the head of an answer is written. Waits shortly if all places of the kind are taken. Rejects with BusyError;
   * with the signal's reason on abort.
   */
  enter(kind: StreamKind, signal: AbortSignal): Promise<StreamPlace>;
  /** What all readers share. */
  readonly memory: ReaderMemory;
  /** How long any reader may take nothing. */
  readonly stallTimeoutMs: number;
  /** To be called when the reader of an answer that is no stream has taken nothing for so long. */
  stalled(): void;
  /** Resolves when no page is wanted or sent, at the latest after a moment: people wait for pages, and exports stand back. */
  afterPages(): Promise<void>;
  /** How many of each kind are sent, and how many wait to be. */
  load(): Readonly<Record<StreamKind, { readonly open: number; readonly waiting: number }>>;
}

/** How many readers of the feed there are at once: `ReaderMemory` keeps memory for as many. */
const MAX_FEED_STREAMS = 64;
/** A page has up to 500 events, which are in memory until it has left. */
const MAX_PAGES = 24;
/** An export reads as fast as it can. */
const MAX_EXPORTS = 2;
/** So long each piece of an export stands back for pages: an export still ends if pages are asked for all the time. */
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

/** What a scrape sees of the streams of this process. */
export interface StreamLoad {
  readonly streams: ReturnType<StreamLimits['load']>;
  /** Memory that is lent to readers. */
  readonly memoryBytes: number;
}

/** Counts who is inside, so that others can wait until it is empty, so long at most. */
const createTurnstile = (maxWaitMs: number) => {
  const inside = new Set<symbol>();
  const waiting = new Set<() => void>();
  return {
    /** Gives what leaves again; calling that twice does nothing more. */
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

/**
 * A reading that many ask for at once. Calls that come while one is under way share the next one: each gets a reading that
 * began after its call, and however many there are, no more than one is under way.
 */
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

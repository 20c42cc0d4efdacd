import { BusyError } from '../errors.ts';
import { ConcurrencyLimit } from './concurrency-limit.ts';
import { ReaderMemory } from './reader-memory.ts';

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

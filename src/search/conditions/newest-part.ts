import { parseInstantMs } from '../../time/instant.ts';
import type { EventQuery } from './event-query.ts';
import type { TimeSlice } from './search-conditions.sql.ts';

const DAY_MS = 86_400_000;
/** A shorter time is read at once. */
const LEAST_TIME_MS = 2 * DAY_MS;
const FIRST_SHARE = 16;
const FIRST_MOST_MS = 7 * DAY_MS;
/** What came before may have fewer events. */
const MARGIN = 1.25;
const LEAST_GROWTH = 2;
/** Of the time: then all of it takes little longer. */
const NEARLY_WHOLE = 0.6;

/** Of the time that is left, for the first part: if it takes longer, a shorter one is read. */
const FIRST_TIME = 0.6;
const SHRINK = 8;
const LEAST_STATEMENT_MS = 20;

const whole: TimeSlice = { low: undefined, high: undefined };

export interface NewestOptions {
  /** So many of the newest events are enough. */
  readonly wanted: number;
  readonly nowMs: number;
  readonly remainingMs: () => number;
}

/**
 * Reads the newest events of a search without all that are older: PostgreSQL would order every event that matches. It reads the end of the time
 * first, and a longer part only if that had too few. `read` resolves with undefined if its time was over; `foundIn`: how many events an answer
 * has. Resolves with the answer of the longest part that was read, which has all events from its beginning on; undefined if there was no
 * time for any. `isWhole`: it is of all of the time.
 */
export const readNewest = async <T>(
  query: EventQuery,
  { wanted, nowMs, remainingMs }: NewestOptions,
  read: (slice: TimeSlice, timeoutMs: number) => Promise<T | undefined>,
  foundIn: (answer: T) => number,
): Promise<{ readonly answer: T; readonly isWhole: boolean } | undefined> => {
  const { since, before } = query;
  const beforeMs = Math.min(nowMs, (before === undefined ? undefined : parseInstantMs(before)) ?? nowMs);
  // Of one that has not begun, or ends before 1970, nothing.
  const timeMs = Math.max(0, beforeMs - ((since === undefined ? undefined : parseInstantMs(since)) ?? 0));
  let spanMs = timeMs < LEAST_TIME_MS ? timeMs : Math.min(FIRST_MOST_MS, timeMs / FIRST_SHARE);
  let last: { readonly answer: T; readonly isWhole: boolean } | undefined;
  for (;;) {
    const leftMs = remainingMs();
    if (leftMs < LEAST_STATEMENT_MS) return last;
    const isWhole = spanMs >= NEARLY_WHOLE * timeMs;
    const slice = isWhole ? whole : { low: new Date(beforeMs - spanMs).toISOString(), high: undefined };
    const answer = await read(slice, last === undefined ? FIRST_TIME * leftMs : leftMs);
    if (answer === undefined) {
      if (last !== undefined) return last;
      spanMs /= SHRINK;
      continue;
    }
    last = { answer, isWhole };
    const found = foundIn(answer);
    if (isWhole || found >= wanted) return last;
    const growth = Math.max(LEAST_GROWTH, (MARGIN * wanted) / Math.max(1, found));
    const [restMs, tookMs] = [remainingMs(), Math.max(1, leftMs - remainingMs())];
    // What would not end in time is not begun.
    if (restMs < LEAST_GROWTH * tookMs) return last;
    spanMs *= Math.min(growth, restMs / tookMs);
  }
};

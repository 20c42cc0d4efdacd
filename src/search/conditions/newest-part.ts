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

const whole: TimeSlice = { low: undefined, high: undefined };

/**
 * Reads the newest `wanted` events of a search without all that are older: PostgreSQL would order every event that matches. It reads the end of
 * the time first, and a longer part only if that had too few. Resolves with the last answer, which has the newest `wanted` events or is of all.
 * `foundIn`: how many events an answer has.
 */
export const readNewest = async <T>(
  query: EventQuery,
  { wanted, nowMs }: { readonly wanted: number; readonly nowMs: number },
  read: (slice: TimeSlice) => Promise<T>,
  foundIn: (answer: T) => number,
): Promise<T> => {
  const { since, before } = query;
  const beforeMs = Math.min(nowMs, (before === undefined ? undefined : parseInstantMs(before)) ?? nowMs);
  const timeMs = beforeMs - ((since === undefined ? undefined : parseInstantMs(since)) ?? 0);
  let spanMs = timeMs < LEAST_TIME_MS ? timeMs : Math.min(FIRST_MOST_MS, timeMs / FIRST_SHARE);
  while (spanMs < NEARLY_WHOLE * timeMs) {
    const answer = await read({ low: new Date(beforeMs - spanMs).toISOString(), high: undefined });
    const found = foundIn(answer);
    if (found >= wanted) return answer;
    spanMs *= Math.max(LEAST_GROWTH, (MARGIN * wanted) / Math.max(1, found));
  }
  return await read(whole);
};

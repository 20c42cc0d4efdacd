import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../errors.ts';
import { isTimeout, readOnly } from '../postgres/read-only.ts';
import { isDataFault } from '../postgres/sql-state.ts';
import { parseInstantMs } from '../time/instant.ts';
import type { EventQuery } from './conditions/event-query.ts';
import { conditionsOf, type TimeSlice } from './conditions/search-conditions.sql.ts';
import { withSpellings } from './conditions/spellings.sql.ts';
import { type FoundRow, foundColumns, toFoundEvent } from './found-event.sql.ts';
import type { FoundEvent, SearchPage } from './found-event.ts';
import type { SearchCursor } from './search-cursor.ts';

export interface SearchTimeLimit {
  /** Of the first attempt, which looks at the whole time at once; 0: there is none. */
  readonly firstMs: number;
  /** Of all statements together. */
  readonly totalMs: number;
}

export interface AskedPage {
  readonly cursor: SearchCursor | undefined;
  readonly limit: number;
  /** When it aborts, the statement is cancelled. */
  readonly signal?: AbortSignal | undefined;
}

const TOO_SLOW =
  'the search takes too long, even in small pieces: the database is busy, or many events share one moment; try again or search less time';
const FIRST_SPAN_MS = 3_600_000;
const GROWTH = 4;
const SHRINK = 16;
const LEAST_STATEMENT_MS = 10;
/** Nothing is older but what has no time, or a wrong one: looked at in one go. */
const FIRST_YEAR_MS = Date.UTC(2009, 0, 1);

/**
 * A page of the events that meet a search, in the order (time, position), newest first. First all of the time is asked at once, which
 * an index answers in a moment. If that takes too long (a text that no index has), the time is looked through piece by
 * piece from the cursor on, within the time limit: then `reached` says how far. Throws SearchError `timeout` if not even
 * one piece could be looked at, and `refused` for values that PostgreSQL does not take. `clockMs` is what `totalMs` is
 * measured by.
 */
export const searchEvents = async (
  pool: Pool,
  query: EventQuery,
  page: AskedPage,
  timeLimit: SearchTimeLimit,
  clockMs: () => number = () => performance.now(),
): Promise<SearchPage> => {
  const deadlineMs = clockMs() + timeLimit.totalMs;
  const spelled = await withSpellings(pool, query, Math.max(1, Math.round(timeLimit.totalMs))).catch(explained);
  const ask = (slice: TimeSlice, limit: number, timeoutMs: number) =>
    readSlice(pool, spelled, { ...page, limit }, slice, timeoutMs);
  const firstMs = Math.round(timeLimit.firstMs);
  // A limit of 0 ms would be none to PostgreSQL.
  const rows = firstMs > 0 ? await ask({ low: undefined, high: undefined }, page.limit + 1, firstMs) : undefined;
  if (rows !== undefined) return toPage(rows, page, undefined);
  const found: FoundEvent[] = [];
  let slice = firstSlice(query, page.cursor, Date.now());
  let spanMs = FIRST_SPAN_MS;
  let reached: SearchCursor | undefined;
  for (;;) {
    const startedMs = clockMs();
    const remainingMs = Math.floor(deadlineMs - startedMs);
    if (remainingMs < LEAST_STATEMENT_MS) break;
    const some = await ask(slice.bounds(spanMs), page.limit + 1 - found.length, remainingMs);
    if (some === undefined) {
      spanMs = Math.max(1, spanMs / SHRINK);
      continue;
    }
    found.push(...some);
    const next = slice.next(spanMs);
    if (next === undefined || found.length > page.limit) return toPage(found, page, undefined);
    reached = next.from;
    slice = next;
    if (clockMs() - startedMs < timeLimit.totalMs / 8) spanMs *= GROWTH;
  }
  if (reached === undefined) throw new SearchError('timeout', TOO_SLOW);
  return toPage(found, page, reached);
};

const toPage = (
  rows: readonly FoundEvent[],
  { cursor, limit }: AskedPage,
  reached: SearchCursor | undefined,
): SearchPage => {
  const shown = rows.slice(0, limit);
  if (cursor?.direction === 'newer') shown.reverse();
  return { events: shown, more: rows.length > limit || reached !== undefined, reached };
};

/** In the direction of the cursor; undefined if the time was over. */
const readSlice = async (
  pool: Pool,
  query: EventQuery,
  { cursor, limit, signal }: AskedPage,
  slice: TimeSlice,
  timeoutMs: number,
): Promise<FoundEvent[] | undefined> => {
  const { sql, values } = conditionsOf(query, cursor, slice);
  const order = cursor?.direction === 'newer' ? 'asc' : 'desc';
  const statement = `select ${foundColumns}
    from (select * from audit_events where ${sql}
      order by action_time ${order}, position ${order} limit $${values.length + 1}) as e
    left join organizations o on o.id = e.organization_id
    order by e.action_time ${order}, e.position ${order}`;
  try {
    const read = (client: PoolClient) => client.query<FoundRow>(statement, [...values, limit]);
    const { rows } = await readOnly(pool, timeoutMs, read, signal);
    return rows.map(toFoundEvent);
  } catch (error) {
    if (isTimeout(error)) return undefined;
    return explained(error);
  }
};

/** Throws what a search says of an error of its statement. */
export const explained = (error: unknown): never => {
  if (isTimeout(error)) throw new SearchError('timeout', TOO_SLOW, { cause: error });
  if (isDataFault(error)) {
    throw new SearchError('refused', 'PostgreSQL does not take a value of this search', { cause: error });
  }
  throw error;
};

/** The piece of the time that comes next, so many milliseconds long, and what comes after it. */
interface Slice {
  /** All that comes before, in the direction of the search, has been looked at. */
  readonly from: SearchCursor | undefined;
  bounds(spanMs: number): TimeSlice;
  next(spanMs: number): Slice | undefined;
}

const firstSlice = (query: EventQuery, cursor: SearchCursor | undefined, nowMs: number): Slice => {
  const cursorMs = cursor && sortTimeMs(cursor.time);
  const lowMs = query.since === undefined ? Number.NEGATIVE_INFINITY : (parseInstantMs(query.since) ?? FIRST_YEAR_MS);
  const highMs = query.before === undefined ? nowMs : Math.min(nowMs, parseInstantMs(query.before) ?? nowMs);
  if (cursor?.direction === 'newer') return newerSlice(undefined, Math.max(cursorMs ?? lowMs, FIRST_YEAR_MS), highMs);
  return olderSlice(undefined, Math.min(cursorMs ?? highMs, highMs), lowMs);
};

/** The first piece has no bound on the side where the search begins: the search itself has one, or none. */
const olderSlice = (from: SearchCursor | undefined, highMs: number, lowMs: number): Slice => {
  const lowOf = (spanMs: number): number => {
    const low = Math.floor(highMs - spanMs);
    return low <= Math.max(lowMs, FIRST_YEAR_MS) ? Number.NEGATIVE_INFINITY : low;
  };
  return {
    from,
    bounds: (spanMs) => ({ low: isoOf(lowOf(spanMs)), high: from && isoOf(highMs) }),
    next: (spanMs) => {
      const low = lowOf(spanMs);
      return Number.isFinite(low) ? olderSlice(cursorAt('older', low), low, lowMs) : undefined;
    },
  };
};

const newerSlice = (from: SearchCursor | undefined, lowMs: number, highMs: number): Slice => {
  const highOf = (spanMs: number): number => {
    const high = Math.ceil(lowMs + spanMs);
    return high >= highMs ? Number.POSITIVE_INFINITY : high;
  };
  return {
    from,
    bounds: (spanMs) => ({ low: from && isoOf(lowMs), high: isoOf(highOf(spanMs)) }),
    next: (spanMs) => {
      const high = highOf(spanMs);
      return Number.isFinite(high) ? newerSlice(cursorAt('newer', high), high, highMs) : undefined;
    },
  };
};

const isoOf = (ms: number): string | undefined => (Number.isFinite(ms) ? new Date(ms).toISOString() : undefined);

/** Positions begin with 1: at 0, nothing of that time itself has been looked at in the direction newer, and all of it in the other. */
const cursorAt = (direction: SearchCursor['direction'], ms: number): SearchCursor => ({
  direction,
  time: `${new Date(ms).toISOString().replace('T', ' ').slice(0, -1)}+00`,
  position: 0,
});

const sortTimeMs = (time: string): number => {
  if (time === '-infinity') return Number.NEGATIVE_INFINITY;
  // A year of five digits is later than any piece, one before Christ earlier.
  if (/^\d{5}/.test(time)) return Number.POSITIVE_INFINITY;
  return parseInstantMs(time.replace('+00', 'Z')) ?? FIRST_YEAR_MS;
};

import type { Pool } from 'pg';
import { parseInstantMs } from '../../base/time.ts';
import { isFirstCopy } from '../../feed/feed.ts';
import { isTimeout, readOnly } from '../../postgres/queries.ts';
import {
  type Enumeration,
  type EventQuery,
  enumerations,
  folded,
  type SpelledColumn,
  spellingKey,
} from '../query/event-query.ts';
import type { SearchCursor } from '../query/search.ts';
import { isOpenAtFront, prefixOf } from '../query/terms.ts';
import { plainConditions } from './filter-conditions.sql.ts';

/** The search that all events meet. */
export const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };

/** Low inclusive, high exclusive; RFC 3339. Bounded where the search begins only if the whole slice lies behind the cursor. */
export interface TimeSlice {
  readonly low: string | undefined;
  readonly high: string | undefined;
}

/** Other positions were never given out. In this form no index is asked for it, and PostgreSQL expects most rows to meet it. */
const GIVEN_OUT = '(position < 1) is not true and (position > (select h.position from feed_head h)) is not true';

/** Conditions on `audit_events`; all input goes into the values of parameters, from $1 on. */
export const conditionsOf = (query: EventQuery, cursor: SearchCursor | undefined, slice: TimeSlice) => {
  const values: unknown[] = [];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const { untilPosition } = query;
  const parts = [...timeConditions(query, cursor, slice, parameter), GIVEN_OUT];
  const wanted = plainConditions(query, { parameter, spellings: query.spellings }).map(({ sql }) => sql);
  if (untilPosition !== undefined) wanted.push(`position <= ${parameter(untilPosition)}::bigint`);
  parts.push(...wanted);
  if (query.copies === 'first') parts.push(isFirstMatch(wanted));
  return { sql: parts.join(' and '), values };
};

/** SQL: no copy of a row of `audit_events` meets the same conditions at a lower position. A bare column in it is that of the copy. */
export const isFirstMatch = (wanted: readonly string[]): string =>
  `(${isFirstCopy('audit_events', () => `(${['true', ...wanted].join(' and ')})`)})`;

/**
 * No index may be asked for what is below a pair (action_time, position) and below an earlier time as well: PostgreSQL 17 can forget the time,
 * and give out the events between the two, if it goes forwards through an index (as for a bitmap), at a page whose last entry has the time of
 * the pair and a position that is not below.
 */
const timeConditions = (
  { since, before }: EventQuery,
  cursor: SearchCursor | undefined,
  slice: TimeSlice,
  parameter: (value: unknown) => string,
): string[] => {
  const from = (time: string): string => `action_time >= ${parameter(time)}::timestamptz`;
  const below = (time: string): string => `action_time < ${parameter(time)}::timestamptz`;
  const parts = [since, slice.low].filter((low) => low !== undefined).map(from);
  if (slice.high !== undefined) parts.push(below(slice.high));
  const older = cursor?.direction === 'older';
  if (cursor === undefined || (older ? slice.high : slice.low) !== undefined) {
    return before === undefined ? parts : [...parts, below(before)];
  }
  // In this form no index is asked for it. It matters only to a cursor of another search: those of this one are below.
  if (before !== undefined) parts.push(older ? `(${below(before)}) is true` : below(before));
  const sign = older ? '<' : '>';
  const time = parameter(cursor.time);
  // It says to which partitions the comparison of rows is limited, which by itself leaves all of them in.
  parts.push(`action_time ${sign}= ${time}::timestamptz`);
  parts.push(`(action_time, position) ${sign} (${time}::timestamptz, ${parameter(cursor.position)}::bigint)`);
  return parts;
};

/**
 * With the positions of its ray id, and with all spellings of its enumerations: the one in small letters, which nearly all events have, and the
 * others that are stored. Looked up, so that the conditions stay equalities, with the indexes and statistics of the columns.
 */
export const withSpellings = async (pool: Pool, asked: EventQuery, timeoutMs: number): Promise<EventQuery> => {
  const { ray } = asked;
  const query = ray === undefined ? asked : { ...asked, rayPositions: await rayPositions(pool, ray, timeoutMs) };
  const spelled = spelledValues(query);
  if (spelled.length === 0) return query;
  const rows = await readOnly(pool, timeoutMs, (client) =>
    client.query<{ column: SpelledColumn; value: string; spellings: string[] }>(
      `select g.column, g.value, array[lower(g.value)] || array(select s.value from event_spellings s
         where s.column_name = g.column and s.folded = ${folded('g.value')} and lower(s.value) = lower(g.value)) as spellings
       from unnest($1::text[], $2::text[]) g ("column", value)`,
      [spelled.map(([column]) => column), spelled.map(([, value]) => value)],
    ),
  );
  return {
    ...query,
    spellings: new Map(rows.rows.map(({ column, value, spellings }) => [spellingKey(column, value), spellings])),
  };
};

const spelledValues = (query: EventQuery): readonly (readonly [column: SpelledColumn, value: string])[] => [
  ...(Object.keys(enumerations) as Enumeration[]).flatMap((name) => {
    const value = query[name];
    return value === undefined ? [] : [[enumerations[name], value] as const];
  }),
  ...(query.terms ?? []).flatMap(({ field, values }) => {
    const column = field === 'resource_type' ? field : enumerations[field as keyof typeof enumerations];
    const whole = values.filter((value) => prefixOf(value) === undefined && !isOpenAtFront(value));
    return column === undefined ? [] : whole.map((value) => [column, value] as const);
  }),
];

const DAY_MS = 86_400_000;
/** A shorter time is read in one go. */
const LEAST_TIME_MS = 2 * DAY_MS;
const FIRST_SHARE = 16;
const FIRST_MOST_MS = 7 * DAY_MS;
/** What came before may have fewer events. */
const MARGIN = 1.25;
const LEAST_GROWTH = 2;
/** Of the time searched: then reading all of it takes little longer. */
const NEARLY_WHOLE = 0.6;
/** Of the time left, for the first part: if it takes longer, a shorter one is read. */
const FIRST_TIME = 0.6;
const SHRINK = 8;
const LEAST_STATEMENT_MS = 20;

const whole: TimeSlice = { low: undefined, high: undefined };

/**
 * Reads the newest `wanted` events of a search without ordering every event that matches, as PostgreSQL would: the end of the time first, and a
 * longer part only if that had too few. `read` resolves with undefined if its time was over; `foundIn`: how many events an answer has. Resolves
 * with the answer of the longest part that was read, which has all events from its beginning on; undefined if there was no time for any.
 * `isWhole`: it is about all of the time.
 */
export const readNewest = async <T>(
  query: EventQuery,
  limits: { readonly wanted: number; readonly nowMs: number; readonly remainingMs: () => number },
  read: (slice: TimeSlice, timeoutMs: number) => Promise<T | undefined>,
  foundIn: (answer: T) => number,
): Promise<{ readonly answer: T; readonly isWhole: boolean } | undefined> => {
  const { wanted, nowMs, remainingMs } = limits;
  const { since, before } = query;
  const beforeMs = Math.min(nowMs, (before === undefined ? undefined : parseInstantMs(before)) ?? nowMs);
  // A time that has not begun, or that ends before 1970, has nothing.
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

/** With more events, it is found by looking through the time, newest first. */
const MAX_POSITIONS = 1_000;
const TIMEOUT_MS = 2_000;

/** The index has a filter for each MB, which says where a ray id cannot be. The planner is told to use it here alone. */
export const byFilters =
  'set local enable_seqscan = off; set local enable_indexscan = off; set local enable_indexonlyscan = off; set local max_parallel_workers_per_gather = 0';

export const rayStatement = `select position::float8 as position from audit_events where raw_cf_ray_id = $1 limit ${MAX_POSITIONS + 1}`;

/** Undefined if they are too many, or could not be looked up in time. */
export const rayPositions = async (
  pool: Pool,
  ray: string,
  timeoutMs: number,
): Promise<readonly number[] | undefined> => {
  const reading = readOnly(pool, Math.min(TIMEOUT_MS, timeoutMs), async (client) => {
    await client.query(byFilters);
    return (await client.query<{ position: number }>(rayStatement, [ray])).rows;
  });
  const rows = await reading.catch(nothingInTime);
  return rows === undefined || rows.length > MAX_POSITIONS ? undefined : rows.map(({ position }) => position);
};

/** For a statement whose time may be over: then it gives nothing. */
export const nothingInTime = (error: unknown): undefined => {
  if (!isTimeout(error)) throw error;
};

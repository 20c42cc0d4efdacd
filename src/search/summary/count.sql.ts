import type { Pool, PoolClient } from 'pg';
import { parseInstantMs } from '../../base/time.ts';
import { readOnly } from '../../postgres/queries.ts';
import { conditionsOf, nothingInTime, type TimeSlice, withSpellings } from '../conditions/search-conditions.sql.ts';
import type { EventQuery } from '../query/event-query.ts';
import { BUCKET_ORIGIN, bucketMsOf, bucketStart, type SummaryBucket, type SummaryCount } from './summary.ts';

const DAY_MS = 86_400_000;
const FIRST_MS = Date.parse(BUCKET_ORIGIN);
const FIRST_SPAN_MS = DAY_MS;
const GROWTH = 2;
const SHRINK = 8;
const LEAST_STATEMENT_MS = 20;

/** `firstMs`: for counting all at once; 0: that is not tried. `totalMs`: for all statements together. */
export interface CountLimits {
  readonly firstMs: number;
  readonly totalMs: number;
}

type Ask = (slice: TimeSlice, bucketMs: number, timeoutMs: number) => Promise<readonly CountRow[] | undefined>;

/** All of the time at once if that is quick; else piece by piece, newest first, until the time is over. `query` has its spellings. */
export const countEvents = async (
  pool: Pool,
  query: EventQuery,
  limits: CountLimits,
  nowMs: number,
  options: { readonly signal?: AbortSignal | undefined; readonly clockMs?: () => number } = {},
): Promise<SummaryCount> => {
  const { signal, clockMs = () => performance.now() } = options;
  const deadlineMs = clockMs() + limits.totalMs;
  const ask = askerOf(pool, query, nowMs, signal);
  const range = rangeOf(query, nowMs);
  const { bucketMs } = barTimesOf(query, nowMs);
  const { firstMs } = limits;
  const all = firstMs > 0 ? await ask({ low: undefined, high: undefined }, bucketMs, firstMs) : undefined;
  const { rows, countedSinceMs } =
    all === undefined
      ? await countPieces(ask, bucketMs, range, () => deadlineMs - clockMs())
      : { rows: all, countedSinceMs: null };
  if (countedSinceMs === null)
    return await wholeCount(rows, range, bucketMs, (finerMs) => askAll(ask, finerMs, deadlineMs - clockMs()));
  const shown = range.sinceMs === undefined ? bucketMsOf(countedSinceMs, range.beforeMs) : bucketMs;
  return countOf(rows, Math.max(shown, bucketMs), range, countedSinceMs);
};

export const barTimesOf = (query: EventQuery, nowMs: number): BarTimes => {
  const { sinceMs, beforeMs } = rangeOf(query, nowMs);
  return { bucketMs: sinceMs === undefined ? DAY_MS : bucketMsOf(sinceMs, beforeMs), nowMs };
};

/** Rows that were counted for the bars of `barTimesOf`. Asks again for shorter bars if all of history is a few weeks. */
export const countOfRows = async (
  pool: Pool,
  query: EventQuery,
  rows: readonly CountRow[],
  options: { readonly nowMs: number; readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<SummaryCount> => {
  const { nowMs, timeoutMs, signal } = options;
  const ask = askerOf(pool, query, nowMs, signal);
  const { bucketMs } = barTimesOf(query, nowMs);
  return await wholeCount(rows, rangeOf(query, nowMs), bucketMs, (finerMs) => askAll(ask, finerMs, timeoutMs));
};

const FEW = 1_000;

/** As far as 1,000. Undefined if the time was over. */
export const countFew = async (pool: Pool, asked: EventQuery, timeoutMs: number): Promise<number | undefined> => {
  const query = await withSpellings(pool, asked, timeoutMs);
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const statement = `select count(*)::integer as events from (select from audit_events where ${sql} limit ${FEW}) found`;
  const read = (client: PoolClient) => client.query<{ events: number }>(statement, values);
  return (await readOnly(pool, timeoutMs, read).catch(nothingInTime))?.rows[0]?.events;
};

const wholeCount = async (
  all: readonly CountRow[],
  range: Range,
  bucketMs: number,
  askFiner: (bucketMs: number) => Promise<readonly CountRow[] | undefined>,
): Promise<SummaryCount> => {
  const counted = countOf(all, bucketMs, range, null);
  if (range.sinceMs !== undefined) return counted;
  // All of history may be a day: days then say little.
  const fitting = fittingBucketMs(counted.buckets, range.beforeMs);
  const finer = fitting < DAY_MS ? await askFiner(fitting) : undefined;
  return countOf(finer ?? all, finer === undefined ? Math.max(fitting, DAY_MS) : fitting, range, null);
};

const askerOf =
  (pool: Pool, query: EventQuery, nowMs: number, signal: AbortSignal | undefined): Ask =>
  async (slice, bucketMs, timeoutMs) => {
    const { sql, values } = conditionsOf(query, undefined, slice);
    const given = [...values];
    const bin = binOf({ bucketMs, nowMs }, (value) => `$${given.push(value)}`);
    const statement = (isInIndexes(query) ? byIndexes : byRows)(bin, sql);
    const read = (client: PoolClient) => client.query<CountRow>(statement, given);
    return (await readOnly(pool, Math.max(1, Math.round(timeoutMs)), read, signal).catch(nothingInTime))?.rows;
  };

const askAll = async (ask: Ask, bucketMs: number, timeoutMs: number): Promise<readonly CountRow[] | undefined> =>
  timeoutMs < LEAST_STATEMENT_MS ? undefined : await ask({ low: undefined, high: undefined }, bucketMs, timeoutMs);

interface Range {
  readonly sinceMs: number | undefined;
  readonly beforeMs: number;
}

const rangeOf = (query: EventQuery, nowMs: number): Range => ({
  sinceMs: query.since === undefined ? undefined : Math.max(FIRST_MS, parseInstantMs(query.since) ?? FIRST_MS),
  beforeMs: query.before === undefined ? nowMs : Math.min(nowMs, parseInstantMs(query.before) ?? nowMs),
});

const fittingBucketMs = (buckets: readonly SummaryBucket[], beforeMs: number): number => {
  const first = buckets.find(({ success, failure, other }) => success + failure + other > 0);
  return first === undefined ? DAY_MS : bucketMsOf(first.startMs, beforeMs);
};

const countPieces = async (
  ask: Ask,
  bucketMs: number,
  { sinceMs = FIRST_MS, beforeMs }: Range,
  remainingMs: () => number,
): Promise<{ rows: readonly CountRow[]; countedSinceMs: number | null }> => {
  const rows: CountRow[] = [];
  let spanMs = FIRST_SPAN_MS;
  let high: number | undefined;
  for (;;) {
    const leftMs = Math.floor(remainingMs());
    const reached = high ?? beforeMs;
    if (leftMs < LEAST_STATEMENT_MS) return { rows, countedSinceMs: reached };
    const low = Math.floor(reached - spanMs);
    const isLast = low <= sinceMs;
    const slice = { low: isLast ? undefined : isoOf(low), high: high === undefined ? undefined : isoOf(high) };
    const some = await ask(slice, bucketMs, leftMs);
    if (some === undefined) {
      spanMs /= SHRINK;
      continue;
    }
    rows.push(...some);
    if (isLast) return { rows, countedSinceMs: null };
    high = low;
    spanMs *= GROWTH;
  }
};

const isoOf = (ms: number): string => new Date(ms).toISOString();

/** In buckets of the length of the rows', or of a multiple. */
const countOf = (
  rows: readonly CountRow[],
  askedBucketMs: number,
  range: Range,
  countedSinceMs: number | null,
): SummaryCount => {
  // Events up to a day behind the end may need longer bars than the time searched.
  const latest = rows.reduce((last, { start }) => Math.max(last, start ?? 0), range.beforeMs - 1);
  const sinceMs = range.sinceMs ?? latest;
  const bucketMs = Math.max(askedBucketMs, bucketMsOf(Math.min(sinceMs, latest), latest + 1));
  const byStart = new Map<number, { success: number; failure: number; other: number }>();
  let [events, untimed] = [0, 0];
  for (const { start, result, events: some } of rows) {
    events += some;
    if (start === null) {
      untimed += some;
      continue;
    }
    const startMs = bucketStart(start, bucketMs);
    const bucket = byStart.get(startMs) ?? { success: 0, failure: 0, other: 0 };
    bucket[result] += some;
    byStart.set(startMs, bucket);
  }
  const starts = [...byStart.keys()];
  const first = range.sinceMs ?? (starts.length === 0 ? undefined : Math.min(...starts));
  const buckets: SummaryBucket[] = [];
  if (first !== undefined) {
    const lastMs = Math.max(bucketStart(range.beforeMs - 1, bucketMs), ...starts);
    for (let startMs = bucketStart(first, bucketMs); startMs <= lastMs; startMs += bucketMs) {
      buckets.push({ startMs, ...(byStart.get(startMs) ?? { success: 0, failure: 0, other: 0 }) });
    }
  }
  return { events, isAtLeast: countedSinceMs !== null, countedSinceMs, untimed, bucketMs, buckets };
};

/** Several rows of one `start` and `result` add up. */
export interface CountRow {
  /** Epoch milliseconds; null: no time, or one outside the histogram. */
  readonly start: number | null;
  readonly result: 'success' | 'failure' | 'other';
  readonly events: number;
}

export interface BarTimes {
  readonly bucketMs: number;
  /** A time more than a day later is in no bar. */
  readonly nowMs: number;
}

/** The start of a bar, or null. `parameter` adds a value and gives its name. */
export const binOf = ({ bucketMs, nowMs }: BarTimes, parameter: (value: unknown) => string): string => {
  const [length, now] = [parameter(bucketMs), parameter(new Date(nowMs).toISOString())];
  const isTimed = `action_time >= '${BUCKET_ORIGIN}' and action_time < ${now}::timestamptz + interval '1 day'`;
  return `case when ${isTimed} then date_bin(make_interval(secs => ${length}::float8 / 1000), action_time, '${BUCKET_ORIGIN}') end`;
};

/** Whatever the case of letters; anything else is one. */
export const resultOf = (value: string): string =>
  `case when lower(${value}) in ('success', 'failure') then lower(${value}) else 'other' end`;
export const resultName = resultOf('action_result');

/** PostgreSQL sees that the index of failures has them (drizzle/schema/search.sql). */
export const hasOtherResult = `(action_result <> 'success' or action_result is null) and action_result is distinct from 'failure'`;

/** What is counted of a search for nothing but a time and an organization is in indexes. */
export const isInIndexes = ({ since, before, organization, defects, changed, ...others }: EventQuery): boolean =>
  !defects && !changed && Object.values(others).every((value) => value === undefined);

/** `bin`: the start of the bar that a row's time is in. */
const byRows = (bin: string, condition: string): string => `
  select ${milliseconds('bin')} as start, result, events::float8 as events from (
    select ${bin} as bin, ${resultName} as result, count(*) as events from audit_events where ${condition} group by 1, 2) counted`;

/**
 * By three indexes, and by rows only as far as PostgreSQL does not know yet that all may see them: all rows as successes, and for each row in the
 * indexes of other results one success less.
 */
export const byIndexes = (bin: string, condition: string): string => `
  with every as (select ${bin} as bin, count(*) as events from audit_events where ${condition} group by 1),
  other as (
    select ${bin} as bin, 'failure' as result, count(*) as events from audit_events
      where ${condition} and action_result = 'failure' group by 1
    union all select ${bin}, ${resultName}, count(*) from audit_events where ${condition} and ${hasOtherResult} group by 1, 2),
  counted as (
    select bin, 'success' as result, events from every
    union all select bin, result, events from other
    union all select bin, 'success', -events from other)
  select ${milliseconds('bin')} as start, result, events::float8 as events from counted`;

/** For a group: for each row, it would take longer than all the rest. */
export const milliseconds = (time: string): string => `(extract(epoch from ${time}) * 1000)::float8`;

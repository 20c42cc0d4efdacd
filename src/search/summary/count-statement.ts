import type { EventQuery } from '../conditions/event-query.ts';
import { BUCKET_ORIGIN } from './buckets.ts';

/** Of all events with one `start` and `result`; there may be several rows of both, which add up. */
export interface CountRow {
  /** Epoch milliseconds; null: no time, or one outside the histogram. */
  readonly start: number | null;
  readonly result: 'success' | 'failure' | 'other';
  readonly events: number;
}

/** What decides which bar of a histogram a time is in. */
export interface BarTimes {
  readonly bucketMs: number;
  /** What is more than a day later than this is in no bar. */
  readonly nowMs: number;
}

/** The start of the bar that a row's time is in, or null. `parameter` adds a value and gives its name. */
export const binOf = ({ bucketMs, nowMs }: BarTimes, parameter: (value: unknown) => string): string => {
  const [length, now] = [parameter(bucketMs), parameter(new Date(nowMs).toISOString())];
  const isTimed = `action_time >= '${BUCKET_ORIGIN}' and action_time < ${now}::timestamptz + interval '1 day'`;
  return `case when ${isTimed} then date_bin(make_interval(secs => ${length}::float8 / 1000), action_time, '${BUCKET_ORIGIN}') end`;
};

/** Whatever the case of letters, and all else as one. */
export const resultOf = (value: string): string =>
  `case when lower(${value}) in ('success', 'failure') then lower(${value}) else 'other' end`;
export const resultName = resultOf('action_result');

/** As the index of drizzle/0060 has it. */
export const hasOtherResult = `action_result is distinct from 'success' and action_result is distinct from 'failure'`;

/** True of a search for nothing but a time and an organization: what is counted of it is in indexes. */
export const isInIndexes = ({ since, before, organization, defects, changed, ...others }: EventQuery): boolean =>
  !defects && !changed && Object.values(others).every((value) => value === undefined);

/** How many of the rows that meet a condition have which `start` and `result`. `bin`: the start of its bar, by a row's time. */
export const byRows = (bin: string, condition: string): string => `
  select ${milliseconds('bin')} as start, result, events::float8 as events from (
    select ${bin} as bin, ${resultName} as result, count(*) as events from audit_events where ${condition} group by 1, 2) counted`;

/**
 * The same by three indexes, and by rows only as far as PostgreSQL does not know yet that all may see them: all of them as successes, and
 * for what is in the indexes of other results one success less. There may be several rows of a start and result; they add up.
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

/** Of a group: of each row, it would take longer than all the rest. */
export const milliseconds = (time: string): string => `(extract(epoch from ${time}) * 1000)::float8`;

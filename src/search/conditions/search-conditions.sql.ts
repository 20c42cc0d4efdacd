import { isFirstCopy } from '../../feed/copies.ts';
import type { SearchCursor } from '../search-cursor.ts';
import { termCondition } from '../terms/term-conditions.sql.ts';
import type { EventQuery } from './event-query.ts';
import { filterConditions } from './filter-conditions.sql.ts';

/** The search that all events meet. */
export const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };

/**
 * A part of the time, for a statement that looks through no more than that: RFC 3339, low inclusive, high exclusive. The side at which the
 * search begins has a bound only if all of the part lies behind the cursor, so that the cursor adds nothing.
 */
export interface TimeSlice {
  readonly low: string | undefined;
  readonly high: string | undefined;
}

/**
 * Other positions were never given out: no verification and no reader of the feed meets them. In this form no index is asked for it, and
 * PostgreSQL expects most rows to meet it.
 */
const GIVEN_OUT = '(position < 1) is not true and (position > (select h.position from feed_head h)) is not true';

/** Conditions on `audit_events`, and the values of their parameters from $1 on. All input goes into values. */
export interface Conditions {
  readonly sql: string;
  readonly values: readonly unknown[];
}

export const conditionsOf = (query: EventQuery, cursor: SearchCursor | undefined, slice: TimeSlice): Conditions => {
  const values: unknown[] = [];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const { untilPosition } = query;
  const parts = [...timeConditions(query, cursor, slice, parameter), GIVEN_OUT];
  const wanted = filterConditions(query, parameter).map(({ sql }) => sql);
  wanted.push(...(query.terms ?? []).map((term) => termCondition(term, parameter)));
  if (untilPosition !== undefined) wanted.push(`position <= ${parameter(untilPosition)}::bigint`);
  parts.push(...wanted);
  if (query.copies === 'first') parts.push(isFirstMatch(wanted));
  return { sql: parts.join(' and '), values };
};

/** SQL: no copy of a row of `audit_events`, which has its time, meets the same conditions at a lower position. In it, a bare column is that of the copy. */
export const isFirstMatch = (wanted: readonly string[]): string =>
  `(${isFirstCopy('audit_events', () => `(${['true', ...wanted].join(' and ')})`)})`;

/**
 * No index may be asked for what is below a pair (action_time, position) and below an earlier time as well. PostgreSQL 17 can forget the
 * time, and gives out the events between the two: if it goes forwards through an index (for a bitmap, say), at a page whose last entry has
 * the time of the pair and a position that is not below.
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
  // In this form no index is asked for it. It only matters to a cursor of another search: those of this one are below.
  if (before !== undefined) parts.push(older ? `(${below(before)}) is true` : below(before));
  const sign = older ? '<' : '>';
  const time = parameter(cursor.time);
  // The first says to which partitions the second is limited: a comparison of rows alone leaves all of them in.
  parts.push(`action_time ${sign}= ${time}::timestamptz`);
  parts.push(`(action_time, position) ${sign} (${time}::timestamptz, ${parameter(cursor.position)}::bigint)`);
  return parts;
};

/*
 * Ranges of time of coverage statements: [from, to), RFC 3339 in UTC. They are compared as text, with six digits of a second, in which
 * the years 0 to 9999 sort as their times.
 */

/** [from, to). */
export type TimeRange = readonly [from: string, to: string];

/** What of [from, to) is not within the ranges, in order: the gaps of an answer. Times as RFC 3339 in UTC. */
export const gapsOf = (ranges: readonly TimeRange[], [from, to]: TimeRange): TimeRange[] => {
  const gaps: TimeRange[] = [];
  let at = sortable(from);
  const end = sortable(to);
  for (const [start, until] of united(ranges)) {
    if (start >= end) break;
    if (start > at) gaps.push([at, start]);
    if (until > at) at = until;
  }
  if (at < end) gaps.push([at, end]);
  return gaps;
};

/** Whether a range has all of another one. */
export const contains = ([from, to]: TimeRange, [start, end]: TimeRange): boolean => from <= start && end <= to;

/** In order, those that touch as one. */
export const united = (ranges: readonly TimeRange[]): TimeRange[] => {
  const all: [string, string][] = [];
  const sorted = ranges.map(([from, to]): [string, string] => [sortable(from), sortable(to)]);
  for (const [from, to] of sorted.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const last = all.at(-1);
    if (last === undefined || last[1] < from) all.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return all;
};

/** `-infinity` sorts first as it is. */
const sortable = (instant: string): string => {
  const [, seconds = instant, digits = ''] = /^(.{19})(?:\.(\d+))?Z$/.exec(instant) ?? [];
  return seconds === instant ? instant : `${seconds}.${digits.padEnd(6, '0')}Z`;
};

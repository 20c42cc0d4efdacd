import type { StatementOf } from '../journal/statement.ts';
import type { Report } from './report.ts';

type Coverage = StatementOf<'coverage'>;
/** [from, to), in text that sorts by time. */
type TimeRange = readonly [from: string, to: string];

/**
 * That what is proven of a source never shrinks from a statement to the next one with the same filter: time that was read once stays
 * read. Statements of another generation stand in another journal.
 */
export const verifyCoverage = (report: Report, statements: readonly Coverage[]): void => {
  const before = new Map<string, Map<number, readonly TimeRange[]>>();
  for (const { source_kind: kind, source_id: id, filter, passes, at } of statements) {
    const key = JSON.stringify([kind, id, filter.hash]);
    const now = new Map(passes.map(({ pass, ranges }) => [pass, united(ranges)] as const));
    for (const [pass, ranges] of before.get(key) ?? []) {
      const lost = ranges.find((range) => !(now.get(pass) ?? []).some((one) => contains(one, range)));
      if (lost === undefined) continue;
      report.fault(
        'coverage',
        `at ${at}, ${kind} ${id} is no longer covered from ${lost[0]} to ${lost[1]} by pass ${pass}`,
      );
    }
    before.set(key, now);
  }
};

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

const contains = ([from, to]: TimeRange, [start, end]: TimeRange): boolean => from <= start && end <= to;

/** In order, those that touch as one. */
const united = (ranges: readonly TimeRange[]): TimeRange[] => {
  const all: [string, string][] = [];
  const sorted = ranges.map(([from, to]): [string, string] => [sortable(from), sortable(to)]);
  for (const [from, to] of sorted.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const last = all.at(-1);
    if (last === undefined || last[1] < from) all.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return all;
};

/** With all six digits of a second, so that texts of years 0 to 9999 sort as their times; `-infinity` sorts first as it is. */
const sortable = (instant: string): string => {
  const [, seconds = instant, digits = ''] = /^(.{19})(?:\.(\d+))?Z$/.exec(instant) ?? [];
  return seconds === instant ? instant : `${seconds}.${digits.padEnd(6, '0')}Z`;
};

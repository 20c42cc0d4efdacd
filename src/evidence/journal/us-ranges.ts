import { instantText, microsecondsOf } from './instants.ts';

/*
 * Ranges of time in microseconds since 1970, [from, to), of all years that PostgreSQL has.
 */

export type RangeUs = readonly [fromUs: bigint, toUs: bigint];
/** Ranges as RFC 3339. */
export type RangeTexts = readonly (readonly [from: string | null, to: string | null])[];

/** Beyond all times. */
export const ALWAYS = 2n ** 80n;

/** Of a statement: RFC 3339, or `-infinity`. */
export const usOf = ([from, to]: readonly [string, string]): RangeUs => [
  from === '-infinity' ? -ALWAYS : (microsecondsOf(from) ?? 0n),
  microsecondsOf(to) ?? 0n,
];

const textOf = (us: bigint): string | null => (us <= -ALWAYS || us >= ALWAYS ? null : instantText(us));
/** For programs; null: without a beginning, or without end. */
export const textsOf = (ranges: readonly RangeUs[]): RangeTexts =>
  ranges.map(([from, to]) => [textOf(from), textOf(to)]);
/** For people. */
export const rangeText = ([from, to]: RangeUs): string =>
  `from ${textOf(from) ?? 'the beginning'} to ${textOf(to) ?? 'the end'}`;

/** In order, those that touch as one; empty ones are none. */
export const unitedUs = (ranges: readonly RangeUs[]): RangeUs[] => {
  const all: [bigint, bigint][] = [];
  for (const [from, to] of ranges.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const last = all.at(-1);
    if (last === undefined || from > last[1]) {
      if (from < to) all.push([from, to]);
    } else if (to > last[1]) last[1] = to;
  }
  return all;
};

/** What of a range is in none of others, which are united. */
export const gapsUs = (ranges: readonly RangeUs[], [from, to]: RangeUs): RangeUs[] => {
  const gaps: RangeUs[] = [];
  let at = from;
  for (const [start, end] of ranges) {
    if (end <= at || start >= to) continue;
    if (start > at) gaps.push([at, start]);
    at = end;
  }
  return at < to ? [...gaps, [at, to]] : gaps;
};

/** What of others, which are united, is in a range. */
export const cutTo = (ranges: readonly RangeUs[], range: RangeUs): RangeUs[] => gapsUs(gapsUs(ranges, range), range);

import { instantText, microsecondsOf } from './instants.ts';
import type { PositionRange, StatementOf } from './statement.ts';
import { MAX_STATEMENT_BYTES, writeStatement } from './statement-text.ts';

/* Microseconds since 1970, [from, to), of all years that PostgreSQL has. */

export type RangeUs = readonly [fromUs: bigint, toUs: bigint];
export type RangeTexts = readonly (readonly [from: string | null, to: string | null])[];

export const ALWAYS = 2n ** 80n;

/** From RFC 3339, or `-infinity`. */
export const usOf = ([from, to]: readonly [string, string]): RangeUs => [
  from === '-infinity' ? -ALWAYS : (microsecondsOf(from) ?? 0n),
  microsecondsOf(to) ?? 0n,
];

const textOf = (us: bigint): string | null => (us <= -ALWAYS || us >= ALWAYS ? null : instantText(us));
/** Null: open. */
export const textsOf = (ranges: readonly RangeUs[]): RangeTexts =>
  ranges.map(([from, to]) => [textOf(from), textOf(to)]);
export const rangeText = ([from, to]: RangeUs): string =>
  `from ${textOf(from) ?? 'the beginning'} to ${textOf(to) ?? 'the end'}`;

/** In order, those that touch as one. */
const unite = <T extends bigint | number | string>(ranges: readonly (readonly [T, T])[]): [T, T][] => {
  const all: [T, T][] = [];
  for (const [from, to] of ranges.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const last = all.at(-1);
    if (last === undefined || last[1] < from) all.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return all;
};

/** Empty ranges are none. */
export const unitedUs = (ranges: readonly RangeUs[]): RangeUs[] => unite(ranges.filter(([from, to]) => from < to));

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

export const cutTo = (ranges: readonly RangeUs[], range: RangeUs): RangeUs[] => gapsUs(gapsUs(ranges, range), range);

/* Compared as text with six digits of a second, in which the years 0 to 9999 sort as their times. */

export type TimeRange = readonly [from: string, to: string];

/** What of [from, to) is not within the ranges. */
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

export const contains = ([from, to]: TimeRange, [start, end]: TimeRange): boolean => from <= start && end <= to;

export const united = (ranges: readonly TimeRange[]): [from: string, to: string][] =>
  unite(ranges.map(([from, to]) => [sortable(from), sortable(to)]));

/** `-infinity` sorts first as it is. */
const sortable = (instant: string): string => {
  const [, seconds = instant, digits = ''] = /^(.{19})(?:\.(\d+))?Z$/.exec(instant) ?? [];
  return seconds === instant ? instant : `${seconds}.${digits.padEnd(6, '0')}Z`;
};

export const unitedPositions = (ranges: readonly PositionRange[]): PositionRange[] => unite<number>(ranges);

/** By binary search: there may be as many united ranges as positions. */
export const isInPositions = (ranges: readonly PositionRange[], position: number): boolean => {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.[1] ?? 0) <= position) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.[0] ?? Number.POSITIVE_INFINITY) <= position;
};

export interface PassRanges {
  readonly pass: number;
  readonly ranges: readonly TimeRange[];
}

/** In one statement, over all passes. */
const MAX_STATED_RANGES = 500;

/**
 * Claims less, never more, and never less than the statement before with the same filter: first come those that contain
 * what it claimed, then the longest. What is proven never shrinks, so of the first there are no more than it had.
 */
export const statedRanges = (
  passes: readonly PassRanges[],
  before: readonly PassRanges[],
  limit = MAX_STATED_RANGES,
): { readonly passes: { pass: number; ranges: [string, string][] }[]; readonly leftOut: number } => {
  const all = passes.flatMap(({ pass, ranges }) => united(ranges).map((range) => ({ pass, range })));
  const stated = new Map(before.map(({ pass, ranges }) => [pass, united(ranges)]));
  const kept = all
    .map(({ pass, range }) => ({
      pass,
      range,
      isStated: (stated.get(pass) ?? []).some((one) => contains(range, one)),
      lengthMs: lengthOf(range),
    }))
    .sort((one, other) => Number(other.isStated) - Number(one.isStated) || other.lengthMs - one.lengthMs)
    .slice(0, limit);
  const byPass = passes.map(({ pass }) => ({
    pass,
    ranges: united(kept.filter((one) => one.pass === pass).map(({ range }) => range)),
  }));
  return { passes: byPass, leftOut: all.length - kept.length };
};

const lengthOf = ([from, to]: TimeRange): number =>
  from === '-infinity' ? Number.POSITIVE_INFINITY : Date.parse(to) - Date.parse(from);

/** Throws a RangeError for positions that do not ascend. */
export const rangesOf = (positions: Iterable<number>): PositionRange[] => {
  const ranges: [number, number][] = [];
  let last: [number, number] | undefined;
  for (const position of positions) {
    if (last !== undefined && position < last[1]) throw new RangeError(`position ${position} after ${last[1] - 1}`);
    if (last?.[1] === position) {
      last[1] = position + 1;
    } else {
      last = [position, position + 1];
      ranges.push(last);
    }
  }
  return ranges;
};

/** Brackets, commas, and two numbers below 2⁵³. */
const MAX_RANGE_BYTES = 36;
const MAX_PART_DIGITS = 2 * 16;

/** The fewest statements that hold these ranges. */
export const dropParts = (
  drop: Omit<StatementOf<'drop'>, 'positions' | 'part' | 'parts'>,
  ranges: readonly PositionRange[],
): StatementOf<'drop'>[] => {
  const empty = writeStatement({ ...drop, positions: [], part: 1, parts: 1 });
  const room = MAX_STATEMENT_BYTES - Buffer.byteLength(empty) - MAX_PART_DIGITS;
  const most = Math.floor(room / MAX_RANGE_BYTES);
  if (most < 1) throw new RangeError('a drop leaves no room for its positions');
  const parts = Math.max(1, Math.ceil(ranges.length / most));
  return Array.from({ length: parts }, (_, index) => ({
    ...drop,
    positions: ranges.slice(index * most, (index + 1) * most).map(([from, to]): [number, number] => [from, to]),
    part: index + 1,
    parts,
  }));
};

import { contains, type TimeRange, united } from './time-ranges.ts';

/** What is proven of a source, by pass. */
export interface PassRanges {
  readonly pass: number;
  readonly ranges: readonly TimeRange[];
}

/** So many ranges go into one statement, over all passes. */
const MAX_STATED_RANGES = 500;

/**
 * The ranges that a statement has room for. They claim less, never more, and never less than the statement before with the same filter
 * did: first come those that contain what it claimed, then the longest. What is proven never shrinks, so of the first there are no more
 * than it had.
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
    ranges: united(kept.filter((one) => one.pass === pass).map(({ range }) => range)).map(
      ([from, to]): [string, string] => [from, to],
    ),
  }));
  return { passes: byPass, leftOut: all.length - kept.length };
};

const lengthOf = ([from, to]: TimeRange): number =>
  from === '-infinity' ? Number.POSITIVE_INFINITY : Date.parse(to) - Date.parse(from);

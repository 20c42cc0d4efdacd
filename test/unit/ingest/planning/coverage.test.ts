import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addRange,
  type Coverage,
  gapsIn,
  intersect,
  isEmpty,
  isWithin,
  type Range,
  toMultirange,
} from '../../../../src/ingest/planning/coverage.ts';

/** The naive model: every whole millisecond from 0 to 40 that a set of ranges holds. */
const LAST = 40;
const pointsOf = (ranges: readonly Range[]): number[] =>
  Array.from({ length: LAST + 1 }, (_, point) => point).filter((point) =>
    ranges.some((range) => range.fromMs <= point && point < range.toMs),
  );

const point = fc.integer({ min: 0, max: LAST });
/** Also empty ones, and ones the wrong way round. */
const anyRange = fc.record({ fromMs: point, toMs: point });
const coverageOf = (ranges: readonly Range[]): Coverage => ranges.reduce(addRange, [] as Coverage);
const anyRanges = fc.array(anyRange, { maxLength: 8 });

const expectWellFormed = (coverage: Coverage): void => {
  for (const [index, range] of coverage.entries()) {
    expect(isEmpty(range)).toBe(false);
    const before = coverage[index - 1];
    if (before !== undefined) expect(before.toMs).toBeLessThan(range.fromMs);
  }
};

describe('addRange', () => {
  it('holds exactly the points of all that was added, in ascending ranges that neither touch nor overlap', () => {
    fc.assert(
      fc.property(anyRanges, (ranges) => {
        const coverage = coverageOf(ranges);
        expect(pointsOf(coverage)).toEqual(pointsOf(ranges));
        expectWellFormed(coverage);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('gapsIn', () => {
  it('gives exactly the wanted points that are not covered, ascending', () => {
    fc.assert(
      fc.property(anyRange, anyRanges, (wanted, ranges) => {
        const coverage = coverageOf(ranges);
        const gaps = gapsIn(wanted, coverage);
        const covered = new Set(pointsOf(coverage));
        expect(pointsOf(gaps)).toEqual(pointsOf([wanted]).filter((each) => !covered.has(each)));
        expectWellFormed(gaps);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('intersect, isEmpty and isWithin', () => {
  it('agree with the points', () => {
    fc.assert(
      fc.property(anyRange, anyRange, (a, b) => {
        const inB = new Set(pointsOf([b]));
        expect(pointsOf([intersect(a, b)])).toEqual(pointsOf([a]).filter((each) => inB.has(each)));
        if (!isEmpty(a)) expect(isWithin(a, b)).toBe(pointsOf([a]).every((each) => inB.has(each)));
        expect(isEmpty(a)).toBe(pointsOf([a]).length === 0);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('toMultirange', () => {
  it.each<[string, readonly Range[], string]>([
    ['nothing', [], '{}'],
    [
      'only empty ranges',
      [
        { fromMs: 5, toMs: 5 },
        { fromMs: 9, toMs: 3 },
      ],
      '{}',
    ],
    ['one range', [{ fromMs: 0, toMs: 1 }], '{[1970-01-01T00:00:00.000Z,1970-01-01T00:00:00.001Z)}'],
    [
      'two ranges and an empty one',
      [
        { fromMs: Date.UTC(2025, 0, 1), toMs: Date.UTC(2025, 0, 2) },
        { fromMs: 7, toMs: 7 },
        { fromMs: Date.UTC(2026, 9, 1), toMs: Date.UTC(2026, 9, 1, 12, 30, 15, 250) },
      ],
      '{[2025-01-01T00:00:00.000Z,2025-01-02T00:00:00.000Z),[2026-10-01T00:00:00.000Z,2026-10-01T12:30:15.250Z)}',
    ],
  ])('writes %s', (_, ranges, expected) => {
    expect(toMultirange(ranges)).toBe(expected);
  });
});

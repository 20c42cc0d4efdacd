import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PassRanges, statedRanges } from '../../../../src/evidence/journal/stated-ranges.ts';
import { contains, type TimeRange, united } from '../../../../src/evidence/journal/time-ranges.ts';

const pairs = fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 9 })), { maxLength: 30 });

test('while what is proven grows, a statement claims less than that, never less than the one before, and no more ranges than the limit', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(pairs, pairs), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      (rounds, limit) => {
        let proven: PassRanges[] = [
          { pass: 0, ranges: [] },
          { pass: 1, ranges: [] },
        ];
        let before: readonly PassRanges[] = [];
        for (const round of rounds) {
          proven = proven.map(({ pass, ranges: some }, index) => ({
            pass,
            ranges: united([...some, ...ranges(round[index] ?? [])]),
          }));
          const { passes, leftOut } = statedRanges(proven, before, limit);
          const count = passes.reduce((sum, one) => sum + one.ranges.length, 0);
          expect(count).toBeLessThanOrEqual(limit);
          expect(count + leftOut).toBe(proven.reduce((sum, one) => sum + one.ranges.length, 0));
          expect(isWithin(passes, proven)).toBe(true);
          expect(isWithin(before, passes)).toBe(true);
          before = passes;
        }
      },
    ),
  );
});

test('of those that are new, the longest are stated, in order of time', () => {
  const proven = [
    {
      pass: 0,
      ranges: ranges([
        [0, 1],
        [10, 5],
        [20, 3],
        [30, 9],
      ]),
    },
  ];
  const { passes, leftOut } = statedRanges(proven, [], 2);
  expect(passes).toEqual([
    {
      pass: 0,
      ranges: ranges([
        [10, 5],
        [30, 9],
      ]),
    },
  ]);
  expect(leftOut).toBe(2);
});

const at = (second: number): string =>
  `${new Date(Date.UTC(2026, 0, 1) + second * 1_000).toISOString().slice(0, 19)}.000000Z`;

const ranges = (pairs: readonly (readonly [number, number])[]): TimeRange[] =>
  united(pairs.map(([from, length]): TimeRange => [at(from), at(from + length)]));

const isWithin = (inner: readonly PassRanges[], outer: readonly PassRanges[]): boolean =>
  inner.every(({ pass, ranges: some }) =>
    some.every((one) => outer.some((other) => other.pass === pass && other.ranges.some((all) => contains(all, one)))),
  );

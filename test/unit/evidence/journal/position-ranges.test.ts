import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isInPositions, unitedPositions } from '../../../../src/evidence/journal/position-ranges.ts';

const range = fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9 })).map(([from, length]) => {
  return [from, from + length] as const;
});

test('ranges of positions become ones that do not touch, with the same positions, each once', () => {
  fc.assert(
    fc.property(fc.array(range), (ranges) => {
      const united = unitedPositions(ranges);
      expect(positionsOf(united)).toEqual([...new Set(positionsOf(ranges))].sort((a, b) => a - b));
      for (const [index, [from]] of united.entries()) expect(from).toBeGreaterThan(united[index - 1]?.[1] ?? 0);
    }),
  );
});

test('a position is in one of them exactly if one of them has it', () => {
  fc.assert(
    fc.property(fc.array(range), fc.integer({ min: 0, max: 80 }), (ranges, position) => {
      expect(isInPositions(unitedPositions(ranges), position)).toBe(positionsOf(ranges).includes(position));
    }),
  );
});

const positionsOf = (ranges: readonly (readonly [number, number])[]): number[] =>
  ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index));

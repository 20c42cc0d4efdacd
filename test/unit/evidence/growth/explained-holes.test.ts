import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type HoleRange, nextChunk, unexplainedHole } from '../../../../src/evidence/growth/explained-holes.ts';

const ranges = fc.array(
  fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 20 }))
    .map(([from, length]): HoleRange => [from, from + length]),
  { maxLength: 6 },
);

describe('a hole', () => {
  test('is explained if every position of it is: the first that is not is named', () => {
    fc.assert(
      fc.property(ranges, ranges, (holes, explanations) => {
        const isExplained = (position: number) => explanations.some(([from, to]) => from <= position && position < to);
        const expected = holes.flatMap(([from, to]) =>
          Array.from({ length: to - from }, (_, index) => from + index).filter((position) => !isExplained(position)),
        )[0];
        expect(unexplainedHole(holes, explanations)).toBe(expected);
      }),
    );
  });
});

describe('the next chunk', () => {
  test('goes on by events and by holes to the head, and never reaches from one into the other', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })), { maxLength: 4 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 15 }),
        (rest, steps, events, holes) => {
          let at = 1;
          const jumps = steps.map(([gap, length]): HoleRange => {
            const from = at + gap;
            at = from + length;
            return [from, at];
          });
          const head = at - 1 + rest;
          for (let size = 0; size < head; ) {
            const { until, isHole } = nextChunk({ size, head, events, holes }, jumps);
            expect(until).toBeGreaterThan(size);
            expect(until - size).toBeLessThanOrEqual(isHole ? holes : events);
            for (let position = size + 1; position <= until; position += 1) {
              expect(jumps.some(([from, to]) => from <= position && position < to)).toBe(isHole);
            }
            size = until;
          }
        },
      ),
    );
  });
});

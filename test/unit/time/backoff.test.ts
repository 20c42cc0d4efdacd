import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { laneBackoffMs } from '../../../src/time/backoff.ts';

describe('laneBackoffMs', () => {
  it('doubles from five seconds to a quarter of an hour', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((failures) => laneBackoffMs(failures, 0))).toEqual([
      5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 900_000, 900_000,
    ]);
  });

  it('stays within its bounds and never gets shorter with more failures', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_000_000_000 }), random, (failures, spread) => {
        const backoffMs = laneBackoffMs(failures, spread);
        expect(Number.isInteger(backoffMs)).toBe(true);
        expect(backoffMs).toBeGreaterThanOrEqual(3_750);
        expect(backoffMs).toBeLessThanOrEqual(900_000);
        expect(laneBackoffMs(failures + 1, spread)).toBeGreaterThanOrEqual(backoffMs);
        // Even the luckiest of more failures does not rest shorter than the unluckiest of fewer, below the longest.
        if (laneBackoffMs(failures, 0) < 450_000 && failures > 0) {
          expect(laneBackoffMs(failures + 1, 0.999_999)).toBeGreaterThan(laneBackoffMs(failures, 0));
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('spreads by a quarter at most', () => {
    expect(laneBackoffMs(1, 0.5)).toBe(4_375);
    expect(laneBackoffMs(1, 0.999_999)).toBe(3_750);
  });
});

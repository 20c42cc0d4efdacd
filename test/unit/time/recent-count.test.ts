import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentCount } from '../../../src/time/recent-count.ts';

test('counts what happened within the window, to a sixtieth of it', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 }), (steps) => {
      let nowMs = 1_000_000;
      const times: number[] = [];
      const count = new RecentCount(300_000, () => nowMs);
      for (const step of steps) {
        nowMs += step;
        times.push(nowMs);
        count.add();
      }
      const within = (ms: number): number => times.filter((time) => time > nowMs - ms).length;
      expect(count.total()).toBeLessThanOrEqual(within(300_000));
      expect(count.total()).toBeGreaterThanOrEqual(within(295_000));
      nowMs += 300_000;
      expect(count.total()).toBe(0);
    }),
  );
});

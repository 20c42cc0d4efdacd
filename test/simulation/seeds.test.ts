import { expect, test } from 'vitest';
import { runSeed } from './run-seed.ts';
import { expectAllHold } from './seed-range.ts';

// `npm run lab simulation -- --seeds N --from M` runs more of them: after a change of the collector, 10,000.
test('seeds 1 to 700: all holds, and every rare path is reached (invariants 3, 6, 7 and 8)', () =>
  expectAllHold(1, 700));

test.each([3_658, 200_277, 203_730])('seed %i, in which a rule was missing once, holds', async (seed) =>
  expect((await runSeed(seed)).violation).toBeUndefined(),
);

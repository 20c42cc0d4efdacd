import { expect, test } from 'vitest';
import { runSeed } from './run-seed.ts';
import { expectAllHold } from './seed-range.ts';

test('seeds 1,001 to 2,000: all holds, and every rare path is reached', () => expectAllHold(1_001, 1_000));

test.each([3_658, 200_277, 203_730])('seed %i, in which a rule was missing once, holds', async (seed) =>
  expect((await runSeed(seed)).violation).toBeUndefined(),
);

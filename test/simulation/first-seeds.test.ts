import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

// Two files, so that two cores work on them.
test('seeds 1 to 1,000: all holds, and every rare path is reached (invariants 3, 6, 7 and 8)', () =>
  expectAllHold(1, 1_000));

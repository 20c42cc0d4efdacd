import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

// Two files, so that two cores work on them.
test('seeds 1 to 5,000: all holds, and every rare path is reached', () => expectAllHold(1, 5_000));

import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

// Two files, so that two cores work on them. CI runs 5,000 more (.ci/run).
test('seeds 1 to 2,500: all holds, and every rare path is reached', () => expectAllHold(1, 2_500));

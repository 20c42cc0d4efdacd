import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

// Two files, so that two cores work on them. CI runs 1,000 more (test/scripts/rest.sh).
test('seeds 1 to 2,500: all holds, and every rare path is reached', () => expectAllHold(1, 2_500));

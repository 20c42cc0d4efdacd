import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

test('seeds 2,501 to 5,000: all holds, and every rare path is reached', () => expectAllHold(2_501, 2_500));

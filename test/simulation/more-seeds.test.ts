import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

test('seeds 1,501 to 3,000: all holds, and every rare path is reached', () => expectAllHold(1_501, 1_500));

import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

test('seeds 1,001 to 2,000: all holds, and every rare path is reached', () => expectAllHold(1_001, 1_000));

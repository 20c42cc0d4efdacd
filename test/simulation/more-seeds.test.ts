import { test } from 'vitest';
import { expectAllHold } from './seed-range.ts';

test('seeds 5,001 to 10,000: all holds, and every rare path is reached', () => expectAllHold(5_001, 5_000));

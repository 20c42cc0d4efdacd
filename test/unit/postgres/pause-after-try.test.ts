import { expect, test } from 'vitest';
import { pauseAfterTryMs } from '../../../src/postgres/schema/online-index.ts';

test('a statement asks for its lock ever less often, so that writers get most of the time', () => {
  expect([1, 2, 3, 4, 5, 6, 100].map(pauseAfterTryMs)).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
});

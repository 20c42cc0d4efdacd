import { expect, test } from 'vitest';
import { credibleNow, MOST_AHEAD_MS } from '../../src/domain/server-time.ts';

const DATABASE_MS = Date.UTC(2026, 5, 1);

test.each<[string, number, number]>([
  ['the same time', 0, 0],
  ['half a minute ahead is believed', 30_000, 30_000],
  ['a minute ahead is believed', MOST_AHEAD_MS, MOST_AHEAD_MS],
  ['more is not: it may be any time, and that of the database is known', MOST_AHEAD_MS + 1, 0],
  ['an hour ahead is not', 3_600_000, 0],
  ['an hour behind is believed: it costs delay and nothing else', -3_600_000, -3_600_000],
])('%s', (_, aheadMs, expectedMs) => {
  expect(credibleNow(DATABASE_MS + aheadMs, DATABASE_MS)).toBe(DATABASE_MS + expectedMs);
});

import { expect, test } from 'vitest';
import { coverageCell } from '../../../../src/http/console/overview/coverage-cell.ts';
import type { SourceCoverage, TimeRange } from '../../../../src/status/overview/overview.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const NOW_MS = 120 * DAY_MS;
const hole = { reason: 'server_error', message: '500', attempts: 1, nextAttemptAtMs: 0 };
/** A stretch that began so long ago. */
const ago = (days: number, hours: number): TimeRange => [
  NOW_MS - days * DAY_MS,
  NOW_MS - days * DAY_MS + hours * HOUR_MS,
];

const cell = (gaps: readonly TimeRange[], more: Partial<SourceCoverage> = {}, readsHistory = false) => {
  const coverage = {
    kind: 'organization',
    id: 'o',
    sinceMs: 0,
    nowMs: NOW_MS,
    gaps,
    passes: [],
    holes: [],
    walks: [],
    ...more,
  };
  const text = String(coverageCell(coverage, { ordinaryMs: 60_000, readsHistory }, 2));
  return { isDrawn: text.includes('<svg'), words: /<p class="sub">([^<]*)/.exec(text)?.[1], text };
};

test('what is whole is words: full bars would all look alike', () => {
  expect(cell([[NOW_MS - 45_000, NOW_MS]])).toMatchObject({ isDrawn: false, words: '120d, up to the delay' });
});

test('a gap of the last 30 days is drawn in these, and what is older is words', () => {
  const recent = cell([ago(15, 36)]);
  expect(recent).toMatchObject({ isDrawn: true, words: 'Last 30d. The 90d before: collected.' });
  expect(recent.text).toContain('class="tl-gap" x="500" y="0" width="50"');
  const both = cell([ago(60, 10), ago(31, 48), ago(2, 1)], { holes: [{ ...hole, range: ago(70, 1) }] });
  // A day of the two is older.
  expect(both).toMatchObject({ isDrawn: true, words: 'Last 30d. The 90d before: 1d 10h not collected, 1 hole.' });
});

test('what lacks in older time alone is not drawn', () => {
  expect(cell([ago(60, 10)])).toMatchObject({
    isDrawn: false,
    words: 'Last 30d: up to the delay. The 90d before: 10h not collected.',
  });
});

test('a first reading and a short history are drawn whole', () => {
  expect(cell([[0, 60 * DAY_MS]], {}, true)).toMatchObject({ isDrawn: true, words: undefined });
  expect(cell([ago(15, 36)], { sinceMs: NOW_MS - 20 * DAY_MS })).toMatchObject({ isDrawn: true, words: undefined });
});

import { expect, test } from 'vitest';
import { coverageCell } from '../../../../src/http/console/overview/coverage-cell.ts';
import { coverageTimeline, notableGaps } from '../../../../src/http/console/overview/coverage-timeline.ts';
import type { SourceCoverage, TimeRange } from '../../../../src/status/overview/overview.ts';

test('what the next turn reads and what the horizon passes are no gaps to speak of; all others are', () => {
  expect(notableGaps(coverage, tail)).toEqual([
    [200_000, 300_000],
    [500_000, 500_001],
  ]);
  expect(notableGaps(coverage, { ordinaryMs: 9_999 })).toHaveLength(3);
});

test('times become places; a gap too short to be seen is drawn as wide as can be seen', () => {
  const drawing = String(coverageTimeline(coverage, { fromMs: 0, toMs: 1_000_000 }, tail, 2));
  expect(bars(drawing, 'tl-read')).toEqual([[0, 1_000]]);
  expect(bars(drawing, 'tl-gap')).toEqual([
    [200, 100],
    [500, 4],
  ]);
  expect(bars(drawing, 'tl-pass')).toEqual([[0, 600]]);
  expect(bars(drawing, 'tl-walk')).toEqual([[100, 100]]);
  expect(drawing).toContain('not collected: 2 stretches: 1970-01-01 00:03:20 to 1970-01-01 00:05:00 (1m 40s); ');
  expect(drawing).toContain('Being collected: backfill.');
});

test('a part of the time shows that part, and what lies outside is left out', () => {
  const drawing = String(coverageTimeline(coverage, { fromMs: 250_000, toMs: 450_000 }, tail, 2));
  expect(bars(drawing, 'tl-gap')).toEqual([[0, 250]]);
  expect(bars(drawing, 'tl-walk')).toEqual([]);
  expect(drawing).toContain('not collected: 1 stretch: ');
});

test('a hole is drawn and named as such, and is no gap', () => {
  const hole = { reason: 'server_error', message: '500', attempts: 1, nextAttemptAtMs: 0 };
  const holed: SourceCoverage = {
    ...coverage,
    holes: [
      { ...hole, range: [500_000, 500_001] },
      { ...hole, range: [200_000, 201_000] },
    ],
  };
  expect(notableGaps(holed, tail)).toEqual([[201_000, 300_000]]);
  const drawing = String(coverageTimeline(holed, { fromMs: 0, toMs: 1_000_000 }, tail, 2));
  expect(bars(drawing, 'tl-hole')).toEqual([
    [500, 4],
    [200, 4],
  ]);
  expect(bars(drawing, 'tl-gap')).toEqual([[201, 99]]);
  expect(drawing).toContain('not collected: 1 stretch: ');
  expect(drawing).toContain('Not available: 2 holes. Being collected: backfill.');
});

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

test('what is whole is words: full bars would all look alike', () =>
  expect(cell([[NOW_MS - 45_000, NOW_MS]])).toMatchObject({ isDrawn: false, words: '120d, up to the delay' }));

test('a gap of the last 30 days is drawn in these, and what is older is words', () => {
  const recent = cell([ago(15, 36)]);
  expect(recent).toMatchObject({ isDrawn: true, words: 'Last 30d. The 90d before: collected.' });
  expect(recent.text).toContain('class="tl-gap" x="500" y="0" width="50"');
  const both = cell([ago(60, 10), ago(31, 48), ago(2, 1)], { holes: [{ ...hole, range: ago(70, 1) }] });
  // A day of the two is older.
  expect(both).toMatchObject({ isDrawn: true, words: 'Last 30d. The 90d before: 1d 10h not collected, 1 hole.' });
});

test('what lacks in older time alone is not drawn', () =>
  expect(cell([ago(60, 10)])).toMatchObject({
    isDrawn: false,
    words: 'Last 30d: up to the delay. The 90d before: 10h not collected.',
  }));

test('a first reading and a short history are drawn whole', () => {
  expect(cell([[0, 60 * DAY_MS]], {}, true)).toMatchObject({ isDrawn: true, words: undefined });
  expect(cell([ago(15, 36)], { sinceMs: NOW_MS - 20 * DAY_MS })).toMatchObject({ isDrawn: true, words: undefined });
});

const coverage: SourceCoverage = {
  kind: 'organization',
  id: 'o',
  sinceMs: 0,
  nowMs: 1_000_000,
  gaps: [
    [0, 1_000],
    [200_000, 300_000],
    [500_000, 500_001],
    [990_000, 1_000_000],
  ],
  passes: [{ pass: 1, ranges: [[0, 600_000]] }],
  holes: [],
  walks: [{ lane: 'backfill', range: [100_000, 200_000], readUntilMs: null }],
};
const tail = { ordinaryMs: 10_000 };

const bars = (drawing: string, name: string) =>
  [...drawing.matchAll(new RegExp(`class="${name}" x="([\\d.]+)" y="[\\d.]+" width="([\\d.]+)"`, 'g'))].map(
    ([, x, width]) => [Number(x), Number(width)],
  );

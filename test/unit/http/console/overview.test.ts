import { expect, test } from 'vitest';
import { detectionsBody } from '../../../../src/http/console/detections/page.ts';
import { readFilter, selectOrganizations } from '../../../../src/http/console/overview/organizations.ts';
import { coverageCell, coverageTimeline, notableGaps } from '../../../../src/http/console/overview/timeline.ts';
import type { FindingCount } from '../../../../src/sinks/findings/list-findings.sql.ts';
import type { SourceCoverage, TimeRange } from '../../../../src/status/overview.sql.ts';
import type { OrganizationWithState } from '../../../../src/status/source-state.ts';
import { sourceFacts } from '../../status/source-facts.ts';

test('trouble comes first: what is about to be lost, then failing, refused, incomplete, behind; the rest by name', () => {
  const sources = [
    source('calm', { state: 'quiet' }),
    source('b'),
    source('a'),
    source('little behind', { state: 'behind', gapSeconds: 100 }),
    source('far behind', { state: 'behind', gapSeconds: 9_000 }),
    source('shut', { state: 'refused' }),
    source('holed', { state: 'incomplete', holes: 2 }),
    source('broken', { state: 'failing' }),
    source('losing', { state: 'behind', gapSeconds: 200, retentionSlackSeconds: 86_400 }),
  ];
  const expected = ['losing', 'broken', 'shut', 'holed', 'far behind', 'little behind', 'a', 'b', 'calm'];
  expect(names(sources)).toEqual(expected);
});

test('five thousand come in pages of fifty; a page beyond the last is the last', () => {
  const sources = Array.from({ length: 5_000 }, (_, index) => source(String(index).padStart(4, '0')));
  expect(selectOrganizations(sources, everything)).toMatchObject({ matching: 5_000, page: 1, pages: 100 });
  expect(names(sources, { ...everything, page: 2 }).at(0)).toBe('0050');
  expect(names(sources, { ...everything, page: 999 }).at(-1)).toBe('4999');
});

test('the filter looks at names and ids, whatever the case, and at the state', () => {
  const sources = [source('Northwind'), source('Contoso', { state: 'failing' })];
  expect(names(sources, { ...everything, text: 'NORTH' })).toEqual(['Northwind']);
  expect(names(sources, { ...everything, text: 'id-of-contoso' })).toEqual(['Contoso']);
  expect(selectOrganizations(sources, { text: '', state: 'refused', page: 1 })).toMatchObject({
    matching: 0,
    pages: 1,
  });
});

test('an address that makes no sense asks for everything', () => {
  expect(readFilter({ q: ['a', 'b'], state: 'on fire', page: '-1' })).toEqual(everything);
  expect(readFilter({ q: ' x ', state: 'failing', page: '3' })).toEqual({ text: 'x', state: 'failing', page: 3 });
});

const count: FindingCount = { detection: 'member_added', severity: 'medium', found: 3, muted: 0 };

const textOf = (counts: readonly FindingCount[], lookedSince: string | null): string => {
  const given = { since: '90d', before: '', organization: '', severity: '', detection: '', actor: '', muted: '' };
  const list = { counts, groups: [], seen: 0, findings: [], lookedSince };
  const page = {
    given,
    page: 1,
    faults: [],
    organizations: [],
    mutes: [],
    own: [],
    failure: undefined,
    nowMs: 0,
    list,
  };
  return detectionsBody(page).toString();
};

test('a part of the time is said to be one, and never called a time in which nothing was found', () => {
  const since = '2026-11-01T10:00:00.000Z';
  const some = textOf([count], since);
  expect(some).toContain('>At least 3 findings<');
  expect(some).toContain('since=90d&amp;before=2026-11-01T10%3A00%3A00.000Z');
  const none = textOf([], since);
  expect(none).toContain('>0 findings<');
  expect(none).toContain('none so far');
  expect(none).not.toContain('this time');
});

test('all of the time is counted without a note', () => {
  expect(textOf([count], null)).not.toMatch(/At least|Look at the time before/);
  expect(textOf([], null)).toContain('found nothing in what is stored of this time');
});

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

const source = (name: string, more: Partial<OrganizationWithState> = {}): OrganizationWithState => ({
  ...sourceFacts,
  kind: 'organization',
  id: `id-of-${name}`,
  organizationId: `id-of-${name}`,
  organizationName: name,
  organizationState: 'active',
  state: 'fresh',
  firstReading: false,
  ...more,
});

const everything = { text: '', state: undefined, page: 1 };

const names = (sources: readonly OrganizationWithState[], filter = everything) =>
  selectOrganizations(sources, filter).rows.map(({ organizationName }) => organizationName);

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

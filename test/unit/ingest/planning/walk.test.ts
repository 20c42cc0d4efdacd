import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PageFacts } from '../../../../src/ingest/entries/page.ts';
import type { Coverage, Range } from '../../../../src/ingest/planning/coverage.ts';
import {
  afterPage,
  claimForPass,
  mayBeCut,
  OVERLAP_MS,
  requestWindow,
  startWalk,
  suspectedFrom,
  type Walk,
  type WalkStep,
} from '../../../../src/ingest/planning/walk.ts';
import { forAll } from '../../for-all.ts';

const T0 = Date.UTC(2026, 0, 1);
const CLAIM: Range = { fromMs: T0 + 1_000_000, toMs: T0 + 2_000_000 };
const READ_AT_MS = T0 + 2_001_000;
const OUTSIDE_MS = CLAIM.toMs + 120_000;
const begun = startWalk('live', CLAIM, { readAtMs: READ_AT_MS });
const walkWith = (more: Partial<Walk>): Walk => ({ ...begun, ...more });
const times = (count: number, fromMs = CLAIM.fromMs): number[] => Array.from({ length: count }, (_, n) => fromMs + n);
const page = (timesMs: readonly number[], more: Partial<PageFacts> = {}): PageFacts => ({
  entries: timesMs.length,
  timesMs,
  nextCursor: undefined,
  ...more,
});

it('startWalk and requestWindow ask for a second more at both ends than will be claimed, oldest first, in the largest pages', () => {
  expect(requestWindow(begun)).toEqual({ fromMs: CLAIM.fromMs - OVERLAP_MS, toMs: CLAIM.toMs + OVERLAP_MS });
  expect(begun).toMatchObject({
    cursor: undefined,
    savedCursor: undefined,
    pages: 0,
    entries: 0,
    failures: 0,
    direction: 'asc',
    pageLimit: 1_000,
    filters: [],
    readAtMs: READ_AT_MS,
  });
});

it('startWalk and requestWindow look back in the live lane for late entries, no further than anything is wanted', () => {
  const from = (lookBackToMs?: number) =>
    CLAIM.fromMs - requestWindow(startWalk('live', CLAIM, { readAtMs: READ_AT_MS, lookBackToMs })).fromMs;
  expect([from(0), from(CLAIM.fromMs - 50_000)]).toEqual([120_000, 50_000]);
  expect(from(CLAIM.fromMs), 'the overlap stays').toBe(OVERLAP_MS);
  expect(from()).toBe(OVERLAP_MS);
});

it('startWalk and requestWindow ask for as little more as possible next to a hole, up to a full second', () => {
  const narrow = (toMs: number) =>
    requestWindow(startWalk('live', { fromMs: T0 + 1_000_000, toMs }, { readAtMs: READ_AT_MS, narrow: true }));
  expect(narrow(T0 + 1_001_000)).toEqual({ fromMs: T0 + 999_999, toMs: T0 + 1_001_001 });
  expect(narrow(T0 + 1_000_400), 'an API that drops the milliseconds would cut it short').toEqual({
    fromMs: T0 + 999_999,
    toMs: T0 + 1_001_001,
  });
});

it.each<[string, boolean, number, number, number]>([
  ['as many as were asked for', true, 1_000, 1_000, 5_000],
  ['more than were asked for', true, 1_001, 1_000, 5_000],
  ['as many as were asked for, however few', true, 1, 1, 500],
  ['a hundred, the cap that a third party saw', true, 100, 1_000, 1_000],
  ['101, where larger pages have come', false, 101, 1_000, 1_000],
  ['as many as pages are suspected from', true, 250, 1_000, 250],
  ['more than that', true, 300, 1_000, 250],
  ['fewer than that', false, 249, 1_000, 250],
  ['none', false, 0, 1_000, 10],
])('mayBeCut %s: %s', (_, expected, entries, pageLimit, suspectedFromEntries) =>
  expect(mayBeCut(entries, pageLimit, suspectedFromEntries)).toBe(expected),
);

it.each<[string, number, number, number]>([
  ['the largest page of the source', 250, 1_000, 250],
  ['a small one of the source, too', 12, 1_000, 12],
  ['ten, if it has sent less', 3, 1_000, 10],
  ['ten, if there are only a few entries anywhere', 30, 8, 10],
  ['what is smaller and was found cut', 250, 40, 40],
])('suspectedFrom %s', (_, largestOfSource, cutFrom, expected) =>
  expect(suspectedFrom(largestOfSource, cutFrom)).toBe(expected),
);

describe('afterPage', () => {
  it('of a page that lies outside in part, only what its other entries enclose is claimed', () => {
    const asked = walkWith({});
    const { walk } = afterPage(asked, page([T0 + 1_500_000, T0 + 1_504_500, OUTSIDE_MS]), 1_000);
    expect(walk.claim).toEqual({ fromMs: T0 + 1_501_000, toMs: T0 + 1_504_000 });
  });

  // biome-ignore format: a table
  it.each<[string, string, Walk, PageFacts, number?]>([
    ['an empty page without a cursor is the end', 'done', begun, page([])],
    ['a short page without a cursor is the end', 'done', begun, page(times(99))],
    ['a short page in another order than was asked for is doubtful', 'doubtful', begun, page([T0 + 1_500_000, T0 + 1_400_000])],
    ['entries of one time have no order', 'done', begun, page([T0 + 1_500_000, T0 + 1_500_000])],
    ['a page that names an error is a fault', 'names_error', begun, page(times(7), { fault: 'names an error' })],
    ['the same on an earlier page, at the end of the walk', 'names_error',
      afterPage(begun, page(times(7), { fault: 'names an error', nextCursor: 'b' }), 1_000).walk,
      page(times(7, CLAIM.fromMs + 7))],
    ['a page that speaks of a part is doubtful', 'doubtful', begun, page(times(7), { isPartial: true })],
    ['a page that lies mostly outside is a fault', 'outside_window', begun, page([T0 + 1_500_000, OUTSIDE_MS, OUTSIDE_MS])],
    ['a page that lies outside in part is doubtful', 'doubtful', begun, page([T0 + 1_500_000, T0 + 1_504_000, OUTSIDE_MS])],
    ['a time that no log can have says nothing', 'done', begun, page([T0 + 1_500_000, 7, 9e15])],
    ['the last page of a long walk is the end', 'done', walkWith({ cursor: 'z', pages: 9 }), page(times(3))],
    ['a full page without a cursor is doubtful', 'doubtful', begun, page(times(1_000))],
    ['a page of 100 is taken for a cap', 'doubtful', begun, page(times(100))],
    ['a page as full as asked for is doubtful', 'doubtful', walkWith({ pageLimit: 15 }), page(times(15))],
    ['a page as large as any before is doubtful', 'doubtful', begun, page(times(250)), 250],
    ['a page without any valid time counts as well', 'doubtful', begun, page([], { entries: 1_000 })],
    ['a cursor is followed, also behind a short page', 'next', begun, page(times(2), { nextCursor: 'b' })],
    ['a cursor is followed behind a full page', 'next', begun, page(times(1_000), { nextCursor: 'b' })],
    ['an empty page with a fresh cursor is followed', 'next', walkWith({ cursor: 'a', emptyPages: 3 }), page([], { nextCursor: 'b' })],
    ['too many empty pages in a row are doubtful', 'doubtful', walkWith({ cursor: 'a', emptyPages: 4 }), page([], { nextCursor: 'b' })],
    ['an empty page behind a cursor is doubtful', 'doubtful', walkWith({ cursor: 'a', pages: 2 }), page([])],
    ['the end of a walk with an empty page between others is doubtful', 'doubtful',
      afterPage(walkWith({ cursor: 'a', pages: 1, emptyPages: 0 }), page([], { nextCursor: 'b' }), 1_000).walk,
      page(times(5))],
    ['the page that was kept, under a fresh cursor, is a fault', 'page_repeated',
      walkWith({ cursor: 'a', savedPage: '5 a e' }), page(times(5), { nextCursor: 'b', fingerprint: '5 a e' })],
    ['its own cursor again is a fault', 'cursor_repeated', walkWith({ cursor: 'a' }), page(times(5), { nextCursor: 'a' })],
    ['the cursor that was kept is a fault', 'cursor_repeated', walkWith({ cursor: 'c', savedCursor: 'b' }), page(times(5), { nextCursor: 'b' })],
  ])('%s: %s', (_, expected, walk, facts, largestPage) => expect(kindOf(walk, facts, largestPage)).toBe(expected));

  it('goes on from the cursor, and forgets the failures of the page before', () => {
    const step = afterPage(
      walkWith({ cursor: 'a', pages: 3, emptyPages: 4, failures: 1 }),
      page(times(2), { nextCursor: 'b' }),
      0,
    );
    expect(step).toMatchObject({
      kind: 'next',
      walk: { cursor: 'b', pages: 4, entries: 2, lastPageEntries: 2, emptyPages: 0, failures: 0 },
    });
  });

  it('keeps what lay within the claim apart from what lay beside it, and the first and the last time', () => {
    const around = [CLAIM.toMs, CLAIM.fromMs, CLAIM.fromMs - 1, CLAIM.toMs - 1, CLAIM.fromMs - 2 * OVERLAP_MS - 1];
    const { walk } = afterPage(begun, page([...around, 7, CLAIM.toMs + 3 * OVERLAP_MS], { nextCursor: 'b' }), LARGEST);
    expect(walk).toMatchObject({
      entries: 7,
      claimEntries: 2,
      oldestMs: CLAIM.fromMs - 2_001,
      newestMs: CLAIM.toMs + 3_000,
    });
    const { walk: after } = afterPage(walk, page([CLAIM.fromMs + 5]), LARGEST);
    expect(after).toMatchObject({
      entries: 8,
      claimEntries: 3,
      oldestMs: CLAIM.fromMs - 2_001,
      newestMs: CLAIM.toMs + 3_000,
    });
  });

  it('was read when its earliest answer was served', () => {
    const first = afterPage(begun, page(times(2), { nextCursor: 'b', servedAtMs: READ_AT_MS - 7_000 }), LARGEST).walk;
    expect(first.readAtMs).toBe(READ_AT_MS - 7_000);
    const second = afterPage(first, page(times(2), { servedAtMs: READ_AT_MS + 60_000 }), LARGEST).walk;
    expect(second.readAtMs).toBe(READ_AT_MS - 7_000);
    expect(afterPage(begun, page([], { servedAtMs: READ_AT_MS + 1 }), LARGEST).walk.readAtMs).toBe(READ_AT_MS);
  });
});

it.each([1, 2, 3, 4])('a page that comes again behind %s empty pages again and again is a fault', (empty) => {
  let walk = begun;
  for (let pages = 1; pages < 60; pages += 1) {
    const facts = pages % (empty + 1) === 0 ? page(times(5), { fingerprint: '5 a e' }) : page([]);
    const step = afterPage(walk, { ...facts, nextCursor: `c${pages}` }, LARGEST);
    if (step.kind === 'broken') return expect(step.fault).toBe('page_repeated');
    walk = step.walk;
  }
  expect.unreachable('it goes on');
});

/** Pages until the fault; the API gives `lead` cursors once, and then `length` others in a circle. */
const pagesUntilFault = (lead: number, length: number): number => {
  let walk = begun;
  for (let pages = 1; pages < 100_000; pages += 1) {
    const next = pages <= lead ? `lead ${pages}` : `circle ${(pages - lead) % length}`;
    const step = afterPage(walk, page(times(5), { nextCursor: next }), LARGEST);
    if (step.kind === 'broken') {
      expect(step.fault).toBe('cursor_repeated');
      return pages;
    }
    expect(step.kind).toBe('next');
    walk = step.walk;
  }
  throw new Error('it was never noticed');
};

it('a cursor that comes again is found, however long the circle is and wherever it begins, within three rounds and what led to it (invariant 9)', () =>
  forAll([fc.nat(300), fc.integer({ min: 1, max: 300 })], 100, (lead, length) => {
    const pages = pagesUntilFault(lead, length);
    expect(pages).toBeGreaterThan(lead + length);
    expect(pages).toBeLessThanOrEqual(3 * Math.max(lead, length) + length + 3);
  }));

it('a cursor that comes again is not seen where there is none', () => {
  let walk = begun;
  for (let pages = 1; pages <= 1_000; pages += 1) {
    const step = afterPage(walk, page(times(1), { nextCursor: `${pages}` }), LARGEST);
    expect(step.kind).toBe('next');
    walk = step.walk;
  }
});

it('a cursor that comes again is found across a restart: what is needed for it is in the walk, and no larger with its length', () => {
  let walk = begun;
  let step: WalkStep | undefined;
  for (let pages = 1; step?.kind !== 'broken'; pages += 1) {
    expect(pages).toBeLessThan(500);
    const stored: Walk = JSON.parse(JSON.stringify(walk));
    step = afterPage(stored, page(times(1), { nextCursor: `c${pages % 30}` }), LARGEST);
    walk = step.walk;
  }
  expect(JSON.stringify(walk).length).toBeLessThan(1_000);
});

const inPages = (pages: readonly (readonly [entries: number, count?: number])[]): string => {
  let walk = begun;
  let last = '';
  for (const [index, [entries, count]] of pages.entries()) {
    const nextCursor = index === pages.length - 1 ? undefined : `c${index}`;
    const step = afterPage(walk, page(times(entries), { count, nextCursor }), LARGEST);
    last = step.kind === 'broken' ? step.fault : step.kind;
    walk = step.walk;
  }
  return last;
};

// biome-ignore format: a table
it.each<[string, string, readonly (readonly [number, number?])[]]>([
    ['of the elements of each page', 'done', [[40, 40], [9, 9]]],
    ['that is not sent', 'done', [[40], [9]]],
    ['that is not sent with all pages', 'done', [[40, 40], [9]]],
    ['of all that the walk brought', 'done', [[40, 49], [9, 49]]],
    ['of more than came', 'count_differs', [[99, 500]]],
    ['of fewer than came', 'count_differs', [[99, 98]]],
    ['of all, and a part is missing', 'count_differs', [[40, 60], [9, 60]]],
    ['that differs from page to page', 'count_differs', [[40, 60], [9, 61]]],
    ['that differs once, and is right afterwards', 'count_differs', [[40, 60], [9, 9]]],
    ['of none on a page that has some', 'count_differs', [[5, 0]]],
  ])('count %s: %s', (_, expected, pages) => expect(inPages(pages)).toBe(expected));

it('count that is right does not make a suspicious size credible (invariant 8)', () =>
  expect(inPages([[1_000, 1_000]])).toBe('doubtful'));

it.each<[string, number, Coverage]>([
  ['all that is older than the delay', 1_000, [CLAIM]],
  ['the part that is older than the delay', 501_000, [{ fromMs: CLAIM.fromMs, toMs: T0 + 1_500_000 }]],
  ['nothing that is younger', T0 + 1_001_000, []],
  ['nothing where all is much younger', 86_400_000, []],
])('claimForPass counts %s', (_, delayMs, expected) => expect(claimForPass(begun, delayMs)).toEqual(expected));

it('claimForPass goes by the earliest answer: nothing that had not happened by then, in no pass (invariant 8)', () => {
  const early = { ...begun, readAtMs: T0 + 1_700_000 };
  expect(claimForPass(early, 0)).toEqual([{ fromMs: CLAIM.fromMs, toMs: T0 + 1_700_000 }]);
  expect(claimForPass(early, 300_000)).toEqual([{ fromMs: CLAIM.fromMs, toMs: T0 + 1_400_000 }]);
  expect(claimForPass({ ...begun, readAtMs: 500_000 }, 0)).toEqual([]);
});

/** Of a source that has sent larger pages than any here: what is short is not suspected. */
const LARGEST = 1_000;

const kindOf = (walk: Walk, facts: PageFacts, largestPage = LARGEST): string => {
  const step = afterPage(walk, facts, largestPage);
  return step.kind === 'broken' ? step.fault : step.kind;
};

import { describe, expect, it } from 'vitest';
import type { Coverage, Range } from '../../src/domain/coverage.ts';
import {
  afterPage,
  afterRefusedCursor,
  claimForPass,
  OVERLAP_MS,
  type PageFacts,
  requestWindow,
  startWalk,
  type Walk,
  type WalkStep,
  withSmallerPages,
} from '../../src/domain/walk.ts';

const CLAIM: Range = { fromMs: 1_000_000, toMs: 2_000_000 };
/** As long as a walk may be that does not leave its last minute to be read again when it ends early. */
const MINUTES: Range = { fromMs: CLAIM.fromMs, toMs: CLAIM.fromMs + 120_000 };
const begun = startWalk('live', CLAIM, 2_001_000);
const walkWith = (more: Partial<Walk>): Walk => ({ ...begun, ...more });
const times = (count: number, fromMs = CLAIM.fromMs): number[] => Array.from({ length: count }, (_, n) => fromMs + n);
const page = (timesMs: readonly number[], nextCursor?: string, entries = timesMs.length): PageFacts => ({
  entries,
  timesMs,
  nextCursor,
});
const none: ReadonlySet<string> = new Set();
const upTo = (toMs: number): Range => ({ fromMs: CLAIM.fromMs, toMs });
const again = (claim: Range | undefined, walk: Partial<Walk> = {}): WalkStep => ({
  kind: 'again',
  claim,
  walk: walkWith(claim === undefined ? walk : { claim: { fromMs: claim.toMs, toMs: CLAIM.toMs }, ...walk }),
});
const done: WalkStep = { kind: 'done', claim: CLAIM, assumed: false };

describe('startWalk and requestWindow', () => {
  it('asks for a second more at both ends than it will claim, and for the largest page', () => {
    expect(requestWindow(begun)).toEqual({ fromMs: CLAIM.fromMs - OVERLAP_MS, toMs: CLAIM.toMs + OVERLAP_MS });
    expect(begun).toMatchObject({
      cursor: undefined,
      pages: 0,
      entries: 0,
      stalls: 0,
      inOrder: true,
      pageLimit: 1_000,
    });
  });
});

describe('a live walk', () => {
  const live = startWalk('live', CLAIM, 2_001_000, CLAIM.fromMs - 50_000);

  it('looks back for late entries, no further than anything is wanted', () => {
    expect(requestWindow(startWalk('live', CLAIM, 2_001_000, 0))).toMatchObject({ fromMs: CLAIM.fromMs - 120_000 });
    expect(requestWindow(live)).toMatchObject({ fromMs: CLAIM.fromMs - 50_000 });
    expect(requestWindow(startWalk('backfill', CLAIM, 2_001_000, 0))).toMatchObject({
      fromMs: CLAIM.fromMs - OVERLAP_MS,
    });
  });

  it('whose page is full of what lies before its claim looks back no more', () => {
    const before = page(times(1_000, CLAIM.fromMs - 40_000));
    expect(afterPage(live, before, none)).toMatchObject({
      kind: 'again',
      claim: undefined,
      walk: { lookbackMs: OVERLAP_MS },
    });
  });
});

describe('afterPage', () => {
  it.each<[string, Walk, PageFacts, WalkStep]>([
    ['an empty page without a cursor is the end', begun, page([]), done],
    ['a short page without a cursor is the end', begun, page(times(99)), done],
    ['a page of 101 without a cursor is the end', begun, page(times(101)), done],
    ['a short page is the end, whatever its order', begun, page([1_500_000, 1_400_000]), done],
    ['a full page without a cursor is asked on from its last time', begun, page(times(1_000)), again(upTo(1_000_999))],
    ['a page of 100 is taken for the cap', begun, page(times(100)), again(upTo(1_000_099))],
    [
      'a page as full as asked for keeps its size',
      walkWith({ pageLimit: 15 }),
      page(times(15)),
      again(upTo(1_000_014), { pageLimit: 15 }),
    ],
    [
      'a full page that got no further is asked again with another size',
      begun,
      page(Array(1_000).fill(CLAIM.fromMs)),
      again(undefined, { pageLimit: 999, stalls: 1, stalledEntries: 1_000 }),
    ],
    [
      'a page of 100 that got no further is asked again with a size below that',
      begun,
      page(Array(100).fill(CLAIM.fromMs)),
      again(undefined, { pageLimit: 99, stalls: 1, stalledEntries: 100 }),
    ],
    [
      'a full page out of order claims nothing',
      begun,
      page([...times(999), CLAIM.fromMs]),
      again(undefined, { pageLimit: 999, stalls: 1, stalledEntries: 1_000 }),
    ],
    [
      'a full page with a time far outside the window claims nothing',
      begun,
      page([...times(999), CLAIM.toMs + 3 * OVERLAP_MS]),
      again(undefined, { pageLimit: 999, stalls: 1, stalledEntries: 1_000 }),
    ],
    [
      'a full page without any valid time claims nothing',
      begun,
      page([], undefined, 1_000),
      again(undefined, { pageLimit: 999, stalls: 1, stalledEntries: 1_000 }),
    ],
    [
      'a full page that passes the end leaves the last minute to be read again',
      begun,
      page([...times(999), CLAIM.toMs]),
      again(upTo(CLAIM.toMs - 60_000)),
    ],
    [
      'a full page that passes the end is the end, where the minute would be more than half',
      walkWith({ claim: MINUTES }),
      page([...times(999), MINUTES.toMs]),
      { kind: 'done', claim: MINUTES, assumed: false },
    ],
    [
      'no progress for the third time is a failure',
      walkWith({ stalls: 2 }),
      page(Array(1_000).fill(CLAIM.fromMs)),
      { kind: 'failed', fault: 'stalled', claim: undefined },
    ],
    [
      'the smallest page cannot get smaller',
      walkWith({ pageLimit: 1 }),
      page([CLAIM.fromMs]),
      again(undefined, { pageLimit: 1, stalls: 1, stalledEntries: 1 }),
    ],
    [
      'progress after a stall forgets the stall',
      walkWith({ stalls: 2, pageLimit: 998 }),
      page(times(998)),
      again(upTo(1_000_997), { pageLimit: 998 }),
    ],
    [
      'a cursor is followed',
      begun,
      page(times(2), 'b'),
      { kind: 'next', claim: undefined, walk: walkWith({ cursor: 'b', pages: 1, entries: 2, lastTimeMs: 1_000_001 }) },
    ],
    [
      'an empty page with a fresh cursor is followed',
      walkWith({ cursor: 'a', pages: 3, entries: 9, emptyPages: 4 }),
      page([], 'b'),
      { kind: 'next', claim: undefined, walk: walkWith({ cursor: 'b', pages: 4, entries: 9, emptyPages: 5 }) },
    ],
    [
      'a page with entries ends the row of empty ones',
      walkWith({ cursor: 'a', emptyPages: 200 }),
      page([], 'b', 1),
      { kind: 'next', claim: undefined, walk: walkWith({ cursor: 'b', pages: 1, entries: 1 }) },
    ],
    [
      'too many empty pages in a row are a failure',
      walkWith({ cursor: 'a', emptyPages: 200, lastTimeMs: 1_500_000 }),
      page([], 'b'),
      { kind: 'failed', fault: 'too_many_empty_pages', claim: upTo(1_440_000) },
    ],
    [
      'its own cursor again is a failure, and claims up to the last time',
      walkWith({ cursor: 'a' }),
      page(times(5), 'a'),
      { kind: 'failed', fault: 'cursor_repeated', claim: upTo(1_000_004) },
    ],
    [
      'the end at a last page of a long walk',
      walkWith({ cursor: 'z', pages: 9, entries: 9_000 }),
      page(times(3)),
      done,
    ],
  ])('%s', (_, walk, facts, expected) => {
    expect(afterPage(walk, facts, none)).toEqual(expected);
  });

  it('notices a cursor that any earlier page of the run had', () => {
    expect(afterPage(walkWith({ cursor: 'c' }), page(times(1), 'a'), new Set(['a', 'b', 'c']))).toMatchObject({
      kind: 'failed',
      fault: 'cursor_repeated',
    });
  });

  it('remembers across pages that the order broke, and how far the walk has come', () => {
    const first = afterPage(begun, page([1_000_005, 1_000_003], 'b'), none);
    expect(first).toMatchObject({ kind: 'next', walk: { inOrder: false, lastTimeMs: 1_000_005 } });
    if (first.kind !== 'next') return;
    expect(afterPage(first.walk, page(times(1_000, 1_000_100)), none)).toMatchObject({
      kind: 'again',
      claim: undefined,
    });
  });

  it('takes times in the overlap for in order, equal ones too', () => {
    const edge = [CLAIM.fromMs - OVERLAP_MS, CLAIM.fromMs, CLAIM.fromMs, CLAIM.toMs, CLAIM.toMs + OVERLAP_MS];
    expect(afterPage(begun, page(edge, 'b'), none)).toMatchObject({ walk: { inOrder: true } });
  });
});

describe('afterRefusedCursor', () => {
  const onePage = { cursor: 'a', pages: 1, entries: 5, lastTimeMs: CLAIM.fromMs + 4 };
  it.each<[string, Walk, WalkStep]>([
    ['asks on from the last time', walkWith(onePage), again(upTo(CLAIM.fromMs + 4))],
    [
      'asks the same again where that was no progress',
      walkWith({ ...onePage, lastTimeMs: CLAIM.fromMs }),
      again(undefined, { pageLimit: 999, stalls: 1, stalledEntries: 5 }),
    ],
    [
      'takes the same short page with the same refusal for the end',
      walkWith({ ...onePage, lastTimeMs: CLAIM.fromMs, stalls: 1, stalledEntries: 5 }),
      { kind: 'done', claim: CLAIM, assumed: true },
    ],
    [
      'does not take another short page for the end',
      walkWith({ ...onePage, lastTimeMs: CLAIM.fromMs, stalls: 1, stalledEntries: 4 }),
      again(undefined, { pageLimit: 999, stalls: 2, stalledEntries: 5 }),
    ],
    [
      'does not compare with a walk of several pages: another cursor was refused then',
      walkWith({ ...onePage, pages: 2, lastTimeMs: CLAIM.fromMs }),
      again(undefined, { pageLimit: 999, stalls: 1, stalledEntries: 0 }),
    ],
    [
      'does not take an empty page for the end: one may stand in the middle',
      walkWith({ cursor: 'a', pages: 1, stalls: 1 }),
      again(undefined, { pageLimit: 999, stalls: 2, stalledEntries: 0 }),
    ],
    [
      'does not take a full page for the end',
      walkWith({ ...onePage, entries: 1_000, lastTimeMs: CLAIM.fromMs, stalls: 1, stalledEntries: 1_000 }),
      again(undefined, { pageLimit: 999, stalls: 2, stalledEntries: 1_000 }),
    ],
    [
      'does not take a page of 100 for the end',
      walkWith({ ...onePage, entries: 100, lastTimeMs: CLAIM.fromMs, stalls: 1, stalledEntries: 100 }),
      again(undefined, { pageLimit: 999, stalls: 2, stalledEntries: 100 }),
    ],
    [
      'does not take a page out of order for the end',
      walkWith({ ...onePage, inOrder: false, stalls: 1, stalledEntries: 5 }),
      again(undefined, { pageLimit: 999, stalls: 2, stalledEntries: 5 }),
    ],
    [
      'fails at the third time without progress',
      walkWith({ ...onePage, pages: 2, lastTimeMs: CLAIM.fromMs, stalls: 2 }),
      { kind: 'failed', fault: 'stalled', claim: undefined },
    ],
    [
      'leaves the last minute where the walk had passed the end',
      walkWith({ ...onePage, pages: 4, lastTimeMs: CLAIM.toMs }),
      again(upTo(CLAIM.toMs - 60_000)),
    ],
    [
      'is the end where the walk had passed it within two minutes',
      walkWith({ ...onePage, claim: MINUTES, pages: 4, lastTimeMs: MINUTES.toMs }),
      { kind: 'done', claim: MINUTES, assumed: false },
    ],
  ])('%s', (_, walk, expected) => {
    expect(afterRefusedCursor(walk)).toEqual(expected);
  });
});

describe('withSmallerPages', () => {
  it('goes down to pages of one entry, then gives up', () => {
    const limits: number[] = [];
    let walk: Walk | undefined = walkWith({ stalls: 2 });
    while (walk !== undefined) {
      limits.push(walk.pageLimit);
      const step: WalkStep | undefined = withSmallerPages(walk);
      expect(step?.kind ?? 'again').toBe('again');
      walk = step?.kind === 'again' ? step.walk : undefined;
      expect(walk?.stalls ?? 0).toBe(0);
    }
    expect(limits).toEqual([1_000, 250, 62, 15, 3, 1]);
  });

  it('keeps what had been read, and drops the cursor, which was made for another size', () => {
    const midway = walkWith({ cursor: 'c', pages: 3, entries: 9, lastTimeMs: 1_400_000 });
    expect(withSmallerPages(midway)).toEqual(again(upTo(1_340_000), { pageLimit: 250 }));
    const passed = { ...midway, claim: MINUTES, lastTimeMs: MINUTES.toMs };
    expect(withSmallerPages(passed)).toEqual({ ...done, claim: MINUTES });
  });
});

describe('claimForPass', () => {
  it.each<[string, number, Coverage]>([
    ['all that is older than the delay', 1_000, [CLAIM]],
    ['the part that is older than the delay', 501_000, [upTo(1_500_000)]],
    ['nothing that is younger', 1_001_000, []],
    ['nothing where all is much younger', 86_400_000, []],
  ])('counts %s', (_, delayMs, expected) => {
    expect(claimForPass(begun, CLAIM, delayMs)).toEqual(expected);
  });
});

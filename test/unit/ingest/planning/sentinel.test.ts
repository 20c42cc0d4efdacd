import { describe, expect, test } from 'vitest';
import type { PageFacts } from '../../../../src/ingest/entries/page.ts';
import type { KnownHole } from '../../../../src/ingest/planning/lane.ts';
import {
  SHORT_ANSWER,
  secondQuestion,
  sentinelRange,
  walkOf,
  withSentinel,
} from '../../../../src/ingest/planning/proof.ts';
import {
  afterPage,
  missedSentinels,
  requestWindow,
  startWalk,
  type Walk,
} from '../../../../src/ingest/planning/walk.ts';

const HOUR_MS = 3_600_000;
const T0 = Date.UTC(2026, 5, 1);
const CLAIM = { fromMs: T0, toMs: T0 + HOUR_MS };
const known = {
  nowMs: T0 + 100 * HOUR_MS,
  horizonMs: T0 - 100 * HOUR_MS,
  holes: [],
  read: [{ fromMs: CLAIM.toMs, toMs: T0 + 100 * HOUR_MS }],
};
const ascending = startWalk('backfill', CLAIM, { readAtMs: known.nowMs });
const descending = startWalk('scrub', CLAIM, { readAtMs: known.nowMs, direction: 'desc', pageLimit: 997 });

test('a sentinel is looked for beyond the end that is read last, no further away than the window is wide', () => {
  expect(sentinelRange(ascending, known)).toEqual({ fromMs: CLAIM.toMs, toMs: CLAIM.toMs + HOUR_MS });
  expect(sentinelRange(descending, known)).toEqual({ fromMs: CLAIM.fromMs - HOUR_MS, toMs: CLAIM.fromMs });
});

test('a sentinel is looked for not in time that the request could not reach without asking for the future', () => {
  const nowMs = CLAIM.toMs + 60_000;
  expect(sentinelRange(ascending, { ...known, nowMs })).toEqual({ fromMs: CLAIM.toMs, toMs: nowMs - 1_000 });
  expect(sentinelRange(ascending, { ...known, nowMs: CLAIM.toMs + 500 })).toBeUndefined();
});

test('a sentinel is looked for not within an hour of the horizon, where Cloudflare may delete it meanwhile', () => {
  const horizonMs = CLAIM.toMs - HOUR_MS / 2;
  expect(sentinelRange(ascending, { ...known, horizonMs })).toEqual({
    fromMs: horizonMs + HOUR_MS,
    toMs: CLAIM.toMs + HOUR_MS,
  });
  expect(sentinelRange(ascending, { ...known, horizonMs: CLAIM.toMs })).toBeUndefined();
  expect(sentinelRange(descending, { ...known, horizonMs: CLAIM.fromMs - HOUR_MS })).toBeUndefined();
});

test('a sentinel is looked for not over a hole, but over one whose answers are short, which can be asked for', () => {
  const near = hole(CLAIM.toMs + 5_000, CLAIM.toMs + 6_000);
  expect(sentinelRange(ascending, { ...known, holes: [near] })?.toMs).toBe(CLAIM.toMs + 5_000);
  const beside = { range: { fromMs: CLAIM.toMs, toMs: CLAIM.toMs + 1_000 } };
  const due = hole(0, 0, { ...beside, due: true });
  expect(sentinelRange(ascending, { ...known, holes: [due] })).toBeUndefined();
  const short = hole(0, 0, { ...beside, reason: SHORT_ANSWER });
  expect(sentinelRange(ascending, { ...known, holes: [short] })?.toMs).toBe(CLAIM.toMs + HOUR_MS);
});

test('a sentinel is looked for not for the live lane, which reads the newest time last, and not next to a hole', () => {
  expect(sentinelRange({ ...ascending, lane: 'live' }, known)).toBeUndefined();
  const narrow = startWalk('backfill', CLAIM, { readAtMs: known.nowMs, narrow: true });
  expect(sentinelRange(narrow, known)).toBeUndefined();
});

describe('a walk with a sentinel', () => {
  const timeMs = CLAIM.toMs + 600_000;
  const sentinel = { id: 'known', timeMs };
  const walk = withSentinel(ascending, sentinel, false);
  const before = { id: 'before', timeMs: CLAIM.fromMs - 7_000 };
  const known1 = { ids: new Set(['known']) };

  test('asks for a second more than the known entry, and claims as much as before', () => {
    expect(walk.claim).toEqual(CLAIM);
    expect(requestWindow(walk)).toEqual({ fromMs: CLAIM.fromMs - 1_000, toMs: timeMs + 1_000 });
    const scrub = withSentinel(descending, before, false);
    expect(scrub.claim).toEqual(CLAIM);
    expect(requestWindow(scrub)).toEqual({ fromMs: CLAIM.fromMs - 8_000, toMs: CLAIM.toMs + 1_000 });
  });

  test('claims less where wider windows are refused, so that the request is as wide as before, and at least half', () => {
    const limited = withSentinel(ascending, sentinel, true);
    expect(limited.claim).toEqual({ ...CLAIM, fromMs: CLAIM.fromMs + 600_000 });
    const far = { id: 'far', timeMs: CLAIM.toMs + HOUR_MS - 1 };
    expect(withSentinel(ascending, far, true).claim.fromMs).toBe(CLAIM.fromMs + HOUR_MS / 2);
    const second = startWalk('backfill', { fromMs: T0, toMs: T0 + 1_000 }, { readAtMs: known.nowMs });
    expect(withSentinel(second, { id: 'a', timeMs: T0 + 1_999 }, true).claim, 'a second stays one').toEqual(
      second.claim,
    );
  });

  test('has come to its end with that entry, and has been cut short without (invariant 8)', () => {
    expect(kindOf(walk, page([CLAIM.fromMs, CLAIM.fromMs + 1, timeMs], known1))).toBe('done');
    expect(kindOf(walk, page([CLAIM.fromMs, CLAIM.toMs - 1]))).toBe('short');
    expect(kindOf(walk, page([]))).toBe('short');
    expect(kindOf(ascending, page([])), 'without one it is believed').toBe('done');
    const again = { ...descending, newest: sentinel };
    expect([kindOf(again, page([CLAIM.fromMs])), kindOf(again, page([CLAIM.fromMs], known1))]).toEqual([
      'short',
      'done',
    ]);
    const other = page([CLAIM.fromMs, timeMs], { ids: new Set(['another']) });
    expect(kindOf(walk, other), 'another entry of its time says nothing').toBe('short');
  });

  test('the same on any of several pages, and from the other side', () => {
    const first = afterPage(walk, page([CLAIM.fromMs], { nextCursor: 'a' }), 1_000).walk;
    expect(kindOf(first, page([CLAIM.toMs - 1]))).toBe('short');
    expect(kindOf(first, page([timeMs], known1))).toBe('done');
    const early = afterPage(walk, page([timeMs], { ...known1, nextCursor: 'a' }), 1_000).walk;
    expect(kindOf(early, page([timeMs + 1]))).toBe('done');
    const scrub = withSentinel(descending, before, false);
    expect(kindOf(scrub, page([CLAIM.toMs - 1, CLAIM.fromMs]))).toBe('short');
    expect(kindOf(scrub, page([CLAIM.toMs - 1, before.timeMs], { ids: new Set(['before']) }))).toBe('done');
  });

  test('is in doubt for the reasons of any other, whether or not it has come', () => {
    expect(afterPage(walk, page([timeMs], { ...known1, fault: 'names an error' }), 1_000).kind).toBe('broken');
    expect(afterPage(walk, page([timeMs], { ...known1, isPartial: true }), 1_000).kind).toBe('doubtful');
    const { kind, walk: cut } = afterPage(walk, page(Array<number>(100).fill(CLAIM.fromMs)), 1_000);
    expect([kind, missedSentinels(cut)]).toEqual(['doubtful', [cut.sentinel]]);
  });

  test('is asked for by itself, from the other side', () => {
    const asked = walkOf(secondQuestion(walk, sentinel), walk);
    expect(requestWindow(asked)).toEqual({ fromMs: timeMs - 1, toMs: timeMs + 1_001 });
    expect(asked).toMatchObject({ direction: 'desc', pageLimit: 997 });
    expect(asked.sentinel).toBeUndefined();
  });
});

// biome-ignore format: a table
const hole = (fromMs: number, toMs: number, more: Partial<KnownHole> = {}): KnownHole => ({
  range: { fromMs, toMs }, pass: 0, reason: 'server', due: false, ...more,
});

const page = (timesMs: readonly number[], more: Partial<PageFacts> = {}): PageFacts => ({
  entries: timesMs.length,
  timesMs,
  nextCursor: undefined,
  ...more,
});

const kindOf = (walk: Walk, facts: PageFacts): string => afterPage(walk, facts, 1_000).kind;

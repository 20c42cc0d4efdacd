import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addRange, type Coverage, gapsIn, intersect, isEmpty } from '../../../../src/ingest/planning/coverage.ts';
import {
  afterDone,
  afterHole,
  grownHole,
  holesOfPass,
  idleLane,
  isLookBackDue,
  type KnownHole,
  type LaneState,
  NARROWEST_MS,
  narrowed,
  withoutLookBack,
  withSmallerPages,
} from '../../../../src/ingest/planning/lane.ts';
import { noIntervals, planLanes, type SourceProgress } from '../../../../src/ingest/planning/planner.ts';
import { startWalk, type Walk } from '../../../../src/ingest/planning/walk.ts';
import { forAll } from '../../for-all.ts';
import { holeOf } from './planning.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 5, 1);
const walkOf = (fromMs: number, toMs: number, more: Partial<Walk> = {}): Walk => ({
  ...startWalk('backfill', { fromMs: NOW_MS + fromMs, toMs: NOW_MS + toMs }, { readAtMs: NOW_MS + DAY_MS }),
  ...more,
});
const state = (more: Partial<LaneState>): LaneState => ({ ...idleLane, ...more });

test('narrowed drops the walk with its cursor, asks for half, and remembers what could not be read', () => {
  const walk = walkOf(0, HOUR_MS, { cursor: 'c' });
  const older = { due: true, beforeMs: walk.claim.fromMs };
  expect(narrowed(state({ walk, failures: 1, pageLimit: 125 }), walk)).toEqual(
    state({ widthMs: HOUR_MS / 2, trouble: walk.claim, failures: 2, pageLimit: 125, older }),
  );
});

test('narrowed lets a window of older history go first, and leaves one that cannot be read, either, for later', () => {
  const before = state({
    widthMs: HOUR_MS,
    trouble: walkOf(0, HOUR_MS).claim,
    older: { due: true, beforeMs: NOW_MS },
  });
  const olderWalk = walkOf(-2 * DAY_MS, -DAY_MS, { claimEntries: 9 });
  const later = { due: false, beforeMs: NOW_MS - 2 * DAY_MS };
  expect(narrowed(before, olderWalk)).toEqual({ ...before, failures: 1, older: later });
  expect(afterDone(before, olderWalk)).toEqual({ ...before, entriesPerDay: 10, older: later });
  expect(narrowed({ ...before, older: later }, walkOf(0, HOUR_MS))?.older).toEqual({ ...later, due: true });
  // Of the other lanes each has its own time.
  expect(narrowed(idleLane, walkOf(0, HOUR_MS, { lane: 'live' }))?.older).toBeUndefined();
});

test('narrowed halves down to a second, on whole seconds, and no further', () => {
  const widths: number[] = [];
  for (let widthMs = 10_500; ; ) {
    const half = narrowed(idleLane, walkOf(0, widthMs));
    if (half?.widthMs === undefined) break;
    widthMs = half.widthMs;
    widths.push(widthMs);
  }
  expect(widths).toEqual([6_000, 3_000, 2_000, 1_000]);
  expect(narrowed(idleLane, walkOf(0, 400))).toBeUndefined();
});

describe('afterDone', () => {
  const trouble = { fromMs: NOW_MS, toMs: NOW_MS + HOUR_MS };

  test('keeps how dense the window was, one entry more than there were, and ends the row of failures', () => {
    const before = state({ walk: walkOf(0, HOUR_MS), failures: 7, entriesPerDay: 1 });
    const after = afterDone(before, walkOf(0, HOUR_MS, { claimEntries: 10, entries: 99, pages: 1 }));
    expect(after).toEqual(state({ entriesPerDay: 11 * 24 }));
    expect(afterDone(after, walkOf(0, DAY_MS)).entriesPerDay).toBe(1);
  });

  test('keeps how large pages are, as far as a walk of several can tell', () => {
    const after = afterDone(idleLane, walkOf(0, HOUR_MS, { entries: 250, pages: 3 }));
    expect(after.entriesPerPage).toBe(84);
    expect(afterDone(after, walkOf(0, HOUR_MS, { entries: 3, pages: 1 })).entriesPerPage).toBe(84);
    expect(afterDone(after, walkOf(0, HOUR_MS, { entries: 0, pages: 3 })).entriesPerPage).toBe(1);
  });

  test('does not grow until the trouble has been passed, then doubles from one window to the next', () => {
    const narrow = state({ widthMs: HOUR_MS / 2, trouble });
    // Backfill goes from new to old.
    const half = afterDone(narrow, walkOf(HOUR_MS / 2, HOUR_MS));
    expect(half).toMatchObject({ widthMs: HOUR_MS / 2, trouble });
    const passed = afterDone(half, walkOf(0, HOUR_MS / 2));
    expect(passed).toMatchObject({ widthMs: HOUR_MS, trouble: undefined });
    expect(afterDone(passed, walkOf(-HOUR_MS, 0)).widthMs).toBe(2 * HOUR_MS);
  });

  test('a live lane that leaves the trouble behind grows at once, but looks back over it for two minutes no more', () => {
    const narrow = state({ widthMs: SECOND_MS, trouble });
    const beside = walkOf(HOUR_MS, HOUR_MS + SECOND_MS, { lane: 'live' });
    expect(afterDone(narrow, beside)).toMatchObject({ widthMs: 2 * SECOND_MS, trouble });
    const later = walkOf(HOUR_MS + 120_000, HOUR_MS + 150_000, { lane: 'live' });
    expect(afterDone(narrow, later)).toMatchObject({ widthMs: 2 * SECOND_MS, trouble: undefined });
  });

  test('a width beyond all that Cloudflare keeps is no limit any more', () =>
    expect(afterDone(state({ widthMs: 401 * DAY_MS }), walkOf(0, DAY_MS)).widthMs).toBeUndefined());

  test('a page size that was reduced grows again', () => {
    expect(afterDone(state({ pageLimit: 125 }), walkOf(0, DAY_MS)).pageLimit).toBe(250);
    expect(afterDone(state({ pageLimit: 640 }), walkOf(0, DAY_MS)).pageLimit).toBe(1_000);
  });
});

test('withSmallerPages begins the window again in pages of an eighth, down to 16, then gives up', () => {
  const limits: number[] = [];
  let next: LaneState | undefined = state({ walk: walkOf(0, DAY_MS, { cursor: 'c' }), widthMs: DAY_MS });
  while (next !== undefined) {
    limits.push(next.pageLimit);
    next = withSmallerPages(next);
    if (next !== undefined) expect(next).toMatchObject({ walk: undefined, widthMs: DAY_MS, failures: limits.length });
  }
  expect(limits).toEqual([1_000, 125, 16]);
});

test('the window beside a hole is not much wider, and the one after it as wide as any; nothing else fails any more', () => {
  const before = state({ widthMs: SECOND_MS, trouble: walkOf(0, SECOND_MS).claim, entriesPerDay: 9, failures: 3 });
  const range = walkOf(0, SECOND_MS).claim;
  const after = afterHole(before, { range });
  // biome-ignore format: a table
  expect(after).toEqual({
    ...before, widthMs: 4 * SECOND_MS, besideHole: true, trouble: undefined, older: undefined, failures: 0,
  });
  expect(afterDone(after, walkOf(-4 * SECOND_MS, 0))).toMatchObject({ widthMs: undefined });
  expect(narrowed(after, walkOf(-4 * SECOND_MS, 0)), 'it fails in part').toMatchObject({ widthMs: 2 * SECOND_MS });
});

describe('a hole that grows', () => {
  const { range } = holeOf(walkOf(0, 3 * SECOND_MS).claim);
  const known = holeOf(range);
  const claim = walkOf(3 * SECOND_MS, 15 * SECOND_MS).claim;

  test('takes in a window beside it that is up to four times as wide', () => {
    expect(grownHole([known], 0, claim)).toEqual(walkOf(0, 15 * SECOND_MS).claim);
    expect(grownHole([known], 0, walkOf(3 * SECOND_MS, 16 * SECOND_MS).claim)).toBeUndefined();
    expect(grownHole([known], 0, walkOf(-2 * SECOND_MS, 0).claim)).toEqual(walkOf(-2 * SECOND_MS, 3 * SECOND_MS).claim);
  });

  test('takes in those on both sides', () => {
    const behind = holeOf(walkOf(15 * SECOND_MS, 16 * SECOND_MS).claim);
    expect(grownHole([known, behind], 0, claim)).toEqual(walkOf(0, 16 * SECOND_MS).claim);
  });

  test('one that is retried is left as it is if all of it fails, and what fails of it becomes one of its own', () => {
    const due = holeOf(walkOf(0, HOUR_MS).claim, { due: true });
    expect(grownHole([due], 0, due.range)).toEqual(due.range);
    expect(grownHole([due], 0, claim)).toEqual(claim);
  });

  test('there is none unless there is one of the same pass beside the window', () => {
    expect(grownHole([known], 0, walkOf(4 * SECOND_MS, 5 * SECOND_MS).claim)).toBeUndefined();
    expect([grownHole([known], 1, claim), grownHole([], 0, claim)]).toEqual([undefined, undefined]);
  });
});

describe('a look far back', () => {
  const lived = (lookBack: LaneState['lookBack']) => state({ lookBack });
  const live = (readAtMs: number, direction: Walk['direction']): Walk => ({
    ...walkOf(0, SECOND_MS),
    lane: 'live',
    readAtMs,
    direction,
  });

  test('is due after 20 s, then each time that twice as much has passed since the first reading, and every day', () => {
    let current = afterDone(idleLane, live(NOW_MS, 'asc'));
    const dueAfter: number[] = [];
    for (let ms = 0; ms < 4 * DAY_MS; ms += 10_000) {
      if (!isLookBackDue(current, NOW_MS + ms)) continue;
      dueAfter.push(ms / 10_000);
      current = afterDone(current, live(NOW_MS + ms, 'desc'));
    }
    expect(dueAfter.slice(0, 5)).toEqual([2, 4, 8, 16, 32]);
    expect(dueAfter.length).toBeLessThan(20);
    expect(dueAfter.slice(-2).map((each, n, all) => each - (all[n - 1] ?? 0))[1]).toBe(DAY_MS / 10_000);
  });

  test('is not due before the first reading, nor while there is trouble; one that is refused waits as long as one that is not', () => {
    expect(isLookBackDue(idleLane, NOW_MS)).toBe(false);
    const due = { sinceMs: NOW_MS, lastMs: NOW_MS };
    expect(isLookBackDue(state({ lookBack: due, trouble: walkOf(0, SECOND_MS).claim }), NOW_MS)).toBe(false);
    const refused = withoutLookBack(lived(due), NOW_MS + 60_000);
    expect(refused.lookBack).toEqual({ sinceMs: NOW_MS, lastMs: NOW_MS + 60_000 });
    expect(isLookBackDue(refused, NOW_MS + 119_999)).toBe(false);
    expect(isLookBackDue(refused, NOW_MS + 120_000)).toBe(true);
    expect(withoutLookBack(idleLane, NOW_MS).lookBack).toEqual(due);
  });
});

test('a hole of a pass is one of all later passes, too', () => {
  const range = walkOf(0, SECOND_MS).claim;
  const hole = (pass: number) => holeOf(range, { pass });
  expect(holesOfPass([hole(0)], 0)).toEqual([range]);
  expect(holesOfPass([hole(0)], 2)).toEqual([range]);
  expect([holesOfPass([hole(2)], 1), holesOfPass([{ ...hole(0), due: true }], 0)]).toEqual([[], []]);
});

describe('whatever seconds are poison', () => {
  const HORIZON_MS = NOW_MS - 90 * DAY_MS;
  const END_MS = NOW_MS - SECOND_MS;
  const policy = { horizonMs: HORIZON_MS, settleDelaysMs: [], intervals: noIntervals };

  interface Outcome {
    readonly covered: Coverage;
    readonly holes: readonly KnownHole[];
    readonly walks: readonly { readonly walk: Walk; readonly failed: boolean }[];
  }

  /** Reads all there is. A window that touches a poisoned second fails, and so does one that is wider than the API likes. */
  const readAll = (poisonMs: readonly number[], limitMs = Number.POSITIVE_INFINITY, mostWalks?: number): Outcome => {
    const walks: { readonly walk: Walk; readonly failed: boolean }[] = [];
    let progress: SourceProgress = { coverage: [[]], lanes: {}, holes: [], largestPage: 1_000 };
    for (;;) {
      const [walk] = planLanes(progress, NOW_MS, policy);
      if (walk === undefined || walks.length === mostWalks)
        return { covered: progress.coverage[0] ?? [], holes: progress.holes, walks };
      expect(walks.length).toBeLessThan(3_000);
      const { lane, claim } = walk;
      const before = progress.lanes[lane] ?? idleLane;
      const wide = claim.toMs - claim.fromMs > limitMs;
      const failed = wide || poisonMs.some((atMs) => atMs >= claim.fromMs && atMs < claim.toMs);
      walks.push({ walk, failed });
      const next = failed ? narrowed(before, walk) : afterDone(before, walk);
      progress = {
        ...progress,
        coverage: failed ? progress.coverage : [addRange(progress.coverage[0] ?? [], claim)],
        holes: next === undefined ? [...progress.holes, holeOf(claim)] : progress.holes,
        lanes: { ...progress.lanes, [lane]: next ?? afterHole(before, holeOf(claim)) },
      };
    }
  };

  const poison = fc.array(fc.integer({ min: HORIZON_MS, max: END_MS - 1 }), { maxLength: 3 });

  test('halving ends at each of them, and all other time is read (invariant 9)', () =>
    forAll([poison], 200, (poisonMs) => {
      const { covered, holes } = readAll(poisonMs);
      for (const { range } of holes) {
        expect(range.toMs - range.fromMs).toBeLessThanOrEqual(NARROWEST_MS);
        expect(poisonMs.some((atMs) => atMs >= range.fromMs && atMs < range.toMs)).toBe(true);
        expect(covered.some((each) => !isEmpty(intersect(each, range)))).toBe(false);
      }
      const known = holes.map(({ range }) => range).reduce(addRange, covered);
      expect(gapsIn({ fromMs: HORIZON_MS, toMs: END_MS }, known)).toEqual([]);
    }));

  test('what is older than poison without end is read in turns with it', () => {
    const hour = Array.from({ length: 3_600 }, (_, second) => END_MS - 1 - second * SECOND_MS);
    const { covered } = readAll(hour, Number.POSITIVE_INFINITY, 100);
    expect(gapsIn({ fromMs: HORIZON_MS, toMs: END_MS - 2 * DAY_MS }, covered)).toEqual([]);
  });

  test('two minutes of it cost a few windows a second', () => {
    const minutes = Array.from({ length: 120 }, (_, second) => END_MS - HOUR_MS - 1 - second * SECOND_MS);
    const { walks, holes } = readAll(minutes);
    expect(holes).toHaveLength(120);
    expect(walks.length).toBeLessThan(4 * 120 + 100);
  });

  test('one costs about as many windows as halvings, and the widths grow again behind it', () =>
    forAll([fc.integer({ min: HORIZON_MS + 60 * DAY_MS, max: NOW_MS - DAY_MS - 1 })], 200, (atMs) => {
      const { walks, holes } = readAll([atMs]);
      expect(holes).toHaveLength(1);
      // 2^22 seconds are 48 days; each halving may be followed by a window that is served.
      expect(walks.length).toBeLessThan(3 * 22);
      const widthOf = ({ claim }: Walk) => claim.toMs - claim.fromMs;
      const behind = walks.filter(({ walk }) => walk.claim.toMs <= atMs).map(({ walk }) => widthOf(walk));
      expect(Math.max(...behind)).toBeGreaterThan(20 * DAY_MS);
    }));

  test('a width that the API refuses is found by halving, and retried now and then, not each time', () => {
    const { walks, holes, covered } = readAll([], 5 * DAY_MS);
    expect(holes).toEqual([]);
    expect(covered).toEqual([{ fromMs: HORIZON_MS, toMs: END_MS }]);
    const refused = walks.filter(({ failed }) => failed).length;
    expect(refused).toBeLessThan(0.7 * walks.length);
    expect(walks.length).toBeLessThan((3 * 90) / 2.5);
  });

  test('the newest second, too: the live lane leaves it behind, asks no more than it must beside it, and grows', () => {
    const { holes, walks } = readAll([END_MS - 1]);
    const [hole] = holes;
    expect(hole?.range).toEqual({ fromMs: END_MS - SECOND_MS, toMs: END_MS });
    expect(walks.filter(({ walk }) => walk.lane === 'live').every(({ failed }) => failed)).toBe(true);
    const beside = walks.find(({ walk }) => walk.claim.toMs === END_MS - SECOND_MS)?.walk;
    expect(beside).toMatchObject({ lane: 'backfill', overlapMs: 1, lookbackMs: 1 });
    expect(walks.length).toBeLessThan(40);
  });
});

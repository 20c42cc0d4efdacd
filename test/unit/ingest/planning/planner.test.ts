import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addRange,
  type Coverage,
  gapsIn,
  intersect,
  isEmpty,
  type Range,
} from '../../../../src/ingest/planning/coverage.ts';
import { afterDone, afterHole, idleLane, type LaneState } from '../../../../src/ingest/planning/lane.ts';
import {
  noIntervals,
  type PlanPolicy,
  planLane,
  planLanes,
  type SourceProgress,
  withoutSilence,
} from '../../../../src/ingest/planning/planner.ts';
import {
  type Lane,
  lanes,
  requestWindow,
  shownByLook,
  startWalk,
  type Walk,
} from '../../../../src/ingest/planning/walk.ts';
import { forAll } from '../../for-all.ts';
import { claimed, DAY_MS, HOUR_MS, holeOf, idle, MINUTE_MS, SECOND_MS } from './planning.ts';

const NOW_MS = Date.UTC(2026, 9, 1, 12, 0, 0, 321);
const DELAYS_MS = [10 * MINUTE_MS, DAY_MS];
const HORIZON_MS = NOW_MS - 548 * DAY_MS;
const policy: PlanPolicy = { horizonMs: HORIZON_MS, settleDelaysMs: DELAYS_MS, intervals: noIntervals };
const ago = (fromMs: number, toMs: number): Range => ({ fromMs: NOW_MS - fromMs, toMs: NOW_MS - toMs });
const END_MS = NOW_MS - SECOND_MS;
const widthOf = ({ fromMs, toMs }: Range): number => toMs - fromMs;
const plannedIn = (lane: Lane, progress: SourceProgress, by: PlanPolicy = policy): Walk | undefined =>
  planLane(lane, progress, NOW_MS, by);
const withLane = (lane: Lane, state: Partial<LaneState>, more: Partial<SourceProgress> = {}): SourceProgress => ({
  ...idle,
  ...more,
  lanes: { [lane]: { ...idleLane, ...state } },
});

const time = fc.oneof(
  fc.integer({ min: HORIZON_MS - DAY_MS, max: NOW_MS + HOUR_MS }),
  fc.integer({ min: NOW_MS - 3 * DAY_MS, max: NOW_MS + HOUR_MS }),
  fc.integer({ min: NOW_MS - HOUR_MS, max: NOW_MS + SECOND_MS }),
);
const coverage = fc
  .array(fc.record({ fromMs: time, toMs: time }), { maxLength: 5 })
  .map((ranges) => ranges.reduce(addRange, [] as Coverage));
const holes = fc.array(
  fc.record({
    pass: fc.nat(2),
    reason: fc.constant('server'),
    due: fc.boolean(),
    range: time.map((fromMs) => ({ fromMs, toMs: fromMs + SECOND_MS })),
  }),
  { maxLength: 3 },
);
const progress: fc.Arbitrary<SourceProgress> = fc.record({
  coverage: fc.array(coverage, { maxLength: 3 }),
  holes,
  lanes: fc.constant({}),
  largestPage: fc.constantFrom(0, 40, 1_000),
});

describe('planLanes with a frozen now', () => {
  it('comes to an end with all read up to a second ago, and each pass as far as its batches go (invariant 8)', () =>
    forAll([progress], 1_000, (begin) => {
      const { progress: end, walks } = settle(begin, policy);
      const lacking = (wanted: Range, pass: number) =>
        gapsIn(
          wanted,
          begin.holes
            .filter((hole) => hole.pass <= pass && !hole.due)
            .reduce((all, { range }) => addRange(all, range), end.coverage[pass] ?? []),
        );
      expect(lacking({ fromMs: HORIZON_MS, toMs: END_MS }, 0)).toEqual([]);
      for (const [index, delayMs] of DELAYS_MS.entries()) {
        const due = { fromMs: HORIZON_MS, toMs: NOW_MS - 2 * delayMs };
        const read = end.coverage[0] ?? [];
        const late = lacking(due, index + 1).flatMap((gap) => read.map((each) => intersect(gap, each)));
        expect(late.filter((each) => !isEmpty(each))).toEqual([]);
      }
      for (const { claim, lane, readAtMs } of walks) {
        expect(claim.fromMs).toBeGreaterThanOrEqual(HORIZON_MS);
        expect(claim.toMs).toBeLessThanOrEqual(lane === 'settle' ? NOW_MS - 10 * MINUTE_MS : END_MS);
        expect(isEmpty(claim)).toBe(false);
        expect(readAtMs).toBe(NOW_MS);
      }
    }));

  it('plans nothing that has been read or is a hole, the newest gap first, and each lane for itself', () =>
    forAll([progress], 1_000, (begin) => {
      const walks = planLanes(begin, NOW_MS, policy);
      const order = walks.map(({ lane }) => lanes.indexOf(lane));
      expect(order).toEqual(order.toSorted((a, b) => a - b));
      expect(new Set(order).size).toBe(order.length);
      const known = begin.holes
        .filter(({ pass, due }) => pass === 0 && !due)
        .reduce((all, { range }) => addRange(all, range), begin.coverage[0] ?? []);
      const gaps = gapsIn({ fromMs: HORIZON_MS, toMs: END_MS }, known);
      for (const { lane, claim } of walks) {
        if (lane === 'settle') continue;
        expect(known.filter((range) => !isEmpty(intersect(range, claim)))).toEqual([]);
        expect(claim.toMs).toBe(gaps.filter(({ toMs }) => (toMs === END_MS) === (lane === 'live')).at(-1)?.toMs);
      }
      expect(walks.some(({ lane }) => lane === 'live')).toBe(gaps.at(-1)?.toMs === END_MS);
    }));

  it('asks for all of a history that it knows nothing of, the newest first', () =>
    expect(first(idle)).toMatchObject({
      lane: 'live',
      direction: 'desc',
      claim: { fromMs: HORIZON_MS, toMs: END_MS },
    }));

  it.each<[string, Partial<LaneState>, Partial<PlanPolicy>]>([
    ['that was refused', { lookBack: { sinceMs: 0, lastMs: 0 } }, {}],
    ['whose windows have been too wide', { widthMs: DAY_MS }, {}],
    ['where wide windows are refused to all', {}, { widestMs: DAY_MS }],
  ])('begins with the newest of a history %s', (_, live, more) => {
    const [walk] = planLanes(withLane('live', live), NOW_MS, { ...policy, ...more });
    expect(walk).toMatchObject({ lane: 'live', direction: 'asc' });
    expect(walk && widthOf(walk.claim)).toBeLessThanOrEqual(DAY_MS);
  });

  it('reads the history of a source without a stored entry in windows that get wider, from the newest hour back', () => {
    const { walks, progress: end } = settle(withLane('live', { lookBack: { sinceMs: 0, lastMs: 0 } }), policy);
    const read = walks.filter(({ lane }) => lane !== 'settle');
    expect(read.map(({ lane, claim }) => [lane, Math.round(widthOf(claim) / HOUR_MS)])).toEqual([
      ['live', 1],
      ['backfill', 24],
      ['backfill', 125],
      ['backfill', 750],
      ['backfill', 4_500],
      ['backfill', 548 * 24 - 5_400],
    ]);
    expect(end.coverage[0]).toEqual([{ fromMs: HORIZON_MS, toMs: END_MS }]);
  });

  it.each([
    ['an outage of a week in one walk', 7 * DAY_MS, 7 * DAY_MS - SECOND_MS],
    ['of a longer one the newest day first', 7 * DAY_MS + 2 * SECOND_MS, DAY_MS],
  ])('reads %s, if little happens', (_, outageMs, lengthMs) => {
    const coverages = [[{ fromMs: HORIZON_MS, toMs: NOW_MS - outageMs }]];
    const walk = first({ ...idle, coverage: coverages, eventRate: { perHour: 1 } });
    expect(walk).toMatchObject({ lane: 'live', claim: { fromMs: END_MS - lengthMs, toMs: END_MS } });
  });
});

const read: Coverage = [{ fromMs: HORIZON_MS, toMs: END_MS }];
/** Its last window was empty, so that no width is a question. */
const settling = (ranges: readonly Coverage[]) => withLane('settle', { entriesPerDay: 0.01 }, { coverage: ranges });
const passOne = (fromMs: number, also: readonly Range[] = []): Coverage[] => [
  read,
  [{ fromMs: HORIZON_MS, toMs: NOW_MS - fromMs }, ...also],
  read,
];

// biome-ignore format: a table
it.each<[string, Coverage[], Range | undefined]>([
  ['waits until the oldest part is two delays old', passOne(20 * MINUTE_MS - 1), undefined],
  ['reads up to one delay ago then', passOne(20 * MINUTE_MS), ago(20 * MINUTE_MS, 10 * MINUTE_MS)],
  ['takes the newest gap that is due', passOne(5 * HOUR_MS, [ago(3 * HOUR_MS, 2 * HOUR_MS), ago(HOUR_MS, MINUTE_MS)]), ago(2 * HOUR_MS, HOUR_MS)],
  ['reads again only what was read before', [[ago(3 * HOUR_MS, 2 * HOUR_MS), ago(HOUR_MS, SECOND_MS)], [], read], ago(HOUR_MS, 10 * MINUTE_MS)],
  ['serves the passes in order', [read, [{ fromMs: HORIZON_MS, toMs: NOW_MS - MINUTE_MS * 10 }], []], { fromMs: HORIZON_MS, toMs: NOW_MS - DAY_MS }],
])('settle %s', (_, ranges, claim) => expect(plannedIn('settle', settling(ranges))?.claim).toEqual(claim));

it('settle reads again before it leaves a horizon that is less than two delays away', () => {
  const short = (horizonMs: number): PlanPolicy => ({ ...policy, horizonMs, settleDelaysMs: [30 * DAY_MS] });
  const horizonMs = NOW_MS - 45 * DAY_MS;
  const settled = (toMs: number) => settling([read, [{ fromMs: HORIZON_MS, toMs }]]);
  expect(plannedIn('settle', settled(HORIZON_MS), short(horizonMs))?.claim).toEqual(ago(45 * DAY_MS, 30 * DAY_MS));
  expect(plannedIn('settle', settled(horizonMs + 1), short(horizonMs))).toBeUndefined();
  expect(plannedIn('settle', settled(horizonMs), short(horizonMs))?.claim).toEqual(ago(45 * DAY_MS, 30 * DAY_MS));
  // Not in slices: what is younger than an interval waits.
  const intervals = { liveMs: 0, settleMs: HOUR_MS };
  const sliver = { ...short(NOW_MS - 30 * DAY_MS - HOUR_MS / 2), intervals };
  expect(plannedIn('settle', settled(HORIZON_MS), sliver)).toBeUndefined();
});

it('settle comes behind the live tail and before history', () => {
  const middle = ago(DAY_MS, HOUR_MS);
  const order = (by: readonly Coverage[]) =>
    planLanes({ ...idle, coverage: by }, NOW_MS, policy).map(({ lane }) => lane);
  expect(order([[middle]])).toEqual(['live', 'settle', 'backfill']);
  const tail: Range = { fromMs: middle.fromMs, toMs: END_MS };
  expect(order([[tail]])).toEqual(['settle', 'backfill']);
  expect(order([[tail], [tail], [tail]])).toEqual(['backfill']);
});

it('settle a new pass over a long history begins with what holds twenty pages, not with all of it', () => {
  const begin = { ...idle, coverage: [read, read, []] };
  const widthIn = (more: Partial<SourceProgress>) =>
    widthOf(plannedIn('settle', { ...begin, ...more })?.claim ?? ago(0, 0));
  expect(Math.round(widthIn({ eventRate: { perHour: 100 } }) / HOUR_MS)).toBe(200);
  expect(Math.round(widthIn({}) / HOUR_MS), 'nothing is known of it').toBe(24);
});

describe('an open walk', () => {
  const open = (lane: Lane): Walk => ({
    ...startWalk(lane, ago(2 * HOUR_MS, HOUR_MS), { readAtMs: NOW_MS - MINUTE_MS }),
    cursor: 'c',
  });
  const read: Coverage = [ago(DAY_MS, SECOND_MS)];

  it('goes on before a new one of its lane begins, whatever its lane has been through', () => {
    for (const lane of lanes) {
      const state = { walk: open(lane), failures: 5, widthMs: SECOND_MS };
      const scrubbing = { ...policy, scrub: { everyMs: DAY_MS } };
      expect(plannedIn(lane, withLane(lane, state, { coverage: [read, read, read] }), scrubbing)).toEqual(open(lane));
    }
  });

  it('says nothing about the other lanes, which keep their order', () => {
    const order = (more: SourceProgress) => planLanes(more, NOW_MS, policy).map(({ lane }) => lane);
    expect(order(withLane('settle', { walk: open('settle') }))).toEqual(['live', 'settle']);
    expect(order(withLane('backfill', { walk: open('backfill') }))).toEqual(['live', 'backfill']);
    expect(order(withLane('backfill', { walk: open('backfill') }, { coverage: [read] }))).toEqual([
      'settle',
      'backfill',
    ]);
  });
});

describe('the width of a window', () => {
  const read: Coverage = [ago(DAY_MS, SECOND_MS)];
  const backfillWidth = (state: Partial<LaneState>, more: Partial<SourceProgress> = {}, by = policy): number =>
    widthOf(
      plannedIn('backfill', withLane('backfill', state, { coverage: [read], largestPage: 1_000, ...more }), by)
        ?.claim ?? ago(0, 0),
    );
  /** Windows begin on whole seconds. */
  const about = (expectedMs: number, widthMs: number) => expect(Math.abs(widthMs - expectedMs)).toBeLessThan(SECOND_MS);

  it('is about twenty pages, by how dense the last window of the lane was and how large pages are', () => {
    about(10 * DAY_MS, backfillWidth({ entriesPerDay: 2_000 }));
    about(DAY_MS, backfillWidth({ entriesPerDay: 2_000, entriesPerPage: 100 }));
    about(SECOND_MS, backfillWidth({ entriesPerDay: 1e12 }));
    const perDay = fc.integer({ min: 1, max: 1e7 });
    const perPage = fc.integer({ min: 50, max: 1_000 });
    forAll([perDay, perPage], 1_000, (entriesPerDay, entriesPerPage) => {
      const pages = (backfillWidth({ entriesPerDay, entriesPerPage }) / DAY_MS) * (entriesPerDay / entriesPerPage);
      expect(pages).toBeLessThan(20.01);
      // But where that is more than all of history.
      if (entriesPerDay > 1_000) expect(pages).toBeGreaterThan(17);
    });
  });

  it('is, in a lane that has read nothing yet, by what the live lane has seen happen; a day, if nothing is known', () => {
    about(2 * DAY_MS, backfillWidth({}, { eventRate: { perHour: 10_000 / 24 } }));
    about(DAY_MS, backfillWidth({}));
  });

  it('is, in the live lane, by what it has seen in the long run: a poll of seconds says little; a week at most', () => {
    const liveWidth = (perHour: number | undefined, state: Partial<LaneState> = {}): number => {
      const coverages = [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 7 * DAY_MS }]];
      const more = { coverage: coverages, eventRate: perHour === undefined ? undefined : { perHour } };
      return widthOf(plannedIn('live', withLane('live', state, more))?.claim ?? ago(0, 0));
    };
    about(2 * DAY_MS, liveWidth(10_000 / 24, { entriesPerDay: 1e9 }));
    about(7 * DAY_MS - SECOND_MS, liveWidth(1));
    about(DAY_MS, liveWidth(undefined));
  });

  it('is no more than what the lane has found it can have', () => {
    about(HOUR_MS, backfillWidth({ widthMs: HOUR_MS, entriesPerDay: 1 }));
    const live = plannedIn('live', withLane('live', { widthMs: 4 * SECOND_MS }));
    expect(live?.claim).toEqual({ fromMs: Math.ceil((END_MS - 4 * SECOND_MS) / 1_000) * 1_000, toMs: END_MS });
    const other = plannedIn('backfill', withLane('live', { widthMs: SECOND_MS }, { coverage: [read] }));
    about(DAY_MS, widthOf(other?.claim ?? ago(0, 0)));
  });

  it('is no more than any source of this process could have', () => {
    about(3 * DAY_MS, backfillWidth({ entriesPerDay: 1 }, {}, { ...policy, widestMs: 3 * DAY_MS }));
    about(SECOND_MS, backfillWidth({}, {}, { ...policy, widestMs: 1 }));
  });

  it('asks for pages as small as the lane needs them', () =>
    expect(plannedIn('backfill', withLane('backfill', { pageLimit: 125 }, { coverage: [read] }))?.pageLimit).toBe(125));
});

describe('a hole', () => {
  const hole = holeOf(ago(3 * HOUR_MS + SECOND_MS, 3 * HOUR_MS));
  const around: Coverage = [ago(DAY_MS, 3 * HOUR_MS + SECOND_MS), ago(3 * HOUR_MS, SECOND_MS)];
  const by: PlanPolicy = { ...policy, horizonMs: NOW_MS - DAY_MS, settleDelaysMs: [] };

  it('is left out of planning until it is due, then it is asked for again (invariant 9)', () => {
    expect(planLanes({ ...idle, coverage: [around], holes: [hole] }, NOW_MS, by)).toEqual([]);
    expect(planLanes({ ...idle, coverage: [around], holes: [{ ...hole, due: true }] }, NOW_MS, by)).toMatchObject([
      { lane: 'backfill', claim: hole.range },
    ]);
  });

  it('of the first reading is left out of the later passes as well, one of a later pass only there and behind', () => {
    const settled = (pass: number) => {
      const read: Coverage = [ago(DAY_MS, SECOND_MS)];
      const coverages = [read, ...DELAYS_MS.map(() => around)];
      return planLanes({ ...idle, coverage: coverages, holes: [{ ...hole, pass }] }, NOW_MS, {
        ...by,
        settleDelaysMs: [10 * MINUTE_MS, HOUR_MS],
      });
    };
    expect([settled(0), settled(1)]).toEqual([[], []]);
    expect(settled(2)).toMatchObject([{ lane: 'settle', claim: hole.range }]);
  });

  it('next to a window: no more is asked for than must be', () => {
    const coverages: Coverage[] = [[ago(3 * HOUR_MS, SECOND_MS)]];
    const walk = first({ ...idle, coverage: coverages, holes: [hole] }, by);
    expect(walk).toMatchObject({ lane: 'backfill', overlapMs: 1, lookbackMs: 1, claim: { toMs: hole.range.fromMs } });
    const beside = first({ ...idle, coverage: coverages, holes: [] }, by);
    expect(beside).toMatchObject({ lane: 'backfill', overlapMs: SECOND_MS, lookbackMs: SECOND_MS });
  });
});

const coverages: Coverage[] = [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 31 * SECOND_MS }]];
const reach = (state: Partial<LaneState>): number => {
  const walk = plannedIn('live', withLane('live', state, { coverage: coverages }));
  return walk === undefined ? 0 : walk.claim.fromMs - requestWindow(walk).fromMs;
};

it('the look-back goes two minutes back over what has been read', () => expect(reach({})).toBe(2 * MINUTE_MS));

it('the look-back does not go over a hole, until that is two minutes behind', () => {
  const trouble = ago(90 * SECOND_MS, 89 * SECOND_MS);
  expect(reach({ trouble })).toBe(SECOND_MS);
  const walk = { ...startWalk('live', ago(31 * SECOND_MS, SECOND_MS), { readAtMs: NOW_MS }) };
  const after = afterDone({ ...idleLane, trouble: ago(4 * MINUTE_MS, 3 * MINUTE_MS), widthMs: SECOND_MS }, walk);
  expect(reach(after)).toBe(2 * MINUTE_MS);
  expect(reach(afterHole({ ...idleLane, trouble }, holeOf(trouble)))).toBe(2 * MINUTE_MS);
});

it('the look-back ends at the horizon', () => {
  const by = { ...policy, horizonMs: NOW_MS - 40 * SECOND_MS };
  const walk = plannedIn('live', { ...idle, coverage: coverages }, by);
  expect(walk && requestWindow(walk).fromMs).toBe(NOW_MS - 40 * SECOND_MS);
});

describe('silence before the first entry of an answer, and behind its last one', () => {
  const END = NOW_MS - DAY_MS;
  const YEAR_MS = 365 * DAY_MS;
  /** A walk over a year that has come to its end, with entries from and to so long before the end of the claim. The days that count, from and to. */
  const claimOf = (entries: readonly [fromMs: number, toMs: number] | undefined, shownMs: number, more = {}) => {
    const walk = startWalk('backfill', { fromMs: END - YEAR_MS, toMs: END }, { readAtMs: NOW_MS });
    const [oldestMs, newestMs] = entries?.map((ms) => END - ms) ?? [];
    const read = [{ fromMs: END, toMs: END + 3 * DAY_MS }];
    const claimEntries = oldestMs === undefined || oldestMs >= END ? 0 : 2;
    const { claim } = withoutSilence({ ...walk, oldestMs, newestMs, claimEntries, ...more }, shownMs, read) ?? walk;
    return [END - claim.fromMs, END - claim.toMs].map((ms) => Math.round(ms / DAY_MS));
  };
  const week = [7 * DAY_MS, 0] as const;

  it.each<[string, number[], readonly [number, number]]>([
    ['is not counted, though other logs have been shown as wide', claimOf(week, 366 * DAY_MS), [7, 0]],
    ['counts if the window was made by silence as wide', claimOf(week, 0, { silenceMs: YEAR_MS }), [365, 0]],
    ['counts for a day', claimOf([1_000, 0], 0), [1, 0]],
    [
      'of all of the window counts some times as far as what was read beside it',
      claimOf([-3 * DAY_MS, -3 * DAY_MS], 0, { overlapMs: 3 * DAY_MS + SECOND_MS }),
      [12, 0],
    ],
    ['says nothing if nothing came, which others judge', claimOf(undefined, 0), [365, 0]],
    ['is not counted behind the last one, either', claimOf([YEAR_MS, 300 * DAY_MS], 0), [365, 300]],
    [
      'counts there a week from the beginning, if as much has been shown',
      claimOf([YEAR_MS, YEAR_MS], 30 * DAY_MS),
      [365, 358],
    ],
    ['of one entry in the middle counts its newer side', claimOf([90 * DAY_MS, 90 * DAY_MS], 0), [90, 0]],
  ])('%s', (_, days, expected) => expect(days).toEqual(expected));

  const live = startWalk('live', { fromMs: END - 30 * SECOND_MS, toMs: END }, { readAtMs: NOW_MS, direction: 'desc' });
  const seen = (fromMs: number, toMs: number) => ({ entries: 9, oldestMs: END - fromMs, newestMs: END - toMs });

  it('a look far back that is wider than any that was shown does not show the tail, unless an entry of that came', () => {
    const back = { ...live, lookbackMs: 30 * DAY_MS };
    expect(withoutSilence(back, 0, [])).toBeUndefined();
    expect(withoutSilence({ ...back, ...seen(29 * DAY_MS, 9 * DAY_MS) }, 0, [])).toBeUndefined();
    expect(withoutSilence(back, 31 * DAY_MS, [])).toBe(back);
    expect(withoutSilence({ ...back, ...seen(DAY_MS, SECOND_MS), claimEntries: 1 }, 0, [])?.claim).toEqual(back.claim);
  });

  it('a look far back counts to its newest entry if that is older than two hours: wide windows may lag', () => {
    const back = { ...live, claim: { fromMs: END - 9 * DAY_MS, toMs: END }, lookbackMs: 30 * DAY_MS };
    const untilMs = (newestMs: number) =>
      withoutSilence({ ...back, ...seen(30 * DAY_MS, newestMs) }, 31 * DAY_MS, [])?.claim.toMs;
    expect(untilMs(119 * MINUTE_MS)).toBe(END);
    expect(untilMs(2 * DAY_MS)).toBe(Math.floor((END - 2 * DAY_MS) / SECOND_MS) * SECOND_MS);
    expect(untilMs(9 * DAY_MS)).toBeUndefined();
  });

  const all = { ...live, claim: { fromMs: END - YEAR_MS, toMs: END } };
  const desc = { firstMs: END - DAY_MS, lastMs: END - 9 * DAY_MS, mostDownMs: DAY_MS };
  const page = { ...all, ...seen(9 * DAY_MS, DAY_MS), ...desc };

  // biome-ignore format: a table
  it.each<[string, Walk, number | undefined]>([
    ['from its oldest entry on', page, 9 * DAY_MS],
    ['of a page that others follow, without a minute and its last entries', { ...page, cursor: 'next' }, 2 * DAY_MS - MINUTE_MS],
    ['no less if it had nothing', all, YEAR_MS],
    ['nothing if it had nothing, and goes on', { ...all, cursor: 'next' }, undefined],
    ['nothing if the oldest came first', { ...page, cursor: 'next', lastMs: END, mostUpMs: DAY_MS, mostDownMs: 0 }, undefined],
    ['nothing if its number differs', { ...page, cursor: 'next', countedInAll: 10 }, undefined],
    ['nothing if it speaks of a part', { ...page, cursor: 'next', isPartial: true }, undefined],
    ['nothing of a page of a minute', { ...page, ...seen(3 * DAY_MS, 2 * DAY_MS - MINUTE_MS), cursor: 'next' }, undefined],
  ])('a look at all of history shows %s', (_, walk, sinceMs) => {
    // Of ten, the last one is late.
    const timesMs = Array.from({ length: 20 }, (_, n) => END - DAY_MS * (n < 19 ? 1 + n / 10 : 9));
    const shown = shownByLook(walk, timesMs);
    if (walk.cursor !== undefined) expect(shownByLook(walk, []), 'an empty second page').toBeUndefined();
    const fromMs = sinceMs && Math.ceil((END - sinceMs) / SECOND_MS) * SECOND_MS;
    expect(shown?.claim.fromMs).toBe(sinceMs === YEAR_MS ? END - YEAR_MS : fromMs);
    if (shown !== undefined) expect(requestWindow(shown)).toEqual(requestWindow(walk));
  });
});

const first = (progress: SourceProgress, by: PlanPolicy = policy): Walk | undefined =>
  planLanes(progress, NOW_MS, by)[0];

/** Plans and claims until there is nothing left. */
const settle = (begin: SourceProgress, by: PlanPolicy, most = 60) => {
  const walks: Walk[] = [];
  let progress = begin;
  for (let walk = first(progress, by); walk !== undefined; walk = first(progress, by)) {
    expect(walks.length).toBeLessThan(most);
    walks.push(walk);
    progress = claimed(progress, walk, by.settleDelaysMs);
  }
  return { progress, walks };
};

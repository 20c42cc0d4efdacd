import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addRange, type Coverage, gapsIn, intersect, isEmpty, type Range } from '../../src/domain/coverage.ts';
import { noIntervals } from '../../src/domain/lane-intervals.ts';
import { type PlanPolicy, planNext, type SourceProgress } from '../../src/domain/planner.ts';
import { claimForPass, lanes, startWalk, type Walk } from '../../src/domain/walk.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 9, 1, 12, 0, 0, 321);
const DELAYS_MS = [10 * MINUTE_MS, DAY_MS];
const HORIZON_MS = NOW_MS - 548 * DAY_MS;
const policy: PlanPolicy = { horizonMs: HORIZON_MS, settleDelaysMs: DELAYS_MS, intervals: noIntervals };
const nothing: SourceProgress = { coverage: [], openWalks: [], failures: 0 };
const ago = (fromMs: number, toMs: number): Range => ({ fromMs: NOW_MS - fromMs, toMs: NOW_MS - toMs });
const END_MS = NOW_MS - SECOND_MS;

const planned = (progress: SourceProgress, nowMs = NOW_MS, by: PlanPolicy = policy): Walk | undefined => {
  const plan = planNext(progress, nowMs, by);
  return plan.kind === 'walk' ? plan.walk : undefined;
};

/** The walk is read to its end. */
const claimed = (progress: SourceProgress, walk: Walk, delaysMs: readonly number[] = DELAYS_MS): SourceProgress => ({
  failures: 0,
  openWalks: progress.openWalks.filter(({ lane }) => lane !== walk.lane),
  coverage: [0, ...delaysMs].map((delayMs, pass) =>
    (pass === 0 ? [walk.claim] : claimForPass(walk, walk.claim, delayMs)).reduce(
      addRange,
      progress.coverage[pass] ?? [],
    ),
  ),
});

/** Plans and claims until there is nothing left, and checks each plan against what is known before it. */
const settle = (begin: SourceProgress, nowMs: number, by: PlanPolicy, most = 60) => {
  const walks: Walk[] = [];
  let progress = begin;
  for (let walk = planned(progress, nowMs, by); walk !== undefined; walk = planned(progress, nowMs, by)) {
    expect(walks.length).toBeLessThan(most);
    walks.push(walk);
    progress = claimed(progress, walk, by.settleDelaysMs);
  }
  return { progress, walks };
};

const time = fc.oneof(
  fc.integer({ min: HORIZON_MS - DAY_MS, max: NOW_MS + HOUR_MS }),
  fc.integer({ min: NOW_MS - 3 * DAY_MS, max: NOW_MS + HOUR_MS }),
  fc.integer({ min: NOW_MS - HOUR_MS, max: NOW_MS + SECOND_MS }),
);
const coverage = fc
  .array(fc.record({ fromMs: time, toMs: time }), { maxLength: 5 })
  .map((ranges) => ranges.reduce(addRange, [] as Coverage));
const progress: fc.Arbitrary<SourceProgress> = fc.record({
  coverage: fc.array(coverage, { maxLength: 3 }),
  openWalks: fc.constant([]),
  failures: fc.nat(6),
});

describe('planNext with a frozen now', () => {
  it('comes to an end with all read up to a second ago, and each pass as far as its batches go', () => {
    fc.assert(
      fc.property(progress, (begin) => {
        const { progress: end, walks } = settle(begin, NOW_MS, policy);
        expect(gapsIn({ fromMs: HORIZON_MS, toMs: END_MS }, end.coverage[0] ?? [])).toEqual([]);
        for (const [index, delayMs] of DELAYS_MS.entries()) {
          const due = { fromMs: HORIZON_MS, toMs: NOW_MS - 2 * delayMs };
          expect(gapsIn(due, end.coverage[index + 1] ?? [])).toEqual([]);
        }
        for (const { claim, lane, startedAtMs } of walks) {
          expect(claim.fromMs).toBeGreaterThanOrEqual(HORIZON_MS);
          expect(claim.toMs).toBeLessThanOrEqual(lane === 'settle' ? NOW_MS - 10 * MINUTE_MS : END_MS);
          expect(isEmpty(claim)).toBe(false);
          expect(startedAtMs).toBe(NOW_MS);
        }
        expect(walks.map(({ lane }) => lanes.indexOf(lane))).toEqual(
          walks.map(({ lane }) => lanes.indexOf(lane)).toSorted(),
        );
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  it('claims nothing that has been read, and the newest gap first', () => {
    fc.assert(
      fc.property(progress, (begin) => {
        const walk = planned(begin);
        if (walk === undefined || walk.lane === 'settle') return;
        const covered = begin.coverage[0] ?? [];
        expect(covered.filter((range) => !isEmpty(intersect(range, walk.claim)))).toEqual([]);
        const newest = gapsIn({ fromMs: HORIZON_MS, toMs: END_MS }, covered).at(-1);
        expect(walk.claim.toMs).toBe(newest?.toMs);
        expect(walk.lane === 'live').toBe(newest?.toMs === END_MS);
      }),
      { seed: 1, numRuns: 2_000 },
    );
  });

  it('reads a first history in a few windows that get wider, from the newest day back', () => {
    const { walks, progress: end } = settle(nothing, NOW_MS, policy);
    expect(walks.map(({ lane, claim }) => [lane, Math.round((claim.toMs - claim.fromMs) / DAY_MS)])).toEqual([
      ['live', 1],
      ['backfill', 32],
      ['backfill', 515],
    ]);
    expect(end.coverage).toEqual([
      [{ fromMs: HORIZON_MS, toMs: END_MS }],
      ...DELAYS_MS.map((delayMs) => [{ fromMs: HORIZON_MS, toMs: NOW_MS - delayMs }]),
    ]);
  });

  it.each([
    ['an outage of a week in one walk', 7 * DAY_MS, 7 * DAY_MS - SECOND_MS],
    ['of a longer one the newest day first', 7 * DAY_MS + 2 * SECOND_MS, DAY_MS],
  ])('reads %s', (_, outageMs, lengthMs) => {
    const walk = planned({ ...nothing, coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - outageMs }]] });
    expect(walk).toMatchObject({ lane: 'live', claim: { fromMs: END_MS - lengthMs, toMs: END_MS } });
  });

  it('wants nothing where the horizon is not past yet', () => {
    expect(planNext(nothing, NOW_MS, { ...policy, horizonMs: NOW_MS + DAY_MS })).toEqual({ kind: 'idle' });
    expect(planNext(nothing, NOW_MS, { ...policy, horizonMs: END_MS })).toEqual({ kind: 'idle' });
  });
});

describe('settle', () => {
  const read: Coverage = [{ fromMs: HORIZON_MS, toMs: END_MS }];
  const first = (fromMs: number, also: readonly Range[] = []): Coverage[] => [
    read,
    [{ fromMs: HORIZON_MS, toMs: NOW_MS - fromMs }, ...also],
    read,
  ];

  it.each<[string, Coverage[], Range | undefined]>([
    ['waits until the oldest part is two delays old', first(20 * MINUTE_MS - 1), undefined],
    ['reads up to one delay ago then', first(20 * MINUTE_MS), ago(20 * MINUTE_MS, 10 * MINUTE_MS)],
    [
      'takes the newest gap that is due',
      first(5 * HOUR_MS, [ago(3 * HOUR_MS, 2 * HOUR_MS), ago(HOUR_MS, MINUTE_MS)]),
      ago(2 * HOUR_MS, HOUR_MS),
    ],
    [
      'reads again only what was read before',
      [[ago(3 * HOUR_MS, 2 * HOUR_MS), ago(HOUR_MS, SECOND_MS)], [], read],
      ago(HOUR_MS, 10 * MINUTE_MS),
    ],
    [
      'serves the passes in order',
      [read, [{ fromMs: HORIZON_MS, toMs: NOW_MS - MINUTE_MS * 10 }], []],
      { fromMs: HORIZON_MS, toMs: NOW_MS - DAY_MS },
    ],
  ])('%s', (_, ranges, claim) => {
    const walk = planned({ ...nothing, coverage: ranges });
    expect(walk?.claim).toEqual(claim);
    expect(walk?.lane).toBe(claim === undefined ? undefined : 'settle');
  });

  it('comes behind the live tail and before history', () => {
    const middle = ago(DAY_MS, HOUR_MS);
    expect(planned({ ...nothing, coverage: [[middle]] })?.lane).toBe('live');
    const tail: Range = { fromMs: middle.fromMs, toMs: END_MS };
    expect(planned({ ...nothing, coverage: [[tail]] })?.lane).toBe('settle');
    expect(planned({ ...nothing, coverage: [[tail], [tail], [tail]] })?.lane).toBe('backfill');
  });
});

describe('open walks and failures', () => {
  it('goes on with the open walk of a lane before another of it begins, but lanes keep their order', () => {
    const open = (lane: Walk['lane']): Walk => ({
      ...startWalk(lane, ago(2 * HOUR_MS, HOUR_MS), NOW_MS - MINUTE_MS),
      cursor: 'c',
    });
    const read: Coverage = [ago(DAY_MS, SECOND_MS)];
    for (const lane of lanes) {
      expect(planned({ coverage: [read, read, read], openWalks: [open(lane)], failures: 5 })).toEqual(open(lane));
    }
    expect(planned({ ...nothing, openWalks: [open('settle'), open('backfill')] })?.lane).toBe('live');
    expect(planned({ ...nothing, openWalks: [open('backfill'), open('live')] })).toEqual(open('live'));
    expect(planned({ ...nothing, coverage: [read], openWalks: [open('backfill')] })?.lane).toBe('settle');
  });

  it('asks for a smaller newest part after each failure from the second on, down to an hour', () => {
    const lengths = [0, 1, 2, 3, 4, 20].map((failures) => {
      const claim = planned({ ...nothing, failures })?.claim;
      expect(claim?.toMs).toBe(END_MS);
      return (END_MS - (claim?.fromMs ?? 0)) / HOUR_MS;
    });
    expect(lengths).toEqual([24, 24, 6, 1.5, 1, 1]);
  });

  it('does not narrow what is an hour or less', () => {
    const coverage = [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 30 * MINUTE_MS }]];
    expect(planned({ ...nothing, coverage, failures: 20 })?.claim).toEqual(ago(30 * MINUTE_MS, SECOND_MS));
  });
});

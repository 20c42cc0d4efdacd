import { expect, test } from 'vitest';
import {
  laneIntervals,
  noIntervals,
  type PlanPolicy,
  planLanes,
  type SourceProgress,
} from '../../../../../src/ingest/planning/planner.ts';
import {
  type EventRate,
  expectedPerHour,
  historyObservationOf,
  observationOf,
  observed,
} from '../../../../../src/ingest/planning/source.ts';
import { afterPage, startWalk, type Walk } from '../../../../../src/ingest/planning/walk.ts';

const HOUR_MS = 3_600_000;

test.each([
  [25, 900, 11_904],
  [150, 900, 71_428],
  [5_000, 900, 2_380_952],
  [1, 1_000_000, 0],
])(
  'laneIntervals %i sources on %i requests per 5 minutes: each live tail at most every %i ms',
  (sources, budget, liveMs) => expect(laneIntervals(sources, budget).liveMs).toBe(liveMs),
);

test('laneIntervals live and settle together leave a part of the budget to history (invariant 11)', () => {
  const { liveMs, settleMs } = laneIntervals(1_000, 900);
  const requestsPerWindow = 300_000 * 1_000 * (1 / liveMs + 1 / settleMs);
  expect(requestsPerWindow).toBeLessThan(0.86 * 900);
});

test('a live tail that is younger than its interval waits, and history is read meanwhile', () => {
  expect(laneOf(policy)).toBe('live');
  expect(laneOf({ ...policy, intervals: { liveMs: 50_000, settleMs: 0 } })).toBe('live');
  expect(laneOf({ ...policy, intervals: { liveMs: 120_000, settleMs: 0 } })).toBe('backfill');
});

test('a live tail that is younger than its interval is not taken by the backfill lane', () => {
  const plan = planLanes(progress, NOW_MS, { ...policy, intervals: { liveMs: 120_000, settleMs: 0 } });
  expect(plan).toMatchObject([
    { lane: 'backfill', claim: { fromMs: NOW_MS - 240 * HOUR_MS, toMs: NOW_MS - 239 * HOUR_MS } },
  ]);
});

test('a settle pass waits for its interval, too', () => {
  const by: PlanPolicy = { ...policy, settleDelaysMs: [HOUR_MS], intervals: { liveMs: 120_000, settleMs: 0 } };
  expect(laneOf(by)).toBe('settle');
  expect(laneOf({ ...by, intervals: { liveMs: 120_000, settleMs: 1_000 * HOUR_MS } })).toBe('backfill');
});

const FROM_MS = Date.UTC(2026, 0, 1);
const silent = (hours: number, rate?: EventRate) => observed(rate, { events: 0, spanMs: hours * HOUR_MS });
const alone = (rate: EventRate | undefined): number => expectedPerHour([rate, ...silents])[0] ?? 0;
/** Among others that are silent, what one says of itself counts. */
const silents = Array.from({ length: 20 }, () => silent(48));

test('observed one look at a day gives about that day’s rate', () => {
  expect(observed(undefined, { events: 240, spanMs: 24 * HOUR_MS }).perHour).toBeCloseTo(8, 0);
  expect(silent(24).perHour).toBeLessThan(0.01);
});

test('observed an ask that brought events raises the estimate at once, and silence lets it fall', () => {
  const before = silent(24);
  const burst = observed(before, { events: 20, spanMs: 600_000 });
  expect(alone(burst)).toBeGreaterThan(100 * alone(before));
  const hours = [1, 2, 4, 8, 16].map((each) => alone(silent(each, burst)));
  expect(hours).toEqual([...hours].sort((a, b) => b - a));
  expect(hours.at(-1)).toBeLessThan(alone(burst) / 20);
  expect(silent(1_000, burst).perHour).toBeLessThan(1e-5);
});

test('observed a day in many looks is as one look at that day', () => {
  const start = silent(24);
  let many = start;
  for (let n = 0; n < 48; n += 1) many = observed(many, { events: 5, spanMs: HOUR_MS / 2 });
  const one = observed(start, { events: 240, spanMs: 24 * HOUR_MS });
  expect(many.perHour).toBeCloseTo(one.perHour, 6);
  expect(many.recentPerHour).toBeCloseTo(one.recentPerHour, 6);
});

test('expectedPerHour where sources differ by chance alone, all are taken as alike', () => {
  const rates = Array.from({ length: 100 }, (_, n) => ({ perHour: n % 2 === 0 ? 0.98 : 1.02, recentPerHour: 1 }));
  expect(new Set(expectedPerHour(rates)).size).toBe(1);
});

test('expectedPerHour where they differ by more, each counts for itself', () => {
  const rates = Array.from({ length: 100 }, (_, n) => ({ perHour: n < 5 ? 100 : 0.1, recentPerHour: 0 }));
  const expected = expectedPerHour(rates);
  expect(expected[0]).toBeCloseTo(100, 0);
  expect(expected[99]).toBeLessThan(0.2);
});

test('expectedPerHour one without any history is taken as the average', () => {
  const rate = { perHour: 3, recentPerHour: 3 };
  expect([...expectedPerHour([rate, undefined, rate])]).toEqual([3, 3, 3]);
  expect(expectedPerHour([undefined])[0]).toBeGreaterThan(0);
});

const claim = { fromMs: FROM_MS, toMs: FROM_MS + HOUR_MS };
const walk = startWalk('live', claim, { readAtMs: claim.toMs + 1_000, lookBackToMs: 0 });
const page = (of: Walk, minutes: readonly number[], nextCursor?: string): Walk => {
  const timesMs = minutes.map((minute) => FROM_MS + minute * 60_000);
  return afterPage(of, { entries: timesMs.length, timesMs, nextCursor }, 1_000).walk;
};

test('observationOf what lies in the look-back was seen before, and does not count again', () => {
  expect(observationOf(page(walk, [-2, -1, 0, 5, 50]))).toEqual({ events: 3, spanMs: HOUR_MS });
  expect(observationOf(page(walk, []))).toEqual({ events: 0, spanMs: HOUR_MS });
});

test('observationOf a walk of several pages says what all of them brought', () => {
  const first = page(walk, [-1, 1, 20], 'c');
  expect(observationOf(page(first, [30, 40]))).toEqual({ events: 4, spanMs: HOUR_MS });
});

test('the first window of a history says its average, for a week at most', () => {
  const of = (hours: number, claimEntries: number) =>
    historyObservationOf({ claim: { fromMs: FROM_MS, toMs: FROM_MS + hours * HOUR_MS }, claimEntries });
  expect(of(24, 12)).toEqual({ events: 12, spanMs: 24 * HOUR_MS });
  expect(of(700 * 24, 7_000)).toEqual({ events: 70, spanMs: 7 * 24 * HOUR_MS });
});

const NOW_MS = Date.UTC(2026, 5, 1);

/** Read up to a minute ago, but for an hour's gap ten days ago; nothing settled. */
const progress: SourceProgress = {
  coverage: [
    [
      { fromMs: NOW_MS - 480 * HOUR_MS, toMs: NOW_MS - 240 * HOUR_MS },
      { fromMs: NOW_MS - 239 * HOUR_MS, toMs: NOW_MS - 60_000 },
    ],
  ],
  lanes: {},
  holes: [],
  largestPage: 0,
};
const policy: PlanPolicy = { horizonMs: NOW_MS - 480 * HOUR_MS, settleDelaysMs: [], intervals: noIntervals };
const laneOf = (by: PlanPolicy): string | undefined => planLanes(progress, NOW_MS, by)[0]?.lane;

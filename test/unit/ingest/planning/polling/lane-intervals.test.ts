import { describe, expect, test } from 'vitest';
import { type PlanPolicy, planLanes, type SourceProgress } from '../../../../../src/ingest/planning/planner.ts';
import { laneIntervals, noIntervals } from '../../../../../src/ingest/planning/polling/lane-intervals.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const HOUR_MS = 3_600_000;

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

describe('laneIntervals', () => {
  test.each([
    [25, 900, 11_904],
    [150, 900, 71_428],
    [5_000, 900, 2_380_952],
    [1, 1_000_000, 0],
  ])('%i sources on %i requests per 5 minutes: each live tail at most every %i ms', (sources, budget, liveMs) => {
    expect(laneIntervals(sources, budget).liveMs).toBe(liveMs);
  });

  test('live and settle together leave a part of the budget to history', () => {
    const { liveMs, settleMs } = laneIntervals(1_000, 900);
    const requestsPerWindow = 300_000 * 1_000 * (1 / liveMs + 1 / settleMs);
    expect(requestsPerWindow).toBeLessThan(0.86 * 900);
  });
});

describe('a live tail that is younger than its interval', () => {
  test('waits, and history is read meanwhile', () => {
    expect(laneOf(policy)).toBe('live');
    expect(laneOf({ ...policy, intervals: { liveMs: 50_000, settleMs: 0 } })).toBe('live');
    expect(laneOf({ ...policy, intervals: { liveMs: 120_000, settleMs: 0 } })).toBe('backfill');
  });

  test('is not taken by the backfill lane', () => {
    const plan = planLanes(progress, NOW_MS, { ...policy, intervals: { liveMs: 120_000, settleMs: 0 } });
    expect(plan).toMatchObject([
      { lane: 'backfill', claim: { fromMs: NOW_MS - 240 * HOUR_MS, toMs: NOW_MS - 239 * HOUR_MS } },
    ]);
  });
});

test('a settle pass waits for its interval, too', () => {
  const by: PlanPolicy = { ...policy, settleDelaysMs: [HOUR_MS], intervals: { liveMs: 120_000, settleMs: 0 } };
  expect(laneOf(by)).toBe('settle');
  expect(laneOf({ ...by, intervals: { liveMs: 120_000, settleMs: 1_000 * HOUR_MS } })).toBe('backfill');
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { addRange, type Coverage, gapsIn } from '../../../../src/ingest/planning/coverage.ts';
import { idleLane, withoutLookBack } from '../../../../src/ingest/planning/lane.ts';
import {
  noIntervals,
  type PlanPolicy,
  planLanes,
  SILENT_LOOK_MS,
  type SourceProgress,
} from '../../../../src/ingest/planning/planner.ts';
import type { Lane } from '../../../../src/ingest/planning/walk.ts';
import { startWalk, type Walk } from '../../../../src/ingest/planning/walk.ts';
import { forAll } from '../../for-all.ts';
import { claimed, DAY_MS, HOUR_MS, idle } from './planning.ts';

const START_MS = Date.UTC(2026, 9, 1, 12);
const DELAYS_MS = [600_000, DAY_MS];
const HORIZON_MS = START_MS - 548 * DAY_MS;

it('an idle source over three days of ticks needs one request a tick, and one a settle delay for each pass', () => {
  const count: Record<Lane, number> = { live: 0, settle: 0, backfill: 0, scrub: 0 };
  const ticks = (3 * DAY_MS) / TICK_MS;
  // The look at all of history was answered with nothing.
  const live = { ...withoutLookBack(idleLane, START_MS), widthMs: SILENT_LOOK_MS };
  let progress: SourceProgress = { ...idle, lanes: { live } };
  for (let n = 0; n < ticks; n += 1) {
    const nowMs = START_MS + n * TICK_MS;
    const result = tick(progress, nowMs, {
      horizonMs: HORIZON_MS,
      settleDelaysMs: DELAYS_MS,
      intervals: noIntervals,
    });
    progress = result.progress;
    for (const { lane } of result.walks) count[lane] += 1;
    expect(progress.coverage[0]).toEqual([{ fromMs: HORIZON_MS, toMs: nowMs - 1_000 }]);
    for (const [index, delayMs] of DELAYS_MS.entries()) {
      const late = { fromMs: HORIZON_MS, toMs: nowMs - 2 * delayMs - TICK_MS };
      expect(gapsIn(late, progress.coverage[index + 1] ?? [])).toEqual([]);
    }
  }
  expect(count.live).toBe(ticks);
  expect(count.backfill).toBe(5);
  const batches = DELAYS_MS.reduce((sum, delayMs) => sum + Math.floor((3 * DAY_MS) / delayMs), 0);
  expect(count.settle).toBeGreaterThan(batches / 2);
  expect(count.settle).toBeLessThanOrEqual(batches);
});

it('an idle source over three days of ticks catches up after outages of any length, at any rhythm, and never claims the last second', () => {
  const steps = fc.array(fc.constantFrom(1_000, TICK_MS, 600_000, 7 * HOUR_MS, 9 * DAY_MS), { maxLength: 40 });
  forAll([steps], 300, (all) => {
    let progress = idle;
    let nowMs = START_MS;
    for (const stepMs of all) {
      nowMs += stepMs;
      const horizonMs = nowMs - 548 * DAY_MS;
      const result = tick(progress, nowMs, { horizonMs, settleDelaysMs: DELAYS_MS, intervals: noIntervals });
      progress = result.progress;
      for (const { claim } of result.walks) expect(claim.toMs).toBeLessThanOrEqual(nowMs - 1_000);
      expect(gapsIn({ fromMs: horizonMs, toMs: nowMs - 1_000 }, progress.coverage[0] ?? [])).toEqual([]);
    }
  });
});

const walkOver = (fromMs: number, toMs: number): Walk =>
  startWalk('backfill', { fromMs, toMs }, { readAtMs: START_MS });

const untilMs = START_MS - 30 * DAY_MS;
const policy: PlanPolicy = { horizonMs: HORIZON_MS, settleDelaysMs: DELAYS_MS, intervals: noIntervals, untilMs };

it('a backfill up to a date stays before that date, reads all up to it, and ends', () => {
  const time = fc.integer({ min: HORIZON_MS - 10 * DAY_MS, max: START_MS });
  const ranges = fc.array(fc.record({ fromMs: time, toMs: time }), { maxLength: 4 });
  const openWalk = fc.record({ fromMs: time, lengthMs: fc.integer({ min: 1, max: 90 * DAY_MS }) });
  forAll([ranges, fc.option(openWalk)], 300, (read, open) => {
    const covered = read.reduce(addRange, [] as Coverage);
    const begin = open === null ? idle : openIn('backfill', walkOver(open.fromMs, open.fromMs + open.lengthMs));
    const { progress, walks } = tick({ ...begin, coverage: [covered] }, START_MS, policy);
    for (const { claim, lane } of walks) {
      expect(lane).toBe('backfill');
      expect(claim.fromMs).toBeGreaterThanOrEqual(HORIZON_MS);
      expect(claim.toMs).toBeLessThanOrEqual(untilMs);
    }
    expect(gapsIn({ fromMs: HORIZON_MS, toMs: untilMs }, progress.coverage[0] ?? [])).toEqual([]);
  });
});

it('a backfill up to a date does not resume a walk of the daemon that goes on behind the date', () => {
  const open = walkOver(HORIZON_MS, untilMs + DAY_MS);
  const early = { ...policy, untilMs: HORIZON_MS + DAY_MS };
  expect(planLanes(openIn('backfill', open), START_MS, early)).toMatchObject([
    { claim: { fromMs: HORIZON_MS, toMs: HORIZON_MS + DAY_MS } },
  ]);
});

it('a backfill up to a date resumes its own walk, also one that failures made narrower', () => {
  for (const widthMs of [undefined, 8_000]) {
    const begin = { ...idle, lanes: { backfill: { ...idleLane, widthMs } } };
    const [walk] = planLanes(begin, START_MS, policy);
    if (walk === undefined) throw new Error('nothing was planned');
    // A page was read; the turn ended, and the walk stayed open.
    const open: Walk = { ...walk, cursor: 'c', pages: 20 };
    expect(planLanes(openIn('backfill', open), START_MS, policy)).toEqual([open]);
  }
});

it('a backfill up to a date leaves the other lanes, and what they have open, alone', () => {
  const live = startWalk('live', { fromMs: START_MS - DAY_MS, toMs: START_MS - 1_000 }, { readAtMs: START_MS });
  const begin = { ...openIn('live', live), coverage: [[{ fromMs: HORIZON_MS, toMs: untilMs }]] };
  expect(planLanes(begin, START_MS, policy)).toEqual([]);
});

it('a backfill up to a date never reaches into the last second, whatever the date', () => {
  const [walk] = planLanes(idle, START_MS, { ...policy, untilMs: START_MS + DAY_MS });
  expect(walk).toMatchObject({ lane: 'backfill', claim: { toMs: START_MS - 1_000 } });
});

const TICK_MS = 30_000;

/** Every walk that an idle source needs at one tick: an empty page each. */
const tick = (begin: SourceProgress, nowMs: number, policy: PlanPolicy) => {
  const walks: Walk[] = [];
  let progress = begin;
  for (
    let [walk] = planLanes(progress, nowMs, policy);
    walk !== undefined;
    [walk] = planLanes(progress, nowMs, policy)
  ) {
    expect(walks.length).toBeLessThan(20);
    walks.push(walk);
    progress = claimed(progress, walk, policy.settleDelaysMs);
  }
  return { progress, walks };
};

const openIn = (lane: Lane, walk: Walk): SourceProgress => ({ ...idle, lanes: { [lane]: { ...idleLane, walk } } });

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addRange, type Coverage, gapsIn } from '../../src/domain/coverage.ts';
import { noIntervals } from '../../src/domain/lane-intervals.ts';
import { type PlanPolicy, planNext, type SourceProgress } from '../../src/domain/planner.ts';
import { claimForPass, type Lane, startWalk, type Walk } from '../../src/domain/walk.ts';

const DAY_MS = 86_400_000;
const TICK_MS = 30_000;
const START_MS = Date.UTC(2026, 9, 1, 12);
const DELAYS_MS = [600_000, DAY_MS];
const HORIZON_MS = START_MS - 548 * DAY_MS;
const nothing: SourceProgress = { coverage: [], openWalks: [], failures: 0 };

const claimed = (progress: SourceProgress, walk: Walk, delaysMs: readonly number[]): SourceProgress => ({
  failures: 0,
  openWalks: progress.openWalks.filter(({ lane }) => lane !== walk.lane),
  coverage: [0, ...delaysMs].map((delayMs, pass) =>
    (pass === 0 ? [walk.claim] : claimForPass(walk, walk.claim, delayMs)).reduce(
      addRange,
      progress.coverage[pass] ?? [],
    ),
  ),
});

/** Every walk that an idle source needs at one tick: an empty page each. */
const tick = (begin: SourceProgress, nowMs: number, policy: PlanPolicy) => {
  const walks: Walk[] = [];
  let progress = begin;
  for (let plan = planNext(progress, nowMs, policy); plan.kind === 'walk'; plan = planNext(progress, nowMs, policy)) {
    expect(walks.length).toBeLessThan(20);
    walks.push(plan.walk);
    progress = claimed(progress, plan.walk, policy.settleDelaysMs);
  }
  return { progress, walks };
};

describe('an idle source over three days of ticks', () => {
  it('needs one request a tick, and one a settle delay for each pass', () => {
    const count: Record<Lane, number> = { live: 0, settle: 0, backfill: 0 };
    const ticks = (3 * DAY_MS) / TICK_MS;
    let progress = nothing;
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
    expect(count.backfill).toBe(2);
    const batches = DELAYS_MS.reduce((sum, delayMs) => sum + Math.floor((3 * DAY_MS) / delayMs), 0);
    expect(count.settle).toBeGreaterThan(batches / 2);
    expect(count.settle).toBeLessThanOrEqual(batches);
  });

  it('catches up after outages of any length, at any rhythm, and never claims the last second', () => {
    const steps = fc.array(fc.constantFrom(1_000, TICK_MS, 600_000, 7 * 3_600_000, 9 * DAY_MS), { maxLength: 40 });
    fc.assert(
      fc.property(steps, (all) => {
        let progress = nothing;
        let nowMs = START_MS;
        for (const stepMs of all) {
          nowMs += stepMs;
          const horizonMs = nowMs - 548 * DAY_MS;
          const result = tick(progress, nowMs, { horizonMs, settleDelaysMs: DELAYS_MS, intervals: noIntervals });
          progress = result.progress;
          for (const { claim } of result.walks) expect(claim.toMs).toBeLessThanOrEqual(nowMs - 1_000);
          expect(gapsIn({ fromMs: horizonMs, toMs: nowMs - 1_000 }, progress.coverage[0] ?? [])).toEqual([]);
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('a backfill up to a date', () => {
  const untilMs = START_MS - 30 * DAY_MS;
  const policy: PlanPolicy = { horizonMs: HORIZON_MS, settleDelaysMs: DELAYS_MS, intervals: noIntervals, untilMs };

  it('stays before that date, reads all up to it, and ends', () => {
    const time = fc.integer({ min: HORIZON_MS - 10 * DAY_MS, max: START_MS });
    const ranges = fc.array(fc.record({ fromMs: time, toMs: time }), { maxLength: 4 });
    const openWalk = fc.record({ fromMs: time, lengthMs: fc.integer({ min: 1, max: 90 * DAY_MS }) });
    fc.assert(
      fc.property(ranges, fc.option(openWalk), fc.nat(5), (read, open, failures) => {
        const covered = read.reduce(addRange, [] as Coverage);
        const openWalks =
          open === null
            ? []
            : [startWalk('backfill', { fromMs: open.fromMs, toMs: open.fromMs + open.lengthMs }, START_MS)];
        const { progress, walks } = tick({ coverage: [covered], openWalks, failures }, START_MS, policy);
        for (const { claim, lane } of walks) {
          expect(lane).toBe('backfill');
          expect(claim.fromMs).toBeGreaterThanOrEqual(HORIZON_MS);
          expect(claim.toMs).toBeLessThanOrEqual(untilMs);
        }
        expect(gapsIn({ fromMs: HORIZON_MS, toMs: untilMs }, progress.coverage[0] ?? [])).toEqual([]);
      }),
      { seed: 1, numRuns: 1_000 },
    );
  });

  it('does not resume a walk of the daemon that goes on behind the date', () => {
    const open = startWalk('backfill', { fromMs: HORIZON_MS, toMs: untilMs + DAY_MS }, START_MS);
    const all = { ...policy, horizonMs: HORIZON_MS, untilMs: HORIZON_MS + DAY_MS };
    const plan = planNext({ ...nothing, openWalks: [open] }, START_MS, all);
    expect(plan).toMatchObject({ walk: { claim: { fromMs: HORIZON_MS, toMs: HORIZON_MS + DAY_MS } } });
  });

  it('resumes its own walk, also one that failures made narrower', () => {
    for (const failures of [0, 3]) {
      const begun = planNext({ ...nothing, failures }, START_MS, policy);
      if (begun.kind !== 'walk') throw new Error('nothing was planned');
      // A page was read, which ends the row of failures; the turn ended, and the walk stayed open.
      const open: Walk = { ...begun.walk, cursor: 'c', pages: 20 };
      expect(planNext({ ...nothing, openWalks: [open] }, START_MS, policy)).toEqual({ kind: 'walk', walk: open });
    }
  });

  it('never reaches into the last second, whatever the date', () => {
    const plan = planNext(nothing, START_MS, { ...policy, untilMs: START_MS + DAY_MS });
    expect(plan).toMatchObject({ walk: { claim: { toMs: START_MS - 1_000 } } });
  });
});

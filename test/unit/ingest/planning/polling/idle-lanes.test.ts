import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idleUntilMs, planLane } from '../../../../../src/ingest/planning/planner.ts';
import { anyPolicy, anyProgress, DAY_MS, NOW_MS, policyAt } from '../../../../support/sync/any-progress.ts';

test('a lane that is idle has nothing to do before the time that is given for it', () => {
  let idle = 0;
  const part = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 });
  const property = fc.property(
    anyProgress,
    anyPolicy,
    fc.constantFrom(...lanes),
    part,
    (progress, any, lane, parts) => {
      const planned = (nowMs: number) => planLane(lane, progress, nowMs, policyAt(any, nowMs));
      if (planned(NOW_MS) !== undefined) return;
      idle += 1;
      const untilMs = Math.min(FAR_MS, idleUntilMs(lane, progress, NOW_MS, policyAt(any, NOW_MS)));
      const within = parts.map((each) => Math.floor(NOW_MS + each * (untilMs - NOW_MS)));
      for (const nowMs of [...within, untilMs - 1].filter((nowMs) => nowMs >= NOW_MS && nowMs < untilMs)) {
        expect(planned(nowMs), `${lane} at ${nowMs}, before ${untilMs}`).toBeUndefined();
      }
    },
  );
  fc.assert(property, { seed: SEED, numRuns: 1_000 });
  expect(idle).toBeGreaterThan(140);
});

test('under a horizon that stays, it has something to do then', () => {
  let reached = 0;
  const property = fc.property(anyProgress, anyPolicy, fc.constantFrom(...lanes), (progress, moving, lane) => {
    const any = { ...moving, moves: false };
    const isOpen = progress.lanes[lane]?.walk !== undefined;
    if (isOpen || planLane(lane, progress, NOW_MS, policyAt(any, NOW_MS)) !== undefined) return;
    const untilMs = idleUntilMs(lane, progress, NOW_MS, policyAt(any, NOW_MS));
    // A horizon that stays does not reach what waits for it: then there is another look before that.
    const policy = policyAt(any, untilMs);
    const settled = lane === 'settle' && planLane(lane, progress, untilMs, policy) === undefined;
    if (untilMs === Number.POSITIVE_INFINITY || settled) return;
    reached += 1;
    expect(untilMs).toBeGreaterThan(NOW_MS);
    expect(planLane(lane, progress, untilMs, policy)).toBeDefined();
  });
  fc.assert(property, { seed: SEED, numRuns: 1_000 });
  expect(reached).toBeGreaterThan(30);
});

test('a settle lane is idle for less by no more than the pause between passes has changed', () => {
  const pauses = fc.tuple(fc.nat(40 * DAY_MS), fc.nat(40 * DAY_MS));
  const part = fc.double({ min: 0, max: 1, noNaN: true });
  const property = fc.property(anyProgress, anyPolicy, pauses, part, (progress, any, [settleMs, otherMs], share) => {
    const policyWith = (ms: number, nowMs: number) => policyAt({ ...any, settleMs: ms }, nowMs);
    if (planLane('settle', progress, NOW_MS, policyWith(settleMs, NOW_MS)) !== undefined) return;
    const noted = idleUntilMs('settle', progress, NOW_MS, policyWith(settleMs, NOW_MS));
    const untilMs = Math.min(FAR_MS, noted - Math.abs(otherMs - settleMs));
    const nowMs = Math.floor(NOW_MS + share * (untilMs - NOW_MS));
    if (nowMs < NOW_MS || nowMs >= untilMs) return;
    expect(planLane('settle', progress, nowMs, policyWith(otherMs, nowMs))).toBeUndefined();
  });
  fc.assert(property, { seed: SEED, numRuns: 1_000 });
});

const SEED = 20_261_126;
const lanes = ['settle', 'backfill', 'scrub'] as const;
const FAR_MS = NOW_MS + 400 * DAY_MS;

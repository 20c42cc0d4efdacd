import { addRange, type Coverage, gapsAmong, gapsIn } from '../coverage.ts';
import { holesOfPass } from '../lane.ts';
import type { Lane } from '../lanes.ts';
import { againSinceMs, type PlanPolicy, type SourceProgress, scrubFacts } from '../planner.ts';
import { scrubIdleUntilMs } from '../scrub.ts';
import { OVERLAP_MS } from '../walk.ts';

/** Horizons are full seconds: one that follows time may be so much ahead of it. */
const HORIZON_STEP_MS = 1_000;

type IdleUntil = (progress: SourceProgress, nowMs: number, policy: PlanPolicy) => number;

/**
 * Of a lane that has nothing to do as of `nowMs`: before this time `planLane` gives nothing for it, unless the source changes. Infinite: it never
 * will. A horizon that moves, no faster than time, may make it later than this; what `policy` says of pauses, sooner by as much as they differ.
 */
export const idleUntilMs = (
  lane: Exclude<Lane, 'live'>,
  progress: SourceProgress,
  nowMs: number,
  policy: PlanPolicy,
): number => {
  // An open walk goes on, unless its window is too wide for now.
  if (progress.lanes[lane]?.walk !== undefined || policy.untilMs !== undefined) return nowMs;
  return idleUntil[lane](progress, nowMs, policy);
};

const everAfter = (fromMs: number) => ({ fromMs, toMs: Number.POSITIVE_INFINITY });

const readOrHoles = ({ coverage, holes }: SourceProgress, pass: number): Coverage =>
  holesOfPass(holes, pass).reduce(addRange, coverage[pass] ?? []);

const idleUntil: Record<Exclude<Lane, 'live'>, IdleUntil> = {
  settle: (progress, nowMs, policy) => {
    const { settleDelaysMs, intervals } = policy;
    const { settleMs } = intervals;
    const horizonMs = againSinceMs(policy);
    const times = settleDelaysMs.map((delayMs, index) => {
      const [gap] = gapsAmong(everAfter(horizonMs), readOrHoles(progress, index + 1), progress.coverage[0] ?? []);
      if (gap === undefined) return Number.POSITIVE_INFINITY;
      const asBatchMs = gap.fromMs + delayMs + Math.max(delayMs, settleMs);
      const outsideMs = gap.fromMs - settleMs - horizonMs;
      const reachedMs = outsideMs <= 0 ? nowMs : nowMs + outsideMs - HORIZON_STEP_MS;
      return Math.min(asBatchMs, Math.max(gap.fromMs + delayMs + Math.max(settleMs, 1), reachedMs));
    });
    return Math.min(...times);
  },
  backfill: (progress, _nowMs, { horizonMs }) => {
    const [first, ...others] = gapsIn(everAfter(horizonMs), readOrHoles(progress, 0));
    const { older } = progress.lanes.backfill ?? {};
    if (first === undefined) return Number.POSITIVE_INFINITY;
    // Between two ranges; the last one, without an end, is of the live lane.
    const asGapMs = others.length > 0 ? first.toMs + OVERLAP_MS + 1 : Number.POSITIVE_INFINITY;
    const asOlderMs = older?.due && first.fromMs < older.beforeMs ? first.fromMs + OVERLAP_MS + 1 : asGapMs;
    return Math.min(asGapMs, asOlderMs);
  },
  scrub: (progress, nowMs, policy) =>
    policy.scrub === undefined
      ? Number.POSITIVE_INFINITY
      : scrubIdleUntilMs(scrubFacts(progress), nowMs, { horizonMs: againSinceMs(policy), ...policy.scrub }),
};

import { laneIntervals } from '../../src/ingest/planning/planner.ts';
import { duePolls, longestPauseMs, pollsPerTick } from '../../src/ingest/planning/poll-interval.ts';
import { OVERLAP_MS } from '../../src/ingest/planning/walk.ts';
import { type Activity, drawArrivals } from './arrivals.ts';
import { type Choose, type Outcome, runTicks } from './virtual-time.ts';

const DAY_MS = 86_400_000;
export const TICK_MS = 30_000;
/** The default, in requests per 5 minutes. */
export const API_BUDGET = 900;

export const policyNames = ['round-robin', 'orgtrail'] as const;
type PolicyName = (typeof policyNames)[number];

export interface Comparison {
  readonly outcomes: Readonly<Record<PolicyName, Outcome>>;
  readonly equalMs: number;
  readonly boundMs: number;
}

/** Both policies on the same arrivals, each with the live share of the budget. */
export const comparePolicies = (activity: Activity, seed: number, apiBudget = API_BUDGET): Comparison => {
  const arrivals = drawArrivals(activity, seed);
  const organizations = arrivals.times.length;
  const { liveMs: equalMs } = laneIntervals(organizations, apiBudget);
  const budget = { equalMs, tickMs: TICK_MS };
  const perTick = equalMs <= TICK_MS ? organizations : (organizations * TICK_MS) / equalMs;
  if (Math.ceil(perTick) !== pollsPerTick(organizations, budget))
    throw new Error('the budget is not that of the daemon');
  const run = { arrivals, tickMs: TICK_MS, perTick, warmUpMs: arrivals.startMs + DAY_MS };
  return {
    outcomes: {
      'round-robin': runTicks(run, inTurn(equalMs)),
      orgtrail: runTicks(run, (listed, nowMs) => duePolls(listed, budget, nowMs - OVERLAP_MS)),
    },
    equalMs,
    boundMs: longestPauseMs(budget) + TICK_MS,
  };
};

/** All equally often: the source that was asked longest ago comes first. */
const inTurn =
  (equalMs: number): Choose =>
  (listed) => {
    const dueAfterMs = equalMs <= TICK_MS ? equalMs : equalMs - TICK_MS / 2;
    return listed
      .filter(({ unreadMs }) => unreadMs >= dueAfterMs)
      .sort((a, b) => a.readUntilMs - b.readUntilMs || 0)
      .map((source) => ({ source, dueAfterMs }));
  };

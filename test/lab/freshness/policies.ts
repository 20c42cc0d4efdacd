import { laneIntervals } from '../../../src/ingest/planning/polling/lane-intervals.ts';
import { duePolls, longestPauseMs, pollsPerTick } from '../../../src/ingest/planning/polling/poll-interval.ts';
import { OVERLAP_MS } from '../../../src/ingest/planning/walk.ts';
import { type Activity, type Arrivals, drawArrivals } from './arrivals.ts';
import { type Choose, type Outcome, type Run, runTicks, Tally } from './virtual-time.ts';

const DAY_MS = 86_400_000;
export const TICK_MS = 30_000;
/** The default, in requests per 5 minutes. */
export const API_BUDGET = 900;

export const policyNames = ['round-robin', 'orgtrail', 'static √rate', 'oracle'] as const;
type PolicyName = (typeof policyNames)[number];

export interface Comparison {
  readonly outcomes: Readonly<Record<PolicyName, Outcome>>;
  readonly equalMs: number;
  readonly boundMs: number;
}

/** All policies on the same arrivals, each with the live share of the default budget. */
export const comparePolicies = (activity: Activity, seed: number): Comparison => {
  const arrivals = drawArrivals(activity, seed);
  const organizations = arrivals.times.length;
  const { liveMs: equalMs } = laneIntervals(organizations, API_BUDGET);
  const budget = { equalMs, tickMs: TICK_MS };
  const perTick = equalMs <= TICK_MS ? organizations : (organizations * TICK_MS) / equalMs;
  if (Math.ceil(perTick) !== pollsPerTick(organizations, budget))
    throw new Error('the budget is not that of the daemon');
  const run = { arrivals, tickMs: TICK_MS, perTick, warmUpMs: arrivals.startMs + DAY_MS };
  return {
    outcomes: {
      'round-robin': runTicks(run, inTurn(equalMs)),
      orgtrail: runTicks(run, (listed, nowMs) => duePolls(listed, budget, nowMs - OVERLAP_MS)),
      'static √rate': runTicks(run, byTrueRate(arrivals, equalMs)),
      oracle: runOracle(run),
    },
    equalMs,
    boundMs: longestPauseMs(budget) + TICK_MS,
  };
};

/** All equally often, as decision 4 had it: who was asked longest ago comes first. */
const inTurn =
  (equalMs: number): Choose =>
  (listed) => {
    const dueAfterMs = equalMs <= TICK_MS ? equalMs : equalMs - TICK_MS / 2;
    return listed
      .filter(({ unreadMs }) => unreadMs >= dueAfterMs)
      .sort((a, b) => a.readUntilMs - b.readUntilMs || 0)
      .map((source) => ({ source, dueAfterMs }));
  };

/** Knows each organization's true rate over the whole run: pauses as 1/√rate, without a bound. */
const byTrueRate = (arrivals: Arrivals, equalMs: number): Choose => {
  const count = arrivals.times.length;
  const wanted = arrivals.times.map((times) => 1 / Math.sqrt(Math.max(times.length, 0.1)));
  let scale = (equalMs / count) * wanted.reduce((sum, each) => sum + 1 / each, 0);
  // None can be asked more often than at every tick: what that leaves goes to the others.
  for (let round = 0; round < 30; round += 1) {
    const asks = wanted.reduce((sum, each) => sum + 1 / Math.max(TICK_MS, scale * each), 0);
    scale *= asks / (count / equalMs);
  }
  const pauses = new Map(wanted.map((each, index) => [`organization-${index}`, Math.max(TICK_MS, scale * each)]));
  const roundingMs = equalMs <= TICK_MS ? TICK_MS - equalMs : TICK_MS / 2;
  return (listed) =>
    listed
      .map((source) => ({ source, pauseMs: pauses.get(source.id) ?? equalMs }))
      .filter(({ source, pauseMs }) => source.unreadMs >= pauseMs - roundingMs)
      .sort((a, b) => b.source.unreadMs / b.pauseMs - a.source.unreadMs / a.pauseMs || 0)
      .map(({ source, pauseMs }) => ({ source, dueAfterMs: pauseMs - roundingMs }));
};

/** Knows what arrives: asks where the oldest unread event is, at once where there is budget for it. */
const runOracle = ({ arrivals, tickMs, perTick, warmUpMs }: Run): Outcome => {
  const tally = new Tally(warmUpMs);
  const everyMs = tickMs / perTick;
  const heap = arrivals.times.flatMap((times, index) => Array.from(times, (t) => ({ t, index })));
  heap.sort((a, b) => a.t - b.t);
  const readUntilMs = new Float64Array(arrivals.times.length).fill(-1);
  const askedAtMs = Float64Array.from(arrivals.appearsMs);
  let freeMs = arrivals.startMs;
  for (const { t, index } of heap) {
    if (t < (readUntilMs[index] ?? 0)) continue;
    const atMs = Math.max(freeMs, t);
    const times = arrivals.times[index] ?? new Float64Array();
    let next = lowerBound(times, t);
    const before = next;
    for (let each = times[next]; each !== undefined && each <= atMs; each = times[next]) {
      tally.lag(each, atMs - each);
      next += 1;
    }
    tally.asked(atMs, 1, next - before);
    tally.pause(atMs, atMs - (askedAtMs[index] ?? 0));
    readUntilMs[index] = atMs + Number.EPSILON * atMs;
    askedAtMs[index] = atMs;
    freeMs = atMs + everyMs;
  }
  return tally.outcome();
};

const lowerBound = (ascending: Float64Array, value: number): number => {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
};

import { noIntervals } from '../domain/lane-intervals.ts';
import { type PlanPolicy, planLanes } from '../domain/planner.ts';
import { duePolls, pollsPerTick } from '../domain/poll-interval.ts';
import { RETENTION_NEAR_MS, retentionSlackMs } from '../domain/retention.ts';
import type { SourceKey, SourceState } from '../domain/source.ts';
import { OVERLAP_MS } from '../domain/walk.ts';
import type { NearRetention, SyncContext } from './ports.ts';
import type { Job } from './work-pool.ts';

export interface JobPlan {
  readonly sources: number;
  /** One for each lane in which a source has something to do; in the live lane the most overdue first. */
  readonly jobs: readonly Job[];
  /** Sources that rest after a failure. */
  readonly resting: readonly SourceKey[];
}

/**
 * Plans every source as of Cloudflare's time `nowMs`. `alone`: this is the only plan there will be, so it leaves out
 * nothing: neither sources that rest or that others hold, nor live tails that are young.
 */
export const planJobs = async (context: SyncContext, nowMs: number, alone: boolean): Promise<JobPlan> => {
  const sources = await context.store.loadSources();
  const policy = {
    horizonMs: context.window?.sinceMs ?? context.horizonMs(nowMs),
    untilMs: context.window?.untilMs,
    settleDelaysMs: context.settleDelaysMs,
    intervals: alone ? noIntervals : context.intervals(sources.length),
  };
  const nearRetention: NearRetention[] = [];
  for (const source of sources) {
    const slackMs = retentionSlackMs(source.coverage[0] ?? [], policy.horizonMs, nowMs);
    if (slackMs < RETENTION_NEAR_MS) nearRetention.push({ source, slackMs });
  }
  const jobs = alone
    ? sources.flatMap((source) => jobsOf(source, nowMs, policy))
    : jobsWithinBudget(sources, nowMs, policy, context.tickMs);
  const due = [...new Set(jobs.map((job) => job.source.id))];
  context.observer.jobsPlanned?.({ sources: sources.length, due, nearRetention });
  const resting = alone ? [] : sources.filter(({ restMs }) => restMs > 0);
  return { sources: sources.length, jobs, resting };
};

const jobsOf = (source: SourceState, nowMs: number, policy: PlanPolicy): readonly Job[] =>
  planLanes(source, nowMs, policy).map(({ lane }) => ({ source, lane, nowMs, policy }));

/**
 * Live tails by what asking them is worth, and no more than their share of the budget lasts for until the next tick: else
 * the other lanes, which have the rest, would wait for them. Where those have nothing to do, all that are due.
 */
const jobsWithinBudget = (
  sources: readonly SourceState[],
  nowMs: number,
  policy: PlanPolicy,
  tickMs: number,
): readonly Job[] => {
  const budget = { equalMs: policy.intervals.liveMs, tickMs };
  const polled = sources.map((state) => ({
    ...{ state, id: state.id, eventRate: state.eventRate },
    unreadMs: nowMs - OVERLAP_MS - (state.coverage[0]?.at(-1)?.toMs ?? Number.NEGATIVE_INFINITY),
    walking: state.openWalks.some(({ lane }) => lane === 'live'),
  }));
  const free = (state: SourceState) => state.restMs === 0 && !state.heldElsewhere;
  const dueAfterMs = new Map(
    duePolls(polled, budget)
      .filter(({ source }) => free(source.state))
      .map(({ source, dueAfterMs }) => [source.state, dueAfterMs]),
  );
  const plan = (source: SourceState, liveMs = Number.POSITIVE_INFINITY) =>
    jobsOf(source, nowMs, { ...policy, intervals: { ...policy.intervals, liveMs } });
  const planDue = (due: readonly SourceState[]) => {
    const within = new Set(due);
    const first = due.flatMap((source) => plan(source, dueAfterMs.get(source)));
    return [...first, ...sources.filter((source) => free(source) && !within.has(source)).flatMap((each) => plan(each))];
  };
  const due = [...dueAfterMs.keys()];
  const most = pollsPerTick(sources.length, budget);
  const jobs = planDue(due.slice(0, most));
  return due.length <= most || jobs.some(({ lane }) => lane !== 'live') ? jobs : planDue(due);
};

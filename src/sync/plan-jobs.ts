import { noIntervals } from '../domain/lane-intervals.ts';
import { planNext } from '../domain/planner.ts';
import type { SourceKey } from '../domain/source.ts';
import type { SyncContext } from './ports.ts';
import type { Job } from './work-pool.ts';

export interface JobPlan {
  readonly sources: number;
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
  const jobs: Job[] = [];
  const resting: SourceKey[] = [];
  for (const source of sources) {
    if (!alone && source.restMs > 0) resting.push(source);
    else if (alone || !source.heldElsewhere) {
      const plan = planNext(source, nowMs, policy);
      if (plan.kind === 'walk') jobs.push({ source, lane: plan.walk.lane, nowMs, policy });
    }
  }
  context.observer.jobsPlanned?.({ sources: sources.length, due: jobs.map((job) => job.source.id) });
  return { sources: sources.length, jobs, resting };
};

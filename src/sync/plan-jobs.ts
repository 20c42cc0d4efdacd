import { noIntervals } from '../domain/lane-intervals.ts';
import { planLanes } from '../domain/planner.ts';
import { RETENTION_NEAR_MS, retentionSlackMs } from '../domain/retention.ts';
import type { SourceKey } from '../domain/source.ts';
import type { NearRetention, SyncContext } from './ports.ts';
import type { Job } from './work-pool.ts';

export interface JobPlan {
  readonly sources: number;
  /** One for each lane in which a source has something to do. */
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
  const nearRetention: NearRetention[] = [];
  for (const source of sources) {
    const slackMs = retentionSlackMs(source.coverage[0] ?? [], policy.horizonMs, nowMs);
    if (slackMs < RETENTION_NEAR_MS) nearRetention.push({ source, slackMs });
    if (!alone && source.restMs > 0) resting.push(source);
    else if (alone || !source.heldElsewhere) {
      for (const { lane } of planLanes(source, nowMs, policy)) jobs.push({ source, lane, nowMs, policy });
    }
  }
  const due = [...new Set(jobs.map((job) => job.source.id))];
  context.observer.jobsPlanned?.({ sources: sources.length, due, nearRetention });
  return { sources: sources.length, jobs, resting };
};

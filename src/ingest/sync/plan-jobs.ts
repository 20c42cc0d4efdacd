import { type PlanPolicy, planLane, planLanes, scrubFacts } from '../planning/planner.ts';
import { noIntervals } from '../planning/polling/lane-intervals.ts';
import { duePolls, pollsPerTick } from '../planning/polling/poll-interval.ts';
import { scrubUrgency } from '../planning/scrub.ts';
import type { SourceState } from '../planning/source.ts';
import { RETENTION_NEAR_MS, retentionSlackMs } from '../planning/upstream-retention.ts';
import { OVERLAP_MS } from '../planning/walk.ts';
import { planPolicies } from './kind-policy.ts';
import type { PlanningTime } from './planning-time.ts';
import type { NearRetention, SyncContext } from './ports.ts';
import { type Job, keyOf } from './work-pool.ts';

export interface JobPlan {
  readonly sources: number;
  /** One for each lane in which a source has something to do; in the live lane the most overdue first. */
  readonly jobs: readonly Job[];
}

/**
 * Plans every source as of Cloudflare's time. `toTheEnd`: nothing is left for a later plan: neither lanes that rest, nor sources that
 * others hold, nor live tails that are young.
 */
export const planJobs = async (context: SyncContext, time: PlanningTime, toTheEnd: boolean): Promise<JobPlan> => {
  const sources = await context.store.loadSources();
  const { nowMs } = time;
  const policies = planPolicies(context, nowMs, {
    untilMs: context.window?.untilMs,
    settleDelaysMs: context.settleDelaysMs,
    intervals: toTheEnd ? noIntervals : context.intervals(sources.length),
    widestMs: context.windows.widestMs,
  });
  const nearRetention: NearRetention[] = [];
  for (const source of sources) {
    context.windows.sawPage(source.largestPage);
    const slackMs = retentionSlackMs(source.coverage[0] ?? [], policies(source).horizonMs, nowMs);
    if (slackMs < RETENTION_NEAR_MS) nearRetention.push({ source, slackMs });
  }
  const jobs = toTheEnd
    ? sources.flatMap((source) => jobsOf(source, time, policies(source)))
    : await withScrub(context, sources, time, policies, jobsWithinBudget(sources, time, policies, context));
  const due = [...new Map(jobs.map(({ source }) => [keyOf(source), source])).values()];
  context.observer.jobsPlanned?.({ sources: sources.length, due, nearRetention });
  return { sources: sources.length, jobs };
};

type PolicyOf = (source: SourceState) => PlanPolicy;

const jobsOf = (source: SourceState, { nowMs, clock }: PlanningTime, policy: PlanPolicy): readonly Job[] =>
  planLanes(source, nowMs, policy).map(({ lane }) => ({ source, lane, nowMs, clock, policy }));

/**
 * Live tails by priority, and no more than their share of the budget lasts for until the next tick: else
 * the other lanes, which have the rest, would wait for them. If those have nothing to do, all that are due.
 */
const jobsWithinBudget = (
  sources: readonly SourceState[],
  time: PlanningTime,
  policies: PolicyOf,
  { intervals, tickMs }: Pick<SyncContext, 'intervals' | 'tickMs'>,
): readonly Job[] => {
  const budget = { equalMs: intervals(sources.length).liveMs, tickMs };
  const polled = sources.map((state) => ({
    state,
    id: keyOf(state),
    eventRate: state.eventRate,
    unreadMs: time.nowMs - OVERLAP_MS - (state.coverage[0]?.at(-1)?.toMs ?? Number.NEGATIVE_INFINITY),
    walking: state.lanes.live?.walk !== undefined,
  }));
  const dueAfterMs = new Map(
    duePolls(polled, budget)
      .filter(({ source }) => !source.state.heldElsewhere && (source.state.restMs.live ?? 0) === 0)
      .map(({ source, dueAfterMs }) => [source.state, dueAfterMs]),
  );
  const plan = (source: SourceState, liveMs = Number.POSITIVE_INFINITY) => {
    const policy = policies(source);
    return jobsOf(source, time, { ...policy, intervals: { ...policy.intervals, liveMs } }).filter(
      ({ lane }) => (source.restMs[lane] ?? 0) === 0,
    );
  };
  const planDue = (due: readonly SourceState[]) => {
    const within = new Set(due);
    const first = due.flatMap((source) => plan(source, dueAfterMs.get(source)));
    const others = sources.filter((source) => !source.heldElsewhere && !within.has(source));
    return [...first, ...others.flatMap((each) => plan(each))];
  };
  const due = [...dueAfterMs.keys()];
  const most = pollsPerTick(sources.length, budget);
  const jobs = planDue(due.slice(0, most));
  return due.length <= most || jobs.some(({ lane }) => lane !== 'live') ? jobs : planDue(due);
};

/**
 * With as many windows of the scrub lane as there is leave for: of sources whose history has been read, or cannot be read now, the most urgent
 * first. What a turn of another lane leaves is never of this lane.
 */
const withScrub = async (
  { scrub, window }: SyncContext,
  sources: readonly SourceState[],
  { nowMs, clock }: PlanningTime,
  policies: PolicyOf,
  jobs: readonly Job[],
): Promise<readonly Job[]> => {
  if (scrub === undefined || window !== undefined) return jobs;
  const withRounds = (source: SourceState): PlanPolicy => ({ ...policies(source), scrub: { everyMs: scrub.everyMs } });
  const busy = new Set(jobs.filter(({ lane }) => lane === 'backfill').map(({ source }) => source));
  const due = sources
    .filter(
      (source) => !source.heldElsewhere && !source.refused && (source.restMs.scrub ?? 0) === 0 && !busy.has(source),
    )
    .filter((source) => planLane('scrub', source, nowMs, withRounds(source)) !== undefined)
    .map((source) => ({ source, urgency: urgencyOf(source) }))
    .sort((a, b) => (a.urgency === b.urgency ? 0 : a.urgency - b.urgency));
  const granted = due.length === 0 ? 0 : await scrub.take(due.length);
  const chosen = due
    .slice(0, granted)
    .map(({ source }): Job => ({ source, lane: 'scrub', nowMs, clock, policy: withRounds(source) }));
  return [...jobs, ...chosen];
};

const urgencyOf = (source: SourceState): number =>
  scrubUrgency({ ...scrubFacts(source), walking: source.lanes.scrub?.walk !== undefined });

import { type Lane, lanes } from '../planning/lanes.ts';
import { type PlanPolicy, scrubFacts } from '../planning/planner.ts';
import { noIntervals } from '../planning/polling/lane-intervals.ts';
import { duePolls, type PollBudget, pollsPerTick } from '../planning/polling/poll-interval.ts';
import { scrubUrgency } from '../planning/scrub.ts';
import type { SourceKey } from '../planning/source.ts';
import { RETENTION_NEAR_MS, retentionSlackMs } from '../planning/upstream-retention.ts';
import { OVERLAP_MS } from '../planning/walk.ts';
import { planPolicies } from './kind-policy.ts';
import { type PlannedSource, progressWithWork } from './planning-round/planned-source.ts';
import { RememberedSources } from './planning-round/remembered-sources.ts';
import { sourcesOfPlan } from './planning-round/sources-of-plan.ts';
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
 * others hold, nor live tails that are young. `remembered`: what the plans before have loaded of many sources.
 */
export const planJobs = async (
  context: SyncContext,
  time: PlanningTime,
  toTheEnd: boolean,
  remembered = new RememberedSources(),
): Promise<JobPlan> => {
  const sources = await sourcesOfPlan(context, time, remembered, toTheEnd);
  const { nowMs } = time;
  const policies = planPolicies(context, nowMs, {
    untilMs: context.window?.untilMs,
    settleDelaysMs: context.settleDelaysMs,
    intervals: toTheEnd ? noIntervals : context.intervals(sources.length),
    widestMs: context.windows.widestMs,
  });
  const nearRetention = sources.flatMap((source) => nearRetentionOf(source, policies(source), nowMs));
  const jobs = toTheEnd
    ? sources.flatMap((source) => jobsOf(source, time, policies(source)))
    : await withScrub(context, sources, time, policies, jobsWithinBudgets(sources, time, policies, context));
  const due = [...new Map(jobs.map(({ source }) => [keyOf(source), source])).values()];
  context.observer.jobsPlanned?.({ sources: sources.length, due, nearRetention });
  return { sources: sources.length, jobs };
};

type PolicyOf = (source: Pick<SourceKey, 'kind'>) => PlanPolicy;

const nearRetentionOf = (
  { source, firstRead }: PlannedSource,
  { horizonMs }: PlanPolicy,
  nowMs: number,
): readonly NearRetention[] => {
  if (firstRead === undefined) return [];
  const slackMs = retentionSlackMs(firstRead, horizonMs, nowMs);
  return slackMs < RETENTION_NEAR_MS ? [{ source, slackMs }] : [];
};

const jobsOf = (
  planned: PlannedSource,
  { nowMs, clock }: PlanningTime,
  policy: PlanPolicy,
  among: readonly Lane[] = withoutScrub,
): readonly Job[] => {
  const { source } = planned;
  return among
    .filter((lane) => progressWithWork(planned, lane, nowMs, policy) !== undefined)
    .map((lane) => ({ source, lane, nowMs, clock, policy }));
};

/** What the scrub lane has to do is planned by itself. */
const withoutScrub = lanes.filter((lane) => lane !== 'scrub');
const withoutLive = withoutScrub.filter((lane) => lane !== 'live');

/** Each budget by itself, and the jobs of all in turn: who has a small one does not come after all of another one. */
const jobsWithinBudgets = (
  sources: readonly PlannedSource[],
  time: PlanningTime,
  policies: PolicyOf,
  context: Pick<SyncContext, 'intervals' | 'tickMs' | 'budgets'>,
): readonly Job[] => {
  const { intervals, tickMs } = context;
  const budgetOf = context.budgets?.();
  const groups = Map.groupBy(sources, (source) => budgetOf?.(source).name);
  const jobs = Array.from(groups.values(), (group) => {
    const [first] = group;
    const requests = first === undefined ? undefined : budgetOf?.(first).requests;
    return jobsWithinBudget(group, time, policies, { equalMs: intervals(group.length, requests).liveMs, tickMs });
  });
  return inTurn(jobs);
};

/**
 * Live tails by priority, and no more than their share of the budget lasts for until the next tick: else
 * the other lanes, which have the rest, would wait for them. If those have nothing to do, all that are due.
 */
const jobsWithinBudget = (
  sources: readonly PlannedSource[],
  time: PlanningTime,
  policies: PolicyOf,
  budget: PollBudget,
): readonly Job[] => {
  const polled = sources.map((planned) => ({
    planned,
    id: keyOf(planned),
    eventRate: planned.eventRate,
    unreadMs: time.nowMs - OVERLAP_MS - planned.readUntilMs,
    walking: planned.walking,
  }));
  const dueAfterMs = new Map(
    duePolls(polled, budget)
      .filter(({ source: { planned } }) => !planned.heldElsewhere && (planned.restMs.live ?? 0) === 0)
      .map(({ source, dueAfterMs }) => [source.planned, dueAfterMs]),
  );
  const plan = (planned: PlannedSource, liveMs: number, among: readonly Lane[]) => {
    const policy = policies(planned);
    const ready = among.filter((lane) => (planned.restMs[lane] ?? 0) === 0);
    return jobsOf(planned, time, { ...policy, intervals: { ...policy.intervals, liveMs } }, ready);
  };
  // Of a tail that is not due, only a walk that is open goes on.
  const planOthers = (planned: PlannedSource) =>
    plan(planned, Number.POSITIVE_INFINITY, planned.walking ? withoutScrub : withoutLive);
  const planDue = (due: readonly PlannedSource[]) => {
    const within = new Set(due);
    const first = due.flatMap((planned) => plan(planned, dueAfterMs.get(planned) ?? 0, withoutScrub));
    const others = sources.filter((planned) => !planned.heldElsewhere && !within.has(planned));
    return [...first, ...others.flatMap(planOthers)];
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
  sources: readonly PlannedSource[],
  { nowMs, clock }: PlanningTime,
  policies: PolicyOf,
  jobs: readonly Job[],
): Promise<readonly Job[]> => {
  if (scrub === undefined || window !== undefined) return jobs;
  const withRounds = (planned: PlannedSource): PlanPolicy => ({
    ...policies(planned),
    scrub: { everyMs: scrub.everyMs },
  });
  const busy = new Set(jobs.filter(({ lane }) => lane === 'backfill').map(({ source }) => source));
  const due = sources
    .filter(
      ({ source, heldElsewhere, refused, restMs }) =>
        !heldElsewhere && !refused && (restMs.scrub ?? 0) === 0 && !busy.has(source),
    )
    .flatMap((planned) => {
      const progress = progressWithWork(planned, 'scrub', nowMs, withRounds(planned));
      if (progress === undefined) return [];
      const walking = progress.lanes.scrub?.walk !== undefined;
      return [{ planned, urgency: scrubUrgency({ ...scrubFacts(progress), walking }) }];
    })
    .sort((a, b) => (a.urgency === b.urgency ? 0 : a.urgency - b.urgency));
  const granted = due.length === 0 ? 0 : await scrub.take(due.length);
  const chosen = due
    .slice(0, granted)
    .map(({ planned }): Job => ({ source: planned.source, lane: 'scrub', nowMs, clock, policy: withRounds(planned) }));
  return [...jobs, ...chosen];
};

/** The first of each, then the second of each. */
const inTurn = <T>(lists: readonly (readonly T[])[]): readonly T[] => {
  const [only] = lists;
  if (only !== undefined && lists.length === 1) return only;
  const longest = lists.reduce((most, { length }) => Math.max(most, length), 0);
  return Array.from({ length: longest }, (_, n) => lists.flatMap((list) => list.slice(n, n + 1))).flat();
};

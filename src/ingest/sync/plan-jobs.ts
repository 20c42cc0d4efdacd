import { noIntervals, type PlanPolicy, scrubFacts } from '../planning/planner.ts';
import { type DuePoll, duePolls, pollsPerTick } from '../planning/poll-interval.ts';
import { scrubUrgency } from '../planning/scrub.ts';
import { type KindPolicy, keyOf, type SourceKey } from '../planning/source.ts';
import { type Lane, lanes, OVERLAP_MS } from '../planning/walk.ts';
import { RETENTION_NEAR_MS, retentionSlackMs } from '../sources/source-kind.ts';
import type { NearRetention, PlanningTime, SyncContext } from './ports.ts';
import { type PlannedSource, RememberedSources } from './source-cache.ts';
import type { Job } from './work-pool.ts';

export interface JobPlan {
  readonly sources: number;
  readonly jobs: readonly Job[];
}

/** As of Cloudflare's time. `toTheEnd`: nothing is left for a later plan: neither lanes that rest, nor sources that
 * others hold, nor live tails that are young. */
export const planJobs = async (
  context: SyncContext,
  time: PlanningTime,
  toTheEnd: boolean,
  remembered = new RememberedSources(),
): Promise<JobPlan> => {
  const { nowMs } = time;
  const sources = kindsInTurn(await remembered.refresh(context, nowMs, toTheEnd));
  const policies = planPolicies(context, nowMs, {
    untilMs: context.window?.untilMs,
    settleDelaysMs: context.settleDelaysMs,
    intervals: toTheEnd ? noIntervals : context.intervals(sources.length),
    widestMs: context.windows.widestMs,
  });
  const nearRetention = sources.flatMap((source) => nearRetentionOf(source, policies(source), nowMs));
  const jobs = toTheEnd
    ? sources.flatMap((source) => jobsOf(source, time, policies(source)))
    : await withScrub(
        context,
        sources,
        time,
        policies,
        jobsWithinBudgets(sources, time, policies, { ...context, overdrawn: remembered.overdrawn }),
      );
  const due = [...new Map(jobs.map(({ source }) => [keyOf(source), source])).values()];
  context.observer.jobsPlanned?.({ sources: sources.length, due, nearRetention });
  return { sources: sources.length, jobs };
};

/** What was never read comes first, and of that the kinds take turns: else a few organizations would wait for the first
 * reading of all accounts. */
const kindsInTurn = (sources: readonly PlannedSource[]): readonly PlannedSource[] => {
  const kinds = Map.groupBy(sources, ({ kind }) => kind);
  if (kinds.size < 2) return sources;
  const isNew = ({ readUntilMs }: PlannedSource): boolean => readUntilMs === Number.NEGATIVE_INFINITY;
  const turns = [...kinds.values()].flatMap((group) => {
    const unread = group.filter(isNew);
    return unread.map((source, n) => ({ source, turn: group.length - unread.length + n }));
  });
  turns.sort((a, b) => a.turn - b.turn);
  return [...turns.map(({ source }) => source), ...sources.filter((source) => !isNew(source))];
};

type PolicyOf = (source: Pick<SourceKey, 'kind'>) => PlanPolicy;

const nearRetentionOf = (
  planned: PlannedSource,
  { horizonMs }: PlanPolicy,
  nowMs: number,
): readonly NearRetention[] => {
  const slackMs = retentionSlackMs((fromMs) => planned.readUpTo(fromMs), horizonMs, nowMs);
  return slackMs !== undefined && slackMs < RETENTION_NEAR_MS ? [{ source: planned, slackMs }] : nothing;
};

/** Of tens of thousands of sources hardly one has something: no array is made for each. */
const nothing: readonly never[] = [];

const jobsOf = (
  planned: PlannedSource,
  { nowMs, clock }: PlanningTime,
  policy: PlanPolicy,
  among: readonly Lane[] = withoutScrub,
): readonly Job[] => {
  let jobs: Job[] | undefined;
  for (const lane of among) {
    if (planned.progressWithWork(lane, nowMs, policy) === undefined) continue;
    jobs ??= [];
    jobs.push({ source: planned, lane, nowMs, clock, policy });
  }
  return jobs ?? nothing;
};

const withoutScrub = lanes.filter((lane) => lane !== 'scrub');
const withoutLive = withoutScrub.filter((lane) => lane !== 'live');

const readyLanes = (restMs: PlannedSource['restMs'], among: readonly Lane[]): readonly Lane[] =>
  among.some((lane) => (restMs[lane] ?? 0) > 0) ? among.filter((lane) => (restMs[lane] ?? 0) === 0) : among;

/** Each budget by itself, and the jobs of all in turn: who has a small one does not come after all of another one. */
const jobsWithinBudgets = (
  sources: readonly PlannedSource[],
  time: PlanningTime,
  policies: PolicyOf,
  context: Pick<SyncContext, 'intervals' | 'tickMs' | 'budgets' | 'concurrency'> & Pick<RememberedSources, 'overdrawn'>,
): readonly Job[] => {
  const { intervals, tickMs, concurrency, overdrawn } = context;
  const budgetOf = context.budgets?.();
  const groups = Map.groupBy(sources, (source) => budgetOf?.(source).name);
  const jobs = Array.from(groups, ([name, group]) => {
    const [first] = group;
    const requests = first === undefined ? undefined : budgetOf?.(first).requests;
    const budget = { equalMs: intervals(group.length, requests).liveMs, tickMs };
    const perTick = pollsPerTick(group.length, budget);
    const over = overdrawn.get(name) ?? 0;
    const due = duePolls(group, budget, time.nowMs - OVERLAP_MS, perTick - over);
    // Tails under way are due as well. Beside other budgets they count: all workers would wait for a small one.
    const most = perTick + (groups.size === 1 ? concurrency : 0);
    overdrawn.set(name, Math.min(perTick, Math.max(0, over + Math.min(most, due.length) - perTick)));
    return jobsWithinBudget(group, time, policies, due, most);
  });
  return inTurn(jobs);
};

/** Live tails by priority, for their share of the budget until the next tick: else the other lanes would wait for them.
 * If those have nothing to do, all that are due. */
const jobsWithinBudget = (
  sources: readonly PlannedSource[],
  time: PlanningTime,
  policies: PolicyOf,
  polls: readonly DuePoll<PlannedSource>[],
  most: number,
): readonly Job[] => {
  const dueAfterMs = new Map(
    polls
      .filter(({ source }) => !source.heldElsewhere && (source.restMs.live ?? 0) === 0)
      .map(({ source, dueAfterMs }) => [source, dueAfterMs]),
  );
  const plan = (planned: PlannedSource, policy: PlanPolicy, among: readonly Lane[]) =>
    jobsOf(planned, time, policy, readyLanes(planned.restMs, among));
  const notDue = policyWithLive(policies, Number.POSITIVE_INFINITY);
  // Of a tail that is not due, only a walk that is open goes on.
  const planOthers = (planned: PlannedSource) =>
    plan(planned, notDue(planned), planned.walking ? withoutScrub : withoutLive);
  const planDue = (due: readonly PlannedSource[]) => {
    const within = new Set(due);
    const first = due.flatMap((planned) =>
      plan(planned, policyWithLive(policies, dueAfterMs.get(planned) ?? 0)(planned), withoutScrub),
    );
    const others = sources.flatMap((planned) =>
      planned.heldElsewhere || within.has(planned) ? nothing : planOthers(planned),
    );
    return [...first, ...others];
  };
  const due = [...dueAfterMs.keys()];
  const jobs = planDue(due.slice(0, most));
  return due.length <= most || jobs.some(({ lane }) => lane !== 'live') ? jobs : planDue(due);
};

/** The policies with another pause of live tails; each is made once, and not for each source. */
const policyWithLive = (policies: PolicyOf, liveMs: number): PolicyOf =>
  derived(policies, (policy) => ({
    ...policy,
    intervals: { ...policy.intervals, liveMs },
  }));

const derived = <From>(of: (source: Pick<SourceKey, 'kind'>) => From, change: (from: From) => PlanPolicy): PolicyOf => {
  const changed = new Map<From, PlanPolicy>();
  return (source) => {
    const from = of(source);
    const made = changed.get(from) ?? change(from);
    changed.set(from, made);
    return made;
  };
};

/** As many windows as there is leave for, of sources whose history has been read or cannot be read now, the most urgent
 * first. */
const withScrub = async (
  { scrub, window }: SyncContext,
  sources: readonly PlannedSource[],
  { nowMs, clock }: PlanningTime,
  policies: PolicyOf,
  jobs: readonly Job[],
): Promise<readonly Job[]> => {
  if (scrub === undefined || window !== undefined) return jobs;
  const withRounds = derived(policies, (policy) => ({ ...policy, scrub: { everyMs: scrub.everyMs } }));
  const busy = new Set(jobs.filter(({ lane }) => lane === 'backfill').map(({ source }) => source));
  const due = sources
    .flatMap((planned): readonly { readonly planned: PlannedSource; readonly urgency: number }[] => {
      const { heldElsewhere, refused, restMs } = planned;
      if (heldElsewhere || refused || (restMs.scrub ?? 0) > 0 || busy.has(planned)) return nothing;
      const progress = planned.progressWithWork('scrub', nowMs, withRounds(planned));
      if (progress === undefined) return nothing;
      const walking = progress.lanes.scrub?.walk !== undefined;
      return [{ planned, urgency: scrubUrgency({ ...scrubFacts(progress), walking }) }];
    })
    .sort((a, b) => (a.urgency === b.urgency ? 0 : a.urgency - b.urgency));
  const granted = due.length === 0 ? 0 : await scrub.take(due.length);
  const chosen = due
    .slice(0, granted)
    .map(({ planned }): Job => ({ source: planned, lane: 'scrub', nowMs, clock, policy: withRounds(planned) }));
  return [...jobs, ...chosen];
};

const inTurn = <T>(lists: readonly (readonly T[])[]): readonly T[] => {
  const [only] = lists;
  if (only !== undefined && lists.length === 1) return only;
  const turns: T[] = [];
  let left = lists;
  for (let n = 0; left.length > 0; n += 1) {
    left = left.filter(({ length }) => length > n);
    for (const list of left) turns.push(...list.slice(n, n + 1));
  }
  return turns;
};

/** Throws for a kind that is not read. */
export const kindPolicyOf = ({ kinds }: Pick<SyncContext, 'kinds'>, { kind }: Pick<SourceKey, 'kind'>): KindPolicy => {
  const policy = kinds.find((each) => each.kind === kind);
  if (policy === undefined) throw new Error(`sources of the kind "${kind}" are not read`);
  return policy;
};

/** The same for all but the time from which a kind is wanted; each is made once. */
const planPolicies = (
  context: Pick<SyncContext, 'kinds' | 'window'>,
  nowMs: number,
  common: Omit<PlanPolicy, 'horizonMs' | 'keptSinceMs'>,
): PolicyOf =>
  derived(
    (source) => kindPolicyOf(context, source),
    ({ horizonMs, keptSinceMs }) => ({
      ...common,
      horizonMs: context.window?.sinceMs ?? horizonMs(nowMs),
      keptSinceMs: keptSinceMs?.(nowMs),
    }),
  );

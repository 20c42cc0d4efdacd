import { ApiError } from '../../../base/errors.ts';
import { laneBackoffMs } from '../../../base/time.ts';
import { type KeptLease, LeaseLostError, LeaseRefused, leasedRun } from '../../../postgres/leases.ts';
import { idleLane, isLookBackDue } from '../../planning/lane.ts';
import {
  againSinceMs,
  newestPart,
  type PlanPolicy,
  planLane,
  planLanes,
  silenceLimit,
} from '../../planning/planner.ts';
import { OTHER_LIMIT, RETENTION_MARGIN_MS, sentinelRange, withSentinel } from '../../planning/proof.ts';
import { SCRUB_WINDOW_ENTRIES } from '../../planning/scrub.ts';
import { type Lane, LIVE_LOOKBACK_MS, type Walk } from '../../planning/walk.ts';
import { kindOf } from '../../sources/registry.ts';
import { kindPolicyOf } from '../plan-jobs.ts';
import type { SyncContext } from '../ports.ts';
import type { Job } from '../work-pool.ts';
import {
  beginWindow,
  FencedError,
  lastingFailures,
  noteAccess,
  RestError,
  suspicion,
  type Turn,
  type TurnOptions,
} from './page-exchange.ts';
import { walkPages } from './walk-pages.ts';

/** A look far back reaches over all stored entries if these few fit a page; else over so few that it cannot have been
 * cut. */
const LOOK_BACK_ENTRIES = 200;

type TurnEnd =
  | { readonly kind: 'more'; readonly lanes: readonly Lane[] }
  | { readonly kind: 'idle' }
  | { readonly kind: 'held' }
  | {
      readonly kind: 'failed';
      readonly backoffMs: number;
      readonly lasting: boolean;
      readonly timedOut: boolean;
      readonly lanes: readonly Lane[];
    };
export type TurnResult = TurnEnd & Pick<Turn, 'requests'>;

/**
 * Takes the lease, walks what is planned for some pages, gives the lease back. Never throws for what Cloudflare does:
 * that is this lane's trouble alone, and is recorded with a rest. Throws when the database fails or the signal aborts.
 */
export const takeTurn = async (context: SyncContext, job: Job, options: TurnOptions): Promise<TurnResult> => {
  const { store, observer } = context;
  let turn: Turn | undefined;
  let isRenewed = false;
  const ended = await leasedRun(context, {
    claim: async () => (await store.claim(job.source)) ?? new LeaseRefused('held elsewhere'),
    renew: ({ lease }) => {
      isRenewed = true;
      return store.renew(lease);
    },
    release: async ({ lease }) => {
      // A renewal may have overtaken the commit that gave it back.
      if (turn?.isReleased !== true || isRenewed) await store.release(lease);
    },
    run: (claimed, kept) => {
      turn = turnOf(context, job, options, claimed, kept);
      return walkInTurn(turn);
    },
  });
  const requests = turn?.requests ?? 0;
  if (ended instanceof LeaseLostError) {
    const result = ended instanceof FencedError ? 'fenced' : 'lost';
    observer.walkEnded?.({ source: job.source, lane: job.lane, result });
    return { kind: 'held', requests };
  }
  return ended instanceof LeaseRefused ? { kind: 'held', requests } : { ...ended, requests };
};

const turnOf = (
  context: SyncContext,
  job: Job,
  options: TurnOptions,
  { source, lease }: Pick<Turn, 'source' | 'lease'>,
  kept: KeptLease,
): Turn => ({
  context,
  job,
  options,
  source,
  lease,
  kept,
  requests: 0,
  nowMs: job.nowMs,
  isReleased: false,
  window: undefined,
  asked: [],
  state: source.lanes[job.lane] ?? idleLane,
  progress: source,
  eventRate: source.eventRate,
  largestPage: source.largestPage,
});

const walkInTurn = async (turn: Turn): Promise<TurnEnd> => {
  const { context, job, source } = turn;
  for (const { cutEntries } of Object.values(turn.progress.lanes)) context.windows.sawCut(cutEntries);
  try {
    const walk = plannedNow(turn);
    if (walk !== undefined) {
      const begun = await prepareWalk(turn, walk);
      beginWindow(turn, begun.claim);
      await walkPages(turn, begun);
    }
  } catch (error) {
    if (error instanceof RestError) return await rest(turn, error);
    if (error instanceof ApiError) return await rest(turn, new RestError(error, turn.state));
    throw error;
  } finally {
    // The first one was granted with the plan.
    if (job.lane === 'scrub' && turn.requests > 1) await context.scrub?.spend(turn.requests - 1).catch(() => {});
  }
  const left = lanesToDo(turn);
  if (left.length > 0) return { kind: 'more', lanes: left };
  context.observer.sourceSettled?.({ source });
  return { kind: 'idle' };
};

/** A turn reads many windows: a new one goes by what the API has shown and refused since the plan. */
const plannedNow = (turn: Turn): Walk | undefined => {
  const { job, progress } = turn;
  const planned = planLane(job.lane, progress, job.nowMs, { ...job.policy, shownMs: turn.context.windows.shownMs });
  const isNew = planned !== undefined && planned.pages === 0 && planned.failures === 0;
  return isNew ? (planLane(job.lane, progress, job.nowMs, policyNow(turn)) ?? planned) : planned;
};

const policyNow = ({ job, context: { windows } }: Turn): PlanPolicy => {
  const { shownMs, widestMs } = windows;
  return { ...job.policy, shownMs, widestMs };
};

/** The scrub lane has few requests: a window is cut to about a page, by what is stored. */
const fitToPage = async ({ job, source, context: { store } }: Turn, walk: Walk): Promise<Walk> => {
  if (job.lane !== 'scrub') return walk;
  const claim = { ...walk.claim, fromMs: await store.newestPart(source, walk.claim, SCRUB_WINDOW_ENTRIES) };
  return { ...walk, claim, newest: await store.nearestStored(source, claim, 'desc') };
};

/** Version 0.1 noted no sizes. */
const hasNothingStored = ({ largestPage, progress: { unproven = [] } }: Turn): boolean =>
  largestPage === 0 && unproven.length === 0;

/** Cut to size, and over a stored entry that must come at its end. */
const prepareWalk = async (turn: Turn, planned: Walk): Promise<Walk> => {
  if (planned.pages > 0 || planned.failures > 0 || planned.sentinel !== undefined) return planned;
  if (planned.lane === 'live')
    return isLookBackDue(turn.state, turn.nowMs) ? await lookingBack(turn, planned) : planned;
  const walk = await fitToPage(turn, planned);
  if (hasNothingStored(turn)) return walk;
  const { nowMs, progress, source, context } = turn;
  const { horizonMs, widestMs } = policyNow(turn);
  const limited = turn.state.widthMs !== undefined || widestMs !== undefined;
  // A limited one that is read backwards has no room for what lies before it.
  const range =
    limited && walk.direction === 'desc'
      ? undefined
      : sentinelRange(walk, { nowMs, horizonMs, holes: progress.holes, read: progress.coverage[0] ?? [] });
  const sentinel = range && (await context.store.nearestStored(source, range, walk.direction));
  if (sentinel !== undefined) return withSentinel(walk, sentinel, limited);
  if (walk.lane === 'scrub') {
    // What is stored of it must come again: its oldest part comes last.
    return { ...walk, sentinel: await context.store.nearestStored(source, walk.claim, 'asc') };
  }
  // What cannot be read at all may be wider than any day.
  if (turn.state.besideHole === true) return walk;
  const silentMs = range === undefined ? 0 : range.toMs - range.fromMs;
  const widthMs = silenceLimit(progress, walk.claim, {}, silentMs);
  return { ...walk, claim: newestPart(walk.claim, widthMs), silenceMs: widthMs };
};

/** The live tail is asked for anyway, so a look back costs no request: over the newest stored entries, or all of
 * history if there are few, from the other side. What the API did not show at first comes now. */
const lookingBack = async (turn: Turn, walk: Walk): Promise<Walk> => {
  const { job, progress, source, context } = turn;
  const { claim } = walk;
  const read = progress.coverage[0]?.find(({ fromMs, toMs }) => fromMs < claim.fromMs && toMs >= claim.fromMs);
  if (read === undefined) return walk;
  const holeMs = progress.holes.reduce((latest, { range }) => Math.max(latest, range.toMs), Number.NEGATIVE_INFINITY);
  const earliestMs = Math.max(read.fromMs, againSinceMs(job.policy) + RETENTION_MARGIN_MS, holeMs);
  const { widestMs = Number.POSITIVE_INFINITY } = policyNow(turn);
  const within = { fromMs: Math.max(earliestMs, claim.toMs - widestMs), toMs: claim.fromMs };
  if (within.toMs - within.fromMs <= LIVE_LOOKBACK_MS) return walk;
  let fromMs = await context.store.newestPart(source, within, Math.min(LOOK_BACK_ENTRIES, turn.largestPage));
  if (fromMs > within.fromMs)
    fromMs = await context.store.newestPart(source, within, Math.floor(0.8 * suspicion(turn)));
  if (claim.fromMs - fromMs <= LIVE_LOOKBACK_MS) return walk;
  const [sentinel, newest] = await Promise.all([
    context.store.nearestStored(source, { ...within, fromMs }, 'asc'),
    context.store.nearestStored(source, { ...within, fromMs }, 'desc'),
  ]);
  const pageLimit = Math.min(OTHER_LIMIT, turn.state.pageLimit);
  return { ...walk, direction: 'desc', pageLimit, lookbackMs: claim.fromMs - fromMs, sentinel, newest };
};

/** An answer behind the plan's clock leaves what is between to the next plan: now it could be claimed as little. The
 * scrub lane needs leave for every window. */
const lanesToDo = ({ progress, source, job, nowMs }: Turn, resting?: Lane): readonly Lane[] =>
  planLanes(progress, nowMs, job.policy)
    .map(({ lane }) => lane)
    .filter((lane) => lane !== resting && lane !== 'scrub' && (lane === job.lane || (source.restMs[lane] ?? 0) === 0));

const rest = async (turn: Turn, { error, state, restMs }: RestError): Promise<TurnEnd> => {
  const { context, source, lease, job } = turn;
  const failures = turn.state.failures + 1;
  const askedMs = error.status === 503 ? (error.retryAfterMs ?? 0) : 0;
  const backoffMs = Math.max(askedMs, restMs ?? laneBackoffMs(failures, context.random()));
  const failure = { failure: error.failure, message: error.message, backoffMs };
  await context.store.recordFailure(lease, {
    ...failure,
    filterHash: kindPolicyOf(context, source).filterHash,
    lane: job.lane,
    state: { ...state, failures },
  });
  if (error.failure === 'refused' || (error.failure === 'not_found' && kindOf(source).owner === 'account')) {
    await noteAccess(context, source, 'refused');
  }
  context.observer.walkEnded?.({ source, lane: job.lane, result: 'failed' });
  context.observer.sourceFailed?.({ source, lane: job.lane, ...failure });
  const lasting = lastingFailures.includes(error.failure);
  // What fails for all of a source need not be found out by each of its lanes.
  const lanes = lasting || error.failure === 'timeout' ? [] : lanesToDo(turn, job.lane);
  return { kind: 'failed', backoffMs, lasting, timedOut: error.failure === 'timeout', lanes };
};

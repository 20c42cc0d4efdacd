import { sourceBackoffMs } from '../domain/backoff.ts';
import { addRange, type Coverage } from '../domain/coverage.ts';
import { type EventRate, observationOf, observed } from '../domain/event-rate.ts';
import { sortLateEntries } from '../domain/late-entries.ts';
import { emptyPage, type Page } from '../domain/page.ts';
import { planLanes, type SourceProgress } from '../domain/planner.ts';
import type { Lease, SourceState } from '../domain/source.ts';
import {
  afterPage,
  afterRefusedCursor,
  claimForPass,
  claimUntil,
  type Lane,
  type Walk,
  type WalkStep,
  withSmallerPages,
} from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { type KeptLease, keepLease, LeaseLostError } from './keep-lease.ts';
import type { SyncContext } from './ports.ts';
import type { Job } from './work-pool.ts';

/** Long enough to be efficient, short enough that a long backfill does not make the others wait. */
const PAGES_PER_TURN = 20;
/** Twice a full page of ordinary entries. Of larger ones, each worker has one in memory, not two. */
const LARGE_PAGE_BYTES = 2_500_000;

export interface TurnOptions {
  /** Aborts at once what is under way. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun (shutdown); the page in hand is still committed. */
  readonly stopping: () => boolean;
}

/** How a turn ended: with more to do in some lanes, with nothing to do, because another process holds the source, or failed. */
export type TurnResult =
  | { readonly kind: 'more'; readonly lanes: readonly Lane[] }
  | { readonly kind: 'idle' }
  | { readonly kind: 'held' }
  /** `lasting`: another attempt in a moment is of no use. */
  | { readonly kind: 'failed'; readonly backoffMs: number; readonly lasting: boolean };

/** As the work pool wants it: the lanes that are left, or undefined where the source is to be left alone for now. */
export const lanesLeft = (result: TurnResult): readonly Lane[] | undefined =>
  result.kind === 'more' ? result.lanes : result.kind === 'idle' ? [] : undefined;

/**
 * One turn of one source: takes its lease, walks what the planner says is next in the job's lane for some pages, gives the lease back.
 * Never throws for what Cloudflare does: that is this source's trouble alone, and is recorded with a backoff.
 * Throws when the database fails or the signal aborts.
 */
export const takeTurn = async (context: SyncContext, job: Job, options: TurnOptions): Promise<TurnResult> => {
  const takenAtMs = context.time.nowMs();
  const claimed = await context.store.claim(job.source);
  if (claimed === undefined) return { kind: 'held' };
  const { leaseMs } = context;
  const turn: Turn = {
    context,
    job,
    options,
    source: claimed.source,
    lease: claimed.lease,
    kept: keepLease(context.time, { takenAtMs, leaseMs, renew: () => context.store.renew(turn.lease) }),
    progress: claimed.source,
    eventRate: claimed.source.eventRate,
    pages: 0,
  };
  try {
    const walk = planned(turn).find(({ lane }) => lane === job.lane);
    if (walk !== undefined && (await walkPages(turn, walk)) === 'lost') return { kind: 'held' };
    const left = planned(turn).map(({ lane }) => lane);
    return left.length === 0 ? settled(turn) : { kind: 'more', lanes: left };
  } catch (error) {
    if (!(error instanceof ApiError) && !(error instanceof WalkFailedError)) throw error;
    return await recordFailure(turn, error);
  } finally {
    turn.kept.end();
    await context.store.release(turn.lease).catch(() => {
      // The lease runs out by itself; the fault itself has been thrown already, or shows at the next statement.
    });
  }
};

const planned = ({ progress, job }: Turn): readonly Walk[] => planLanes(progress, job.nowMs, job.policy);

const settled = (turn: Turn): TurnResult => {
  turn.context.observer.sourceSettled?.({ source: turn.source });
  return { kind: 'idle' };
};

interface Turn {
  readonly context: SyncContext;
  readonly job: Job;
  readonly options: TurnOptions;
  readonly source: SourceState;
  lease: Lease;
  readonly kept: KeptLease;
  progress: SourceProgress;
  eventRate: EventRate | undefined;
  pages: number;
}

/** The walk itself went wrong (invariant 9): a cursor that repeats, empty pages without end, no way forward. */
export class WalkFailedError extends Error {
  override readonly name = 'WalkFailedError';
  readonly failure: string;

  constructor(failure: string, walk: Walk) {
    const window = `${new Date(walk.claim.fromMs).toISOString()} to ${new Date(walk.claim.toMs).toISOString()}`;
    super(`the walk of ${window} ended after ${walk.pages} pages: ${failure.replaceAll('_', ' ')}`);
    this.failure = failure;
  }
}

/** Walks from `begin` until the walk ends, the turn is spent, or the lease is lost. */
const walkPages = async (turn: Turn, begin: Walk): Promise<'ended' | 'paused' | 'lost'> => {
  const { context, options } = turn;
  const seenCursors = new Set<string>();
  const prefetch = new AbortController();
  const fetchPage = async (walk: Walk): Promise<Page | ApiError> => {
    turn.kept.throwIfLost();
    if (walk.cursor !== undefined) seenCursors.add(walk.cursor);
    const signal = AbortSignal.any([options.signal, prefetch.signal, turn.kept.lost]);
    try {
      return await context.api.fetchPage(turn.source.organizationId, walk, signal);
    } catch (error) {
      if (error instanceof ApiError) return error;
      throw error;
    }
  };
  let walk = begin;
  let pending = fetchPage(walk);
  try {
    for (;;) {
      const page = await pending;
      const step = page instanceof ApiError ? afterFailedPage(walk, page) : afterPage(walk, page, seenCursors);
      turn.pages += 1;
      const goesOn = step.kind === 'next' || step.kind === 'again';
      const spent = turn.pages >= PAGES_PER_TURN || options.stopping();
      if (step.kind === 'again') seenCursors.clear();
      // The next page is fetched while this one is written. If the write is fenced, it is dropped: nothing is lost.
      const large = !(page instanceof ApiError) && page.sizeBytes > LARGE_PAGE_BYTES;
      if (goesOn && !spent && !large) {
        pending = fetchPage(step.walk);
        pending.catch(() => {});
      }
      if (!(await commitStep(turn, walk, page instanceof ApiError ? emptyPage : page, step))) return 'lost';
      if (!(page instanceof ApiError)) page.release?.();
      if (!goesOn) return 'ended';
      if (spent) return 'paused';
      walk = step.walk;
      if (large) pending = fetchPage(walk);
    }
  } catch (error) {
    if (!(error instanceof LeaseLostError)) throw error;
    context.observer.walkEnded?.({ source: turn.source, lane: walk.lane, result: 'lost' });
    return 'lost';
  } finally {
    prefetch.abort();
  }
};

/** Decides after a page that could not be had. Throws the error where it says nothing about the walk. */
export const afterFailedPage = (walk: Walk, error: ApiError): WalkStep => {
  const refusedCursor = error.failure === 'bad_request' && walk.cursor !== undefined;
  const step = refusedCursor
    ? afterRefusedCursor(walk)
    : error.failure === 'too_large'
      ? withSmallerPages(walk)
      : undefined;
  if (step === undefined) throw error;
  return step;
};

/** Commits what a step says. False where the lease was lost. Throws WalkFailedError after committing a failed step. */
const commitStep = async (turn: Turn, walk: Walk, page: Page, step: WalkStep): Promise<boolean> => {
  const { context, source } = turn;
  const delaysMs = [0, ...context.settleDelaysMs];
  // As of the answer itself: a walk planned with a clock that ran ahead must not claim the future as read. (Claims end a
  // second before the plan's now, and a Date header lacks less than a second: of a right clock this takes nothing.)
  const newestMs = context.api.nowMs() ?? walk.claim.toMs;
  const claims = delaysMs.map((delayMs, pass): Coverage => {
    if (step.claim === undefined) return [];
    return pass === 0 ? claimUntil(step.claim, newestMs) : claimForPass(walk, step.claim, delayMs);
  });
  const goesOn = step.kind === 'next' || step.kind === 'again' ? step.walk : undefined;
  const seen = walk.lane === 'live' ? observationOf(walk, step, page.timesMs) : undefined;
  const eventRate = seen && observed(turn.eventRate, seen);
  const sentAtMs = context.time.nowMs();
  const result = await context.store.commit({
    lease: turn.lease,
    page,
    filterHash: context.filterHash,
    lane: walk.lane,
    walk: goesOn,
    claims,
    eventRate,
  });
  const { observer } = context;
  if (result.kind === 'fenced') {
    observer.walkEnded?.({ source, lane: walk.lane, result: 'fenced' });
    return false;
  }
  turn.lease = result.lease;
  turn.eventRate = eventRate ?? turn.eventRate;
  turn.kept.renewed(sentAtMs);
  // What brings nothing new is no success: a walk that stalls again and again rests longer each time.
  const failures = result.stored > 0 || step.claim !== undefined ? 0 : turn.progress.failures;
  turn.progress = { ...advance(turn.progress, walk.lane, goesOn, claims), failures };
  const late = sortLateEntries(result.covered, walk.lane, context.settleDelaysMs.length);
  observer.pageCommitted?.({ ...result, source, lane: walk.lane, entries: page.entries, late });
  if (source.refused && (await context.store.recordAccess(source.organizationId, 'restored'))) {
    observer.organizationChanged?.({ organizationId: source.organizationId, change: 'restored' });
  }
  if (step.kind === 'next') return true;
  const ended = step.kind === 'done' && step.assumed ? 'assumed' : step.kind;
  observer.walkEnded?.({ source, lane: walk.lane, result: ended });
  if (step.kind === 'failed') throw new WalkFailedError(step.fault, walk);
  return true;
};

const advance = (
  progress: SourceProgress,
  lane: Lane,
  walk: Walk | undefined,
  claims: readonly Coverage[],
): Omit<SourceProgress, 'failures'> => ({
  coverage: claims.map((ranges, pass) => ranges.reduce(addRange, progress.coverage[pass] ?? [])),
  openWalks: [...progress.openWalks.filter((open) => open.lane !== lane), ...(walk === undefined ? [] : [walk])],
});

const recordFailure = async (turn: Turn, error: ApiError | WalkFailedError): Promise<TurnResult> => {
  const { context, source, lease } = turn;
  const failures = turn.progress.failures + 1;
  const askedMs = error instanceof ApiError && error.status === 503 ? (error.retryAfterMs ?? 0) : 0;
  const backoffMs = Math.max(askedMs, sourceBackoffMs(failures, context.random()));
  const failure = { failure: error.failure, message: error.message, backoffMs, failures };
  await context.store.recordFailure(lease, failure);
  if (error.failure === 'refused' && (await context.store.recordAccess(source.organizationId, 'refused'))) {
    context.observer.organizationChanged?.({ organizationId: source.organizationId, change: 'refused' });
  }
  if (error instanceof ApiError) {
    context.observer.walkEnded?.({ source, lane: turn.job.lane, result: 'failed' });
  }
  context.observer.sourceFailed?.({ source, ...failure });
  return { kind: 'failed', backoffMs, lasting: ['refused', 'unauthorized', 'not_found'].includes(error.failure) };
};

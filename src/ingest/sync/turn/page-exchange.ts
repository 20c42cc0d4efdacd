import { ApiError } from '../../../errors.ts';
import { idsOf, type Page } from '../../entries/page.ts';
import type { Coverage } from '../../planning/coverage.ts';
import { addRange, isWithin } from '../../planning/coverage.ts';
import { afterDone, type Hole, type LaneState, withoutLookBack } from '../../planning/lane.ts';
import { foundByScrub, sortLateEntries } from '../../planning/late-entries.ts';
import { FIRST_LOOK_MS, withoutSilence } from '../../planning/planner.ts';
import { historyObservationOf, type Observation, observationOf, observed } from '../../planning/polling/event-rate.ts';
import { credibleNow } from '../../planning/server-time.ts';
import type { PageCounts } from '../../planning/source.ts';
import { claimForPass, isLookBack, missesSentinel, suspectedFrom, type Walk } from '../../planning/walk.ts';
import { kindPolicyOf } from '../kind-policy.ts';
import { noteAccess } from './note-access.ts';
import { noteRound } from './note-round.ts';
import { FencedError, PageRefusedError } from './turn-errors.ts';
import { readingOf, type Turn } from './turn-state.ts';
import { claimedReads } from './walk-answers.ts';

export interface FetchOptions {
  readonly abort?: AbortSignal;
  /** How long the answer is waited for; undefined: as long as the client allows. */
  readonly attemptMs?: number | undefined;
}

/** The next page of a walk, or why it could not be read. Throws LeaseLostError, and the reason of an abort. */
export const fetchPage = async (
  turn: Turn,
  walk: Walk,
  { abort, attemptMs = timeoutMs(turn, walk) }: FetchOptions = {},
): Promise<Page | ApiError> => {
  const { context, options, kept, source, job } = turn;
  kept.throwIfLost();
  turn.requests += 1;
  const signal = AbortSignal.any([options.signal, kept.lost, ...(abort === undefined ? [] : [abort])]);
  try {
    const page = await context.api.fetchPage(source, walk, signal, attemptMs);
    if (missesSentinel(walk)) page.ids = idsOf(page);
    const { databaseMs, atMs } = job.clock;
    const serverMs = page.servedAtMs ?? context.api.nowMs();
    if (serverMs !== undefined) page.servedAtMs = credibleNow(serverMs, databaseMs + context.time.nowMs() - atMs);
    turn.nowMs = Math.min(turn.nowMs, page.servedAtMs ?? turn.nowMs);
    return page;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
};

/** How long an answer is waited for; undefined: as long as the client allows. */
const timeoutMs = ({ context }: Turn, walk: Walk): number | undefined => {
  const { lane, pages, claim } = walk;
  if (isLookBack(walk)) return context.windows.partTimeoutMs;
  return lane !== 'live' && pages === 0 ? context.windows.timeoutMs(claim.toMs - claim.fromMs) : undefined;
};

/** From which size a page of the turn's source may have been cut, by the pages before. */
export const suspicion = ({ largestPage, context }: Turn): number =>
  suspectedFrom(largestPage, context.windows.largestPage);

export interface CommitMore {
  /** What coverage grows by, for each pass. */
  readonly claims?: readonly Coverage[];
  /** The walk that ends with it. */
  readonly walk?: Walk;
  readonly holes?: readonly Hole[];
  /** Nothing is committed in this turn after it. */
  readonly endsTurn?: boolean;
}

/**
 * Commits a page with the new state of its lane, and updates the turn. If `state` is undefined, the lane stays as it is. Throws FencedError if the
 * source has gone to another replica, PageRefusedError for what the database refuses to hold.
 */
export const commitPart = async (
  turn: Turn,
  page: Page,
  state: LaneState | undefined,
  { claims = [], walk, holes = [], endsTurn = false }: CommitMore = {},
): Promise<PageCounts> => {
  const { context, source, job } = turn;
  const { lane } = job;
  const seen = walk && observationIn(turn, walk);
  const eventRate = seen && observed(turn.eventRate, seen);
  const largestPage = noteSize(turn, page);
  const sentAtMs = context.time.nowMs();
  const { filterHash } = kindPolicyOf(context, source);
  const reading = walk && readingOf(turn, walk);
  const result = await context.store
    .commit({
      lease: turn.lease,
      page,
      filterHash,
      lane,
      state,
      claims,
      eventRate,
      largestPage,
      holes,
      reading,
      reads: walk && claimedReads(walk, turn.asked),
      endsTurn,
    })
    .catch((error: unknown) => {
      throw error instanceof ApiError ? new PageRefusedError(error) : error;
    });
  if (result.kind === 'fenced') throw new FencedError();
  if (endsTurn) turn.kept.end();
  else turn.kept.renewed(sentAtMs);
  turn.isReleased = endsTurn;
  turn.lease = result.lease;
  turn.eventRate = eventRate ?? turn.eventRate;
  turn.state = state ?? turn.state;
  notePage(turn, page, result);
  turn.progress = advance(turn, claims, holes);
  const found = foundByScrub(result.covered, lane);
  if (found !== undefined && turn.window !== undefined) {
    context.observer.scrubFound?.({ source, ...found, window: turn.window });
  }
  if (source.refused) await noteAccess(context, source, 'restored');
  await noteRound(turn, page.entries, result, { state, claims });
  return result;
};

/** Tells what became of a page, before the turn knows what it claims: what the first walk of a source finds is history, and not late. */
export const notePage = (turn: Turn, page: Page, counts: PageCounts): void => {
  const { context, source, job, progress } = turn;
  const { lane } = job;
  const late = sortLateEntries(counts.covered, lane, context.settleDelaysMs.length);
  const isFirstWalk = (progress.coverage[0] ?? []).length === 0;
  const latenessSeconds = isFirstWalk ? [] : counts.latenessSeconds;
  context.observer.pageCommitted?.({ ...counts, latenessSeconds, source, lane, entries: page.entries, late });
};

/** Of a page whose entries are all stored already. */
export const nothingNew = ({ entries }: Page): PageCounts => ({
  stored: 0,
  duplicates: entries,
  changed: 0,
  defective: 0,
  latenessSeconds: [],
  covered: [],
});

/** The live lane tells how often events happen, and so does the first of the history, when hardly anything is known. */
const observationIn = ({ job, progress }: Turn, walk: Walk): Observation | undefined => {
  if (job.lane === 'live') return (isLookBack(walk) ? historyObservationOf : observationOf)(walk);
  const readMs = (progress.coverage[0] ?? []).reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
  return job.lane === 'backfill' && readMs <= 2 * FIRST_LOOK_MS ? historyObservationOf(walk) : undefined;
};

/**
 * Notes how large pages get, and returns how large the largest of the source is. Entries that come twice on a page do not make it larger: a page
 * that is cut shorter would then look whole.
 */
export const noteSize = (turn: Turn, page: Page): number => {
  if (page.entries > turn.largestPage) turn.largestPage = Math.max(turn.largestPage, idsOf(page).size);
  turn.context.windows.sawPage(turn.largestPage);
  return turn.largestPage;
};

const advance = (
  { progress, job, state, largestPage, eventRate }: Turn,
  claims: readonly Coverage[],
  holes: readonly Hole[],
): Turn['progress'] => ({
  coverage: Array.from({ length: Math.max(claims.length, progress.coverage.length) }, (_, pass) =>
    (claims[pass] ?? []).reduce(addRange, progress.coverage[pass] ?? []),
  ),
  lanes: { ...progress.lanes, [job.lane]: state },
  holes: [
    ...progress.holes.filter(
      (known) => !holes.some((hole) => hole.pass === known.pass && isWithin(known.range, hole.range)),
    ),
    ...holes.map((hole) => ({ ...hole, due: false })),
  ],
  largestPage,
  eventRate,
});

/** Claims what has been read to its end, together with the last page. Nothing is committed in its turn afterwards. */
export const finish = async (
  turn: Turn,
  ended: Walk,
  page: Page,
  result: 'done' | 'proven' = 'done',
): Promise<void> => {
  const { context, job, source } = turn;
  context.windows.ended(source, ended);
  const walk = withoutSilence(ended, context.windows.shownMs, turn.progress.coverage[0] ?? []);
  if (walk === undefined) {
    return void (await commitPart(turn, page, withoutLookBack(turn.state, turn.nowMs), { endsTurn: true }));
  }
  const claims = [0, ...context.settleDelaysMs].map((delayMs) => claimForPass(walk, delayMs));
  // How dense entries lie is told by all of the window.
  const state = { ...afterDone(turn.state, walk), entriesPerDay: afterDone(turn.state, ended).entriesPerDay };
  await commitPart(turn, page, state, { claims, walk, endsTurn: true });
  context.observer.walkEnded?.({ source, lane: job.lane, result });
};

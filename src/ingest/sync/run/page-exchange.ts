import { hash } from 'node:crypto';
import { ApiError, type ApiFailure } from '../../../base/errors.ts';
import { type KeptLease, LeaseLostError } from '../../../postgres/leases.ts';
import { idsOf, type Page, type PageAnswer } from '../../entries/page.ts';
import { addRange, type Coverage, isWithin, type Range } from '../../planning/coverage.ts';
import { afterDone, type Hole, type LaneState, withoutLookBack } from '../../planning/lane.ts';
import {
  againSinceMs,
  FIRST_LOOK_MS,
  type SourceProgress,
  scrubFacts,
  withoutSilence,
} from '../../planning/planner.ts';
import { isRoundThrough, readAgainAfterMs, SCRUB_PASS } from '../../planning/scrub.ts';
import {
  type ClaimedReads,
  type EventRate,
  foundByScrub,
  historyObservationOf,
  type Lease,
  type Observation,
  observationOf,
  observed,
  type PageCounts,
  type Reading,
  type SourceKey,
  type SourceState,
  sortLateEntries,
} from '../../planning/source.ts';
import {
  claimForPass,
  isLookBack,
  missedSentinels,
  requestWindow,
  suspectedFrom,
  type Walk,
  type WalkAnswers,
} from '../../planning/walk.ts';
import { kindOf } from '../../sources/registry.ts';
import { kindPolicyOf } from '../plan-jobs.ts';
import { clampToDatabaseClock, type SyncContext } from '../ports.ts';
import type { Job } from '../work-pool.ts';

/** Returns why it could not be read. Throws LeaseLostError, and the reason of an abort. */
export const fetchPage = async (
  turn: Turn,
  walk: Walk,
  { abort, attemptMs = timeoutMs(turn, walk) }: { readonly abort?: AbortSignal; readonly attemptMs?: number } = {},
): Promise<Page | ApiError> => {
  const { context, options, kept, source, job } = turn;
  kept.throwIfLost();
  set(turn, { requests: turn.requests + 1 });
  const signal = AbortSignal.any([options.signal, kept.lost, ...(abort === undefined ? [] : [abort])]);
  const page = await orApiError(context.api.fetchPage(source, walk, signal, attemptMs));
  if (page instanceof ApiError) return page;
  if (missedSentinels(walk).length > 0) page.ids = idsOf(page);
  const { databaseMs, atMs } = job.clock;
  const serverMs = page.servedAtMs ?? context.api.nowMs();
  if (serverMs !== undefined)
    page.servedAtMs = clampToDatabaseClock(serverMs, databaseMs + context.time.nowMs() - atMs);
  set(turn, { nowMs: Math.min(turn.nowMs, page.servedAtMs ?? turn.nowMs) });
  return page;
};

export const orApiError = <T>(answer: Promise<T>): Promise<T | ApiError> =>
  answer.catch((error: unknown) => {
    if (error instanceof ApiError) return error;
    throw error;
  });

const timeoutMs = ({ context }: Turn, walk: Walk): number | undefined => {
  const { lane, pages, claim } = walk;
  if (isLookBack(walk)) return context.windows.partTimeoutMs;
  return lane !== 'live' && pages === 0 ? context.windows.timeoutMs(claim.toMs - claim.fromMs) : undefined;
};

export const suspicion = ({ largestPage, context }: Turn): number =>
  suspectedFrom(largestPage, context.windows.cutFrom);

interface CommitMore {
  readonly claims?: readonly Coverage[];
  readonly walk?: Walk;
  readonly holes?: readonly Hole[];
  readonly endsTurn?: boolean;
}

/** `state` undefined: the lane stays as it is. Throws FencedError, and PageRefusedError for what the database refuses
 * to hold. */
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
  notePage(turn, page, result);
  set(turn, {
    isReleased: endsTurn,
    lease: result.lease,
    eventRate: eventRate ?? turn.eventRate,
    state: state ?? turn.state,
  });
  set(turn, { progress: advance(turn, claims, holes) });
  const found = foundByScrub(result.covered, lane);
  if (found !== undefined && turn.window !== undefined) {
    context.observer.scrubFound?.({ source, ...found, window: turn.window });
  }
  if (source.refused) await noteAccess(context, source, 'restored');
  await recordRound(turn, page.entries, result, { state, claims });
  return result;
};

/** Comes before the turn knows what it claims: what the first walk of a source finds is history, and not late. */
export const notePage = (turn: Turn, page: Page, counts: PageCounts): void => {
  const { context, source, job, progress } = turn;
  const { lane } = job;
  const late = sortLateEntries(counts.covered, lane, context.settleDelaysMs.length);
  const isFirstWalk = (progress.coverage[0] ?? []).length === 0;
  const latenessSeconds = isFirstWalk ? [] : counts.latenessSeconds;
  context.observer.pageCommitted?.({ ...counts, latenessSeconds, source, lane, entries: page.entries, late });
};

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

/** Returns the largest page of the source. Entries that come twice do not count: a page that is cut shorter would then
 * look whole. */
export const noteSize = (turn: Turn, page: Page): number => {
  if (page.entries > turn.largestPage) set(turn, { largestPage: Math.max(turn.largestPage, idsOf(page).size) });
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

/** Claims a walk with its last page. Nothing is committed in this turn afterwards. */
export const finish = async (turn: Turn, ended: Walk, page: Page, result: 'done' | 'proven' = 'done') => {
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

export const passOf = ({ job, progress }: Pick<Turn, 'job' | 'progress'>, claim: Walk['claim']): number => {
  if (job.lane === 'scrub') return SCRUB_PASS;
  if (job.lane !== 'settle') return 0;
  const lacking = progress.coverage.findIndex(
    (ranges, pass) => pass > 0 && !ranges.some((each) => isWithin(claim, each)),
  );
  return lacking === -1 ? progress.coverage.length : lacking;
};

const readingOf = (turn: Pick<Turn, 'context' | 'job' | 'progress'>, { claim, direction, round }: Walk): Reading => {
  const how = { range: claim, direction, againAfterMs: readAgainAfterMs(turn.context.scrub?.everyMs) };
  if (round !== undefined) return { ...how, method: 'scrub', number: round.number };
  const pass = passOf(turn, claim);
  return { ...how, method: pass === 0 ? 'first reading' : 'pass', number: pass };
};

export interface TurnOptions {
  /** Aborts at once what is under way; its reason is then thrown. */
  readonly signal: AbortSignal;
  /** No further page should be begun (shutdown); the page in hand is still committed. */
  readonly stopping: () => boolean;
}

/**
 * One source in the hands of this process, for a few pages of one lane. It is shared by what runs at the same time (the next page is asked
 * for while one is committed), and read where a failure is handled: so it is changed in place, by `set` in this file alone.
 */
export interface Turn {
  readonly context: SyncContext;
  readonly job: Job;
  readonly options: TurnOptions;
  readonly source: SourceState;
  readonly kept: KeptLease;
  /** The window being read. Set by `beginWindow`. */
  readonly window: Range | undefined;

  // By fetchPage:
  /** Retries of the client not counted. */
  readonly requests: number;
  /** Cloudflare's time: as planned, or as one of this turn's answers put it if that was earlier. Nothing later can be claimed. */
  readonly nowMs: number;

  // By noteAnswer:
  /** Pages that are none of the walk: to questions that prove its end, or parts of a second. */
  readonly asked: readonly PageAnswer[];

  // By commitPart:
  readonly lease: Lease;
  readonly state: LaneState;
  readonly progress: SourceProgress;
  readonly eventRate: EventRate | undefined;
  /** Also by noteSize, for a page that is held. */
  readonly largestPage: number;
  /** Its last commit has given the lease back: nothing more may be committed. */
  readonly isReleased: boolean;
}

const set = (turn: Turn, changed: Partial<Turn>): void => {
  Object.assign(turn, changed);
};

export const beginWindow = (turn: Turn, window: Range): void => set(turn, { window });

export const noteAnswer = (turn: Turn, { answer }: Page): void => {
  if (answer !== undefined) set(turn, { asked: [...turn.asked, answer] });
};

export class FencedError extends LeaseLostError {
  override readonly name = 'FencedError';
}

/** PostgreSQL refuses a page in every form: treated like one that could not be read. */
export class PageRefusedError extends Error {
  override readonly name = 'PageRefusedError';
  readonly error: ApiError;

  constructor(error: ApiError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

/** The lane must rest, and goes on from this state. `restMs` undefined: as long as its failures say. */
export class RestError extends Error {
  override readonly name = 'RestError';
  readonly error: ApiError;
  readonly state: LaneState;
  readonly restMs: number | undefined;

  constructor(error: ApiError, state: LaneState, restMs?: number) {
    super(error.message, { cause: error });
    this.error = error;
    this.state = state;
    this.restMs = restMs;
  }
}

export const lastingFailures: readonly ApiFailure[] = ['refused', 'unauthorized', 'not_found'];

/**
 * What a failure is evidence about.
 * - all: the credential, the organization or the budget; nothing about the walk
 * - walk: the API has answered, and refuses this very request
 * - unsure: it may be the request, and it may be an outage
 */
export const blameOf = ({ failure }: ApiError, { cursor }: Walk): 'all' | 'walk' | 'size' | 'unsure' => {
  switch (failure) {
    case 'refused':
    case 'unauthorized':
    case 'throttled':
      return 'all';
    case 'not_found':
      return cursor === undefined ? 'all' : 'walk';
    case 'bad_request':
      return 'walk';
    case 'too_large':
      return 'size';
    default:
      return 'unsure';
  }
};

/** Too narrow to be halved. */
export class UnprovenError extends Error {
  override readonly name = 'UnprovenError';

  constructor({ claim, pages }: Walk, why: string) {
    const window = `${new Date(claim.fromMs).toISOString()} to ${new Date(claim.toMs).toISOString()}`;
    super(`the walk of ${window} ended after ${pages} pages: ${why}`);
  }
}

const noAnswers: WalkAnswers = {
  count: 0,
  firstDateMs: null,
  firstCfRay: null,
  lastDateMs: null,
  lastCfRay: null,
  sha256: '0'.repeat(64),
};

/** An answer that is not known, as in tests of other things, is not counted. */
export const withAnswer = (
  before: WalkAnswers | undefined,
  answer: PageAnswer | undefined,
): WalkAnswers | undefined => {
  if (answer === undefined) return before;
  const { count, firstDateMs, firstCfRay, sha256 } = before ?? noAnswers;
  const [dateMs, cfRay] = [answer.dateMs ?? null, answer.cfRay ?? null];
  return {
    count: count + 1,
    firstDateMs: count === 0 ? dateMs : firstDateMs,
    firstCfRay: count === 0 ? cfRay : firstCfRay,
    lastDateMs: dateMs,
    lastCfRay: cfRay,
    sha256: hash('sha256', Buffer.from(sha256 + answer.bodySha256, 'hex')),
  };
};

/** `asked`: beside the walk's own pages. Undefined if nothing is known of its answers. */
export const claimedReads = (walk: Walk, asked: readonly PageAnswer[]): ClaimedReads | undefined => {
  const answers = asked.reduce(withAnswer, walk.answers);
  const { pages, entries } = walk;
  return answers && { window: requestWindow(walk), pages, entries, answers };
};

/** Notes that a log refuses, or answers again, and tells of it if that is news. */
export const noteAccess = async (
  { store, observer }: SyncContext,
  source: SourceKey,
  change: 'refused' | 'restored',
): Promise<void> => {
  if (!(await store.recordAccess({ kind: source.kind, id: source.id }, change))) return;
  if (kindOf(source).owner === 'account') observer.accountChanged?.({ accountId: source.id, change });
  else observer.organizationChanged?.({ organizationId: source.id, change });
};

/** Kept with the result of its round. `claims`: the time that was read to its end with it. */
const recordRound = async (
  { context, source, job, progress }: Turn,
  entries: number,
  { covered, changed }: Pick<PageCounts, 'covered' | 'changed'>,
  { state, claims }: { readonly state: LaneState | undefined; readonly claims: readonly Coverage[] },
): Promise<void> => {
  const round = state?.walk?.round ?? state?.round;
  if (job.lane !== 'scrub' || round === undefined) return;
  const [read = []] = claims;
  if (entries === 0 && read.length === 0) return;
  const horizonMs = againSinceMs(job.policy);
  await context.store.noteScrub({
    source: { kind: source.kind, id: source.id },
    filterHash: kindPolicyOf(context, source).filterHash,
    round: { number: round.number, beganMs: round.beganMs, untilMs: round.untilMs },
    sinceMs: horizonMs,
    entries,
    missing: covered.reduce((sum, each) => sum + each.entries, 0),
    changed,
    seconds: read.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) / 1_000,
    ended: read.length > 0 && isRoundThrough(scrubFacts(progress), horizonMs),
  });
};

import { ApiError } from '../../../base/errors.ts';
import { SECOND_ATTEMPT_MS } from '../../../base/time.ts';
import { emptyPage, idsOf, type Page } from '../../entries/page.ts';
import type { Range } from '../../planning/coverage.ts';
import {
  afterHole,
  grownHole,
  type Hole,
  narrowed,
  withCut,
  withoutLookBack,
  withSmallerPages,
} from '../../planning/lane.ts';
import { SILENT_LOOK_MS, silenceLimit } from '../../planning/planner.ts';
import { SHORT_ANSWER } from '../../planning/proof.ts';
import {
  afterEnd,
  afterPage,
  type Filter,
  isLookBack,
  mayBeCut,
  orderOf,
  requestWindow,
  shownByLook,
  startWalk,
  type Walk,
  type WalkStep,
} from '../../planning/walk.ts';
import { splitsOfSecond } from '../../sources/source-kind.ts';
import { kindPolicyOf } from '../plan-jobs.ts';
import {
  blameOf,
  commitPart,
  fetchPage,
  finish,
  noteAnswer,
  PageRefusedError,
  passOf,
  RestError,
  suspicion,
  type Turn,
  withAnswer,
} from './page-exchange.ts';
import { type DoubtfulWalk, failsThroughout, type HeldPage, holdPage, prove } from './prove.ts';

/** Long enough to be efficient, short enough that a long backfill does not make the others wait. */
const PAGES_PER_TURN = 20;
/** A slow API gets fewer pages: the live tail of the same source waits as long. */
const TURN_MS = 2_500;
/** The second page shows whether the first one had the newest entries of all. */
const FIRST_LOOK_PAGES = 2;
/** Twice a full page of ordinary entries. Each worker has one larger one in memory, not two. */
const LARGE_PAGE_BYTES = 2_500_000;

/** Throws RestError or ApiError when the lane must rest, FencedError and LeaseLostError when another replica has the
 * source. */
export const walkPages = async (turn: Turn, begin: Walk): Promise<void> => {
  const prefetch = new AbortController();
  const fetch = (walk: Walk) => fetchPage(turn, walk, { abort: prefetch.signal });
  const { time, windows } = turn.context;
  const beganMs = time.nowMs();
  let walk = begin;
  let pages = 0;
  let lastIds: ReadonlySet<string> | undefined;
  /** The page before is smaller than pages that are cut. */
  let mayEnd = false;
  let pending = fetch(walk);
  try {
    for (;;) {
      const page = await pending;
      if (page instanceof ApiError) {
        const again = await afterFailure(turn, walk, page, { lastIds, mayEnd });
        if (again === undefined) return;
        walk = again;
        pending = fetch(walk);
        continue;
      }
      const step = withResponse(afterPage(walk, page, suspicion(turn)), page);
      if (walk.pages === 0) windows.served(walk.claim.toMs - walk.claim.fromMs, time.nowMs() - beganMs);
      pages += 1;
      const spent = pages >= PAGES_PER_TURN || time.nowMs() - beganMs >= TURN_MS || turn.options.stopping();
      // The next page is fetched while this one is written. If the write is fenced, it is dropped: nothing is lost.
      const large = page.sizeBytes > LARGE_PAGE_BYTES;
      if (step.kind !== 'next') return await endWalk(turn, walk, page, step, lastIds);
      if (isFirstLook(turn, walk) && step.walk.pages >= FIRST_LOOK_PAGES) {
        return await finishFirstLook(turn, step.walk, page);
      }
      if (!spent && !large) {
        pending = fetch(step.walk);
        pending.catch(() => {});
      }
      if (page.entries > 0) lastIds = idsOf(page);
      mayEnd = !mayBeCut(page.entries, walk.pageLimit, suspicion(turn));
      // Behind a page that may be the last, the next one is asked for in the same turn.
      const endsTurn = spent && (!mayEnd || isFull(turn, step.walk) || turn.options.stopping());
      await commitPart(turn, page, { ...turn.state, walk: step.walk }, { endsTurn });
      page.release?.();
      if (endsTurn) return;
      walk = step.walk;
      if (large || spent) pending = fetch(walk);
    }
  } catch (error) {
    if (!(error instanceof PageRefusedError)) throw error;
    await halveWindow(turn, walk, 'unreadable', error.error);
  } finally {
    prefetch.abort();
  }
};

const withResponse = (step: WalkStep, { answer }: Page): WalkStep => ({
  ...step,
  walk: { ...step.walk, answers: withAnswer(step.walk.answers, answer) },
});

/** The last page is as large as any: others usually follow. */
const isFull = ({ largestPage }: Turn, { lastPageEntries }: Walk): boolean => lastPageEntries >= largestPage;

/**
 * The last page of a walk, or one after which it cannot go on. `idsBefore`: of the last page with entries before it.
 */
const endWalk = async (
  turn: Turn,
  before: Walk,
  page: Page,
  step: Exclude<WalkStep, { kind: 'next' }>,
  idsBefore: ReadonlySet<string> | undefined,
): Promise<void> => {
  if (step.kind === 'done') {
    if (isTooWideForSilence(turn, step.walk)) return await halveWindow(turn, step.walk, SHORT_ANSWER);
    if (isFirstLook(turn, step.walk)) return await finishFirstLook(turn, step.walk, page);
    await finish(turn, step.walk, page);
    page.release?.();
    return;
  }
  const { kind } = step;
  const lastIds = page.entries > 0 ? idsOf(page) : idsBefore;
  const state = { ...turn.state, walk: before };
  // Its only page comes again when it is proven.
  const isHeld = kind === 'doubtful' && step.walk.pages === 1 && page.sizeBytes <= LARGE_PAGE_BYTES;
  if (!isHeld) {
    // Should the process die now, the page is asked for again.
    await commitPart(turn, page, state);
    page.release?.();
  }
  // What is new is not held back.
  const isNew = turn.job.lane === 'live' && !isFirstLook(turn, step.walk);
  const heldPage = isHeld ? holdPage(turn, page, state, isNew ? 0 : undefined) : undefined;
  const doubts = kind === 'doubtful' ? step.doubts : [];
  const { lastPageEntries, pageLimit } = step.walk;
  const isLook =
    isFirstLook(turn, step.walk) &&
    doubts.every((doubt) => doubt === 'size') &&
    !mayBeCut(lastPageEntries, pageLimit, turn.context.windows.cutFrom);
  const read = isLook ? { ...step.walk, silenceMs: Number.POSITIVE_INFINITY } : step.walk;
  const isCredible =
    kind !== 'broken' && (await isProven(turn, { walk: step.walk, doubts, lastIds, isLook }, heldPage));
  if (isCredible) await finish(turn, read, heldPage?.isStored === false ? page : emptyPage, 'proven');
  heldPage?.page.release?.();
  if (!isCredible) await halveWindow(turn, step.walk, reasonOf(step));
};

const isFirstLook = ({ state }: Turn, walk: Walk): boolean => isLookBack(walk) && state.lookBack === undefined;

/** The rest of history is asked for by itself. */
const finishFirstLook = async (turn: Turn, walk: Walk, page: Page): Promise<void> => {
  const shown = shownByLook(walk, page.timesMs);
  if (shown !== undefined) await finish(turn, shown, page);
  else await commitPart(turn, page, withoutLookBack(turn.state, turn.nowMs), { endsTurn: true });
  page.release?.();
};

/** Beside a hole and after an outage windows are wider than silence is believed. */
const isTooWideForSilence = ({ state, progress, context }: Turn, { lane, entries, sentinel, claim }: Walk): boolean =>
  (lane === 'live' || (lane === 'backfill' && state.besideHole === true)) &&
  entries === 0 &&
  sentinel === undefined &&
  claim.toMs - claim.fromMs > silenceLimit(progress, claim, { shownMs: context.windows.shownMs });

const reasonOf = (step: WalkStep): string => {
  if (step.kind === 'broken') return step.fault;
  return step.kind === 'short' ? SHORT_ANSWER : step.walk.emptyPages > 1 ? 'too_many_empty_pages' : 'cut';
};

/** A held page is stored unless what it proves may be claimed together with it. */
const isProven = async (turn: Turn, doubtful: DoubtfulWalk, heldPage: HeldPage | undefined): Promise<boolean> => {
  try {
    const result = await prove(turn, doubtful, heldPage);
    if (!result) await heldPage?.store();
    return result;
  } catch (error) {
    if (error instanceof ApiError) await heldPage?.store();
    throw error;
  }
};

interface PageBefore {
  readonly lastIds: ReadonlySet<string> | undefined;
  readonly mayEnd: boolean;
}

/** The live tail is then asked for by itself; of a history that may be silent, its newest day. */
const dropLookBack = async (turn: Turn, walk: Walk, reason: string): Promise<void> => {
  const { context, job, source } = turn;
  await commitPart(turn, emptyPage, {
    ...withoutLookBack(reason === 'cut' ? withCut(turn.state, walk) : turn.state, turn.nowMs),
    ...(isFirstLook(turn, walk) && walk.entries === 0 && { widthMs: SILENT_LOOK_MS }),
  });
  context.observer.windowNarrowed?.({ source, lane: job.lane, claim: requestWindow(walk), reason });
};

/** The walk to ask for again at once; undefined if it ended here. A page gets two failures; then its cursor is dropped
 * and its window halved. Throws RestError. */
const afterFailure = async (turn: Turn, walk: Walk, error: ApiError, before: PageBefore): Promise<Walk | undefined> => {
  const blame = blameOf(error, walk);
  const begun = walk.pages > 0 ? walk : turn.state.walk;
  if (blame === 'all') {
    // It may be the width that is refused.
    const state = isLookBack(walk) ? withoutLookBack(turn.state, turn.nowMs) : { ...turn.state, walk: begun };
    throw new RestError(error, state);
  }
  if (blame === 'size') {
    const smaller = withSmallerPages(turn.state);
    if (smaller === undefined) await halveWindow(turn, walk, error.failure, error);
    else await commitPart(turn, emptyPage, smaller);
    return undefined;
  }
  if (isFirstLook(turn, walk)) {
    if (walk.pages === 0) turn.context.windows.refused(turn.source.id, walk.claim);
    throw new RestError(error, withoutLookBack(turn.state, turn.nowMs), SECOND_ATTEMPT_MS);
  }
  if (isLookBack(walk)) return void (await dropLookBack(turn, walk, error.failure));
  const failed = { ...walk, failures: walk.failures + 1 };
  if (failed.failures < 2) {
    // While it is known which page the cursor stands behind.
    if (walk.cursor !== undefined && (blame === 'walk' || before.mayEnd)) return failed;
    throw new RestError(error, { ...turn.state, walk: failed }, SECOND_ATTEMPT_MS);
  }
  if (blame === 'unsure' && !(await answersElsewhere(turn, walk))) {
    throw new RestError(error, { ...turn.state, walk: { ...walk, failures: 1 } });
  }
  await dropCursor(turn, walk, error, before.lastIds);
  return undefined;
};

/** If its cursor stood behind a page that cannot have been cut, that page may have been the last. */
const dropCursor = async (turn: Turn, walk: Walk, error: ApiError, lastIds: ReadonlySet<string> | undefined) => {
  const { pages, lastPageEntries } = walk;
  const end = pages === 0 ? undefined : afterEnd(walk, suspicion(turn));
  // Of entries of one time, as many as pages have, more may lie behind a cursor that fails.
  const isTold = orderOf(walk) !== undefined || blameOf(error, walk) === 'walk' || !isFull(turn, walk);
  if (end?.kind === 'doubtful' && !end.doubts.includes('size') && isTold) {
    // Of another turn: the window is read once more from its beginning, unless that would end at the same page.
    if (lastIds === undefined && walk.entries > 0 && lastPageEntries > 0 && !isFull(turn, walk)) {
      return void (await commitPart(turn, emptyPage, { ...turn.state, walk: undefined }));
    }
    if (await prove(turn, { ...withFailure(end, error), lastIds }))
      return await finish(turn, walk, emptyPage, 'proven');
  }
  if (pages === 0) turn.context.windows.refused(turn.source.id, walk.claim);
  await halveWindow(turn, walk, end?.kind === 'broken' ? end.fault : error.failure, error);
};

/** An error that is not about the cursor may be about an entry behind it. */
const withFailure = <T extends Pick<DoubtfulWalk, 'walk' | 'doubts'>>(end: T, error: ApiError): T =>
  blameOf(error, end.walk) === 'walk' ? end : { ...end, doubts: [...end.doubts, 'failure'] };

/** Halves the window, and reads a second part by part. Beside a hole, all of it may join that. */
const halveWindow = async (turn: Turn, walk: Walk, reason: string, error?: ApiError): Promise<void> => {
  if (isLookBack(walk)) return await dropLookBack(turn, walk, reason);
  const { context, job, source } = turn;
  const pass = passOf(turn, walk.claim);
  const message = error?.message ?? reason.replaceAll('_', ' ');
  // What the answers themselves say is wrong has brought its entries: narrower windows would bring no more.
  const isTold = pass === 0 && (reason === 'names_error' || reason === 'outside_window');
  const range = grownHole(turn.progress.holes, pass, walk.claim) ?? (isTold ? walk.claim : undefined);
  if (range !== undefined && (await failsThroughout(turn, walk, reason))) {
    return await leaveHole(turn, { range, pass, reason, message }, walk.claim);
  }
  // Older history has no sentinel before this has been read, and its answers may be cut, too.
  const isCut = reason === SHORT_ANSWER || reason === 'cut';
  const state = narrowed(isCut ? withCut(turn.state, walk) : turn.state, walk, !isCut);
  if (state === undefined && reason === SHORT_ANSWER) {
    // Its parts would look as whole, and have no sentinel.
    const hole = { range: walk.claim, pass, reason, message: 'the answer ends before a known entry' };
    return await leaveHole(turn, hole, walk.claim);
  }
  if (state === undefined) return await readSecond(turn, walk, message);
  await commitPart(turn, emptyPage, state);
  context.observer.walkEnded?.({ source, lane: job.lane, result: 'narrowed' });
  context.observer.windowNarrowed?.({ source, lane: job.lane, claim: walk.claim, reason });
};

/** If it does not serve another second of the log, served before if there is one, the failure says nothing about the
 * walk. Where none was, each attempt asks for another one: that second may be unreadable, too. */
const answersElsewhere = async (turn: Turn, walk: Walk): Promise<boolean> => {
  const { policy, nowMs } = turn.job;
  const read = turn.progress.coverage[0]?.at(-1);
  const awayMs = 5_000 * 2 ** (turn.state.failures % 8);
  const beforeMs = walk.claim.fromMs - awayMs;
  const besideMs = beforeMs >= policy.horizonMs ? beforeMs : Math.min(walk.claim.toMs + awayMs, nowMs - 2_000);
  const atMs = read === undefined ? besideMs : Math.floor((read.fromMs + read.toMs) / 2);
  const other = startWalk(
    walk.lane,
    { fromMs: atMs, toMs: atMs + 1 },
    { readAtMs: nowMs, pageLimit: 10, narrow: true },
  );
  return !((await fetchPage(turn, other)) instanceof ApiError);
};

/** A second with more pages does not end. */
const MAX_PAGES_OF_SECOND = 2_000;
/** After this many parts have failed, telling them apart by a field does not help. */
const FAILED_PARTS = 3;
/** The source's other lanes wait as long as parts hang. */
const MAX_TIMEOUTS = 6;

interface SecondReading {
  readonly turn: Turn;
  readonly claim: Range;
  readonly splits: readonly (readonly (readonly Filter[])[])[];
  readAtMs: number;
  readonly faults: string[];
  timeouts: number;
}

/** Part by part. If a part still fails, the second becomes a hole, which is never claimed and retried seldom. Throws
 * ApiError if the API refuses to answer at all. */
const readSecond = async (turn: Turn, walk: Walk, because: string): Promise<void> => {
  const { context, source } = turn;
  const { claim } = walk;
  const splits = splitsOfSecond(
    kindPolicyOf(context, source).filters,
    await context.store.resourceTypes(source, claim),
  );
  const reading: SecondReading = { turn, claim, splits, readAtMs: walk.readAtMs, faults: [], timeouts: 0 };
  await readPart(reading, [], 0);
  const { readAtMs, faults } = reading;
  if (faults.length === 0) return await finish(turn, { ...walk, readAtMs }, emptyPage, 'proven');
  const [reason = 'unknown'] = faults;
  await leaveHole(turn, { range: claim, pass: passOf(turn, claim), reason, message: because }, claim);
};

/** `claim`: the part of it that has been read now. */
const leaveHole = async (turn: Turn, hole: Hole, claim: Range): Promise<void> => {
  const { context, job, source } = turn;
  await commitPart(turn, emptyPage, afterHole(turn.state, { range: claim }), { holes: [hole] });
  context.observer.walkEnded?.({ source, lane: job.lane, result: 'hole' });
  context.observer.holeFound?.({ source, ...hole });
};

/** Its ids if all of it was read. What fails like all beside it is not told apart further. */
const readPart = async (
  reading: SecondReading,
  filters: readonly Filter[],
  depth: number,
): Promise<ReadonlySet<string> | undefined> => {
  const ids = new Set<string>();
  const parts = reading.splits[depth];
  const fault = await readPages(reading, filters, ids, parts === undefined).catch((error: unknown) => {
    if (error instanceof PageRefusedError) return error.error.failure;
    throw error;
  });
  if (fault === undefined) return ids;
  const fail = (): undefined => void reading.faults.push(fault);
  if (parts === undefined) return fail();
  const come = new Set<string>();
  let read = 0;
  for (const [index, part] of parts.entries()) {
    const isHopeless = (index >= FAILED_PARTS && read === 0) || reading.timeouts >= MAX_TIMEOUTS;
    if (isHopeless) return fail();
    const ofPart = await readPart(reading, [...filters, ...part], depth + 1);
    if (ofPart !== undefined) read += 1;
    for (const id of ofPart ?? []) come.add(id);
  }
  if (read < parts.length) return undefined;
  // Parts that lack what came without them have been answered wrongly.
  return [...ids].every((id) => come.has(id)) ? come : fail();
};

const readPages = async (
  reading: SecondReading,
  filters: readonly Filter[],
  ids: Set<string>,
  isLastSplit: boolean,
): Promise<string | undefined> => {
  const { turn, claim } = reading;
  const { pageLimit } = turn.state;
  const { windows } = turn.context;
  let walk = startWalk(turn.job.lane, claim, { readAtMs: reading.readAtMs, narrow: true, pageLimit, filters });
  let lastIds: ReadonlySet<string> | undefined;
  while (walk.pages < MAX_PAGES_OF_SECOND) {
    const page = await fetchPage(turn, walk, { attemptMs: windows.partTimeoutMs });
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      if (page.failure === 'timeout') reading.timeouts += 1;
      const end = walk.pages === 0 ? undefined : afterEnd(walk, suspicion(turn));
      const isWhole = end?.kind === 'doubtful' && (await prove(turn, { ...withFailure(end, page), lastIds }));
      return isWhole ? undefined : page.failure;
    }
    const step = afterPage(walk, page, suspicion(turn));
    if (page.entries > 0) lastIds = idsOf(page);
    for (const id of idsOf(page)) ids.add(id);
    noteAnswer(turn, page);
    await commitPart(turn, page, undefined);
    page.release?.();
    walk = step.walk;
    reading.readAtMs = Math.min(reading.readAtMs, walk.readAtMs);
    if (step.kind === 'broken') return step.fault;
    if (step.kind === 'done') return undefined;
    if (step.kind === 'doubtful') {
      const isUnsplit = isLastSplit && walk.entries < windows.smallestCut / 2;
      return (await prove(turn, { ...step, lastIds, isUnsplit })) ? undefined : 'cut';
    }
  }
  return 'too_many_pages';
};

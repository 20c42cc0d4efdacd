import { ApiError } from '../../../base/errors.ts';
import { idsOf, isRepetition, type Page } from '../../entries/page.ts';
import type { LaneState } from '../../planning/lane.ts';
import {
  besideOf,
  halvesOf,
  inPages,
  otherSide,
  outsideOf,
  type ProofQuestion,
  partsOf,
  secondQuestion,
  secondsOf,
  walkOf,
} from '../../planning/proof.ts';
import {
  afterPage,
  type Doubt,
  MAX_EMPTY_PAGES,
  mayBeCut,
  missedSentinels,
  nextFullSecond,
  OVERLAP_MS,
  orderOf,
  type Sentinel,
  type Walk,
  type WalkFault,
  type WalkStep,
} from '../../planning/walk.ts';
import {
  blameOf,
  commitPart,
  fetchPage,
  noteAnswer,
  notePage,
  noteSize,
  nothingNew,
  suspicion,
  type Turn,
} from './page-exchange.ts';

interface Prover {
  fetch(walk: Walk): Promise<Page | ApiError>;
  /** Says how many of its entries were not known before. */
  take(page: Page): Promise<number>;
  readonly suspectedFrom: number;
  readonly cutFrom: number;
  /** The nearest stored entries of earlier and later seconds. */
  storedBeside(walk: Walk): Promise<readonly (Sentinel | undefined)[]>;
  /** Empty pages are known to follow the last entry of this source without end. */
  readonly hasEndlessTails: boolean;
}

export interface DoubtfulWalk {
  readonly walk: Walk;
  readonly doubts: readonly Doubt[];
  readonly lastIds: ReadonlySet<string> | undefined;
  /** A look at all of history, smaller than pages get; its size is the only doubt. */
  readonly isLook?: boolean;
  /** Of a second that no filter splits further. */
  readonly isUnsplit?: boolean;
}

/** Pages of an answer beyond twice those of what the question is about. */
const MORE_PAGES = 20;

/** Pages are stored, but for a held page that comes again: it need not go to the database. */
export const prove = async (turn: Turn, doubtful: DoubtfulWalk, heldPage?: HeldPage): Promise<boolean> =>
  await proveWith(proverOf(turn, heldPage), doubtful);

const proverOf = (turn: Turn, heldPage?: HeldPage): Prover => ({
  fetch: (asked) => {
    const answer = fetchPage(turn, asked);
    return heldPage?.during(answer) ?? answer;
  },
  take: async (page) => {
    noteAnswer(turn, page);
    if (heldPage === undefined || !isRepetition(page, heldPage.page)) {
      await heldPage?.store();
      return (await commitPart(turn, page, undefined)).stored;
    }
    notePage(turn, page, nothingNew(page));
    return 0;
  },
  storedBeside: async ({ oldestMs = 0, newestMs = 0 }) => {
    const { context, source, job } = turn;
    const before = { fromMs: job.policy.horizonMs, toMs: Math.floor(oldestMs / 1_000) * 1_000 };
    const after = { fromMs: nextFullSecond(newestMs + 1), toMs: job.nowMs - OVERLAP_MS };
    return await Promise.all([
      context.store.nearestStored(source, before, 'desc'),
      context.store.nearestStored(source, after, 'asc'),
    ]);
  },
  suspectedFrom: suspicion(turn),
  // Of answers that are cut by their bytes, hardly one is as large as the largest.
  cutFrom: turn.context.windows.cutFrom / 2,
  hasEndlessTails: turn.context.windows.hasEndlessTails(turn.source),
});

/** If a missed stored entry does not come by itself, either, Cloudflare has deleted or changed it, or the filters leave it out. */
const isGone = async (prover: Prover, walk: Walk, sentinel: Sentinel): Promise<boolean> => {
  const question = secondQuestion(walk, sentinel);
  const reply = await ask(prover, question, walk);
  if (reply === undefined || reply.end === 'broken' || reply.ids.has(sentinel.id)) return false;
  if (reply.doubts.includes('size')) return false;
  if (!reply.doubts.includes('cursor')) return true;
  // Of an API that refuses the cursor of each last page: the same must come from both sides.
  const again = await ask(prover, { ...question, direction: walk.direction }, walk);
  return again?.ids.size === reply.ids.size && [...again.ids].every((id) => reply.ids.has(id));
};

/**
 * All of the window is asked for from the other side: all of its entries must come again, those of its last page among
 * them, in the other order, and nothing new. If the order does not turn, or its last page is half as large as the
 * largest of all, or a quarter of a known cut, both halves must have all of it. A look at all of history is whole if nothing comes
 * before its first entry, nor after its last. What no filter splits is whole if all of it comes again in smaller pages.
 * Throws ApiError if the API refuses to answer at all.
 */
export const proveWith = async (
  prover: Prover,
  { walk, doubts, lastIds, isLook = false, isUnsplit = false }: DoubtfulWalk,
): Promise<boolean> => {
  for (const sentinel of missedSentinels(walk)) if (!(await isGone(prover, walk, sentinel))) return false;
  if (isLook) {
    for (const question of outsideOf(walk)) {
      const reply = await ask(prover, question, walk);
      if (reply?.end !== 'done' || reply.ids.size === 0 || ![...reply.ids].every((id) => lastIds?.has(id)))
        return false;
    }
    return true;
  }
  const isTooLarge = doubts.every((doubt) => doubt === 'size');
  if (isUnsplit && isTooLarge && (await comesInPages(prover, walk, lastIds))) return true;
  let isByFailure = doubts.includes('failure');
  const isAsLargeAsAny = doubts.includes('size') && mayBeCut(walk.lastPageEntries, walk.pageLimit, prover.cutFrom);
  if (!isAsLargeAsAny) {
    const reply = await ask(prover, otherSide(walk), walk);
    if (reply === undefined || reply.end === 'broken') return false;
    // Of pages that are all empty and all lead on, nothing says that they are the truth.
    const isEndless = Math.max(walk.emptyPages, reply.walk.emptyPages) >= MAX_EMPTY_PAGES;
    if (walk.entries === 0) {
      // A cursor that is refused behind nothing is an end if it stands behind as many pages from both sides: else it fails at random.
      const isRefused = walk.cursor !== undefined || reply.walk.cursor !== undefined;
      const isAlike = !isRefused || reply.walk.pages === walk.pages;
      return reply.walk.entries === 0 && isAlike && (!isEndless || prover.hasEndlessTails);
    }
    if (lastIds === undefined || reply.ids.size !== walk.entries || ![...lastIds].every((id) => reply.ids.has(id))) {
      return false;
    }
    const orders = [strictOrderOf(walk), strictOrderOf(reply.walk)];
    isByFailure ||= reply.doubts.includes('failure');
    if (orders.includes('asc') && orders.includes('desc') && !isByFailure) return true;
  }
  const halves = halvesOf(walk);
  if (halves === undefined) {
    if (doubts.some((doubt) => doubt === 'size' || doubt === 'order')) return false;
    return (!isByFailure || (await failsBeside(prover, walk))) && (await isAlone(prover, walk));
  }
  const ids = new Set<string>();
  const failures: boolean[] = [];
  for (const [index, half] of halves.entries()) {
    const reply = await ask(prover, half, walk);
    if (reply === undefined || reply.end === 'broken' || reply.doubts.includes('size')) return false;
    // The newest entry lies in the later half alone: who sends it for the earlier one does not heed the window.
    if (index === 0 && reply.walk.entries >= walk.entries) return false;
    for (const id of reply.ids) ids.add(id);
    failures.push(reply.doubts.includes('failure'));
  }
  // The cursor of each last page may fail. If one half's does not, the other one's failure is a page that cannot be read.
  if (new Set(failures).size > 1) return false;
  // Entries that an earlier try has stored count too: they are new to this walk.
  return ids.size === walk.entries;
};

/** An API that cuts its pages cuts these elsewhere, or has no cursors. */
const comesInPages = async (prover: Prover, walk: Walk, lastIds: ReadonlySet<string> | undefined): Promise<boolean> => {
  const question = inPages(walk);
  const reply = await ask(prover, question, walk);
  if (reply === undefined || reply.end === 'broken' || reply.doubts.includes('failure')) return false;
  const isPaged = reply.walk.pages >= Math.ceil(walk.entries / question.limit);
  return (
    isPaged && reply.ids.size === walk.entries && lastIds !== undefined && [...lastIds].every((id) => reply.ids.has(id))
  );
};

/** Of a page that is out of order, the first and the last entry say nothing. */
const strictOrderOf = (walk: Walk) => (Math.min(walk.mostUpMs, walk.mostDownMs) === 0 ? orderOf(walk) : 'mixed');

const isAlone = async (prover: Prover, walk: Walk): Promise<boolean> => {
  for (const question of besideOf(walk)) {
    const reply = await ask(prover, question, walk);
    if (reply === undefined || reply.end === 'broken' || reply.walk.entries > 0) return false;
  }
  return true;
};

/** If the cursor of another second's last page does not fail, that of this second fails at an entry that cannot be read. */
const failsBeside = async (prover: Prover, walk: Walk): Promise<boolean> => {
  for (const stored of await prover.storedBeside(walk)) {
    const reply = stored && (await ask(prover, secondQuestion(walk, stored), { ...walk, filters: [] }));
    if (reply !== undefined && reply.ids.size > 0) return reply.doubts.includes('failure');
  }
  return false;
};

/** Beside a hole, halving brings nothing if a fault of the answer is in both halves, or a failure of the request in the
 * first, the middle and the last second. What comes is stored. Throws ApiError if the API refuses to answer at all. */
export const failsThroughout = async (turn: Turn, walk: Walk, reason: string): Promise<boolean> => {
  const prover = proverOf(turn);
  const isOfAnswer = answerFaults.has(reason);
  for (const question of isOfAnswer ? partsOf(walk) : secondsOf(walk)) {
    const reply = await ask(prover, question, walk, true);
    if (reply === undefined ? isOfAnswer : reply.fault !== reason) return false;
  }
  return true;
};

const answerFaults: ReadonlySet<string> = new Set<WalkFault>(['count_differs', 'names_error', 'outside_window']);

interface Reply {
  readonly walk: Walk;
  readonly ids: ReadonlySet<string>;
  readonly end: Exclude<WalkStep['kind'], 'next'>;
  readonly doubts: readonly Doubt[];
  readonly fault: WalkFault | undefined;
}

/** Undefined if it was not answered, or something new has come, which `takesNew` allows. */
const ask = async (
  prover: Prover,
  question: ProofQuestion,
  about: Walk,
  takesNew = false,
): Promise<Reply | undefined> => {
  let walk = walkOf(question, about);
  const ids = new Set<string>();
  let failures = 0;
  for (;;) {
    const page = await prover.fetch(walk);
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      failures += 1;
      // Behind nothing, a cursor that is refused by chance would be an end.
      if (walk.pages > 0 && ids.size === 0 && failures === 1) continue;
      // Its last page has a cursor, too. If nothing has come, that must be what is wrong.
      const isOfCursor = blameOf(page, walk) === 'walk';
      const isEnd = walk.pages > 0 && (ids.size > 0 || isOfCursor);
      // A page that is never answered would come last from both sides, if pages are out of order.
      const reasons: readonly Doubt[] = isOfCursor ? ['cursor'] : ['cursor', 'failure'];
      return isEnd ? { walk, ids, end: 'doubtful', doubts: reasons, fault: undefined } : undefined;
    }
    for (const id of idsOf(page)) ids.add(id);
    const isNew = (await prover.take(page)) > 0;
    page.release?.();
    if (isNew && !takesNew) return undefined;
    const step = afterPage(walk, page, prover.suspectedFrom);
    if (walk.pages > MORE_PAGES + 2 * about.pages) return undefined;
    if (step.kind === 'next') walk = step.walk;
    // What speaks of a limit answers no question.
    else if (step.walk.isPartial) return undefined;
    else {
      return {
        walk: step.walk,
        ids,
        end: step.kind,
        doubts: step.kind === 'doubtful' ? step.doubts : [],
        fault: step.kind === 'broken' ? step.fault : undefined,
      };
    }
  }
};

/** Entries of history are visible later by this much at most. */
const HELD_MS = 1_000;

/** The only page of a walk: committed together with its proof if that comes soon, else by itself. */
export interface HeldPage {
  readonly page: Page;
  readonly isStored: boolean;
  /** Commits the page by itself, once. Throws as `commitPart`. */
  store(): Promise<void>;
  /** The page is committed by itself if it has been held for too long by then. */
  during<T>(answer: Promise<T>): Promise<T>;
}

/** Nothing is claimed before it is stored: a process that dies only asks for it again. `state`: should it be committed
 * by itself. */
export const holdPage = (turn: Turn, page: Page, state: LaneState, heldMs = HELD_MS): HeldPage => {
  const { time } = turn.context;
  const beganMs = time.nowMs();
  let stored: Promise<void> | undefined;
  const store = (): Promise<void> => {
    stored ??= commitPart(turn, page, state).then(() => {});
    return stored;
  };
  noteSize(turn, page);
  return {
    page,
    get isStored() {
      return stored !== undefined;
    },
    store,
    during: async (answer) => {
      const answered = new AbortController();
      const late = time.sleep(Math.max(0, beganMs + heldMs - time.nowMs()), answered.signal);
      late.then(store).catch(() => {});
      try {
        return await answer;
      } finally {
        answered.abort();
        await stored;
      }
    },
  };
};

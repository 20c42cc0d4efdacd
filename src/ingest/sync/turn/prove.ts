import { ApiError } from '../../../errors.ts';
import { idsOf, isRepetition, type Page } from '../../entries/page.ts';
import type { Range } from '../../planning/coverage.ts';
import {
  type Answer,
  isLastInItsSecond,
  isReversed,
  type ProofQuestion,
  proofQuestions,
  recountQuestions,
  reversedQuestion,
  sentinelQuestion,
  walkOf,
} from '../../planning/proof.ts';
import {
  afterPage,
  isBeyondClaim,
  isOnlyMiscounted,
  mayBeCut,
  missesSentinel,
  type Walk,
} from '../../planning/walk.ts';
import { FEW_EMPTY_PAGES } from '../window-limit.ts';
import type { HeldPage } from './held-page.ts';
import { commitPart, fetchPage, notePage, nothingNew, suspicion } from './page-exchange.ts';
import { blameOf } from './turn-errors.ts';
import type { Turn } from './turn-state.ts';

/** How questions are asked, and what is done with the answers. */
export interface Prover {
  fetch(walk: Walk): Promise<Page | ApiError>;
  /** Takes a page in, and says how many of its entries were not known before. */
  take(page: Page): Promise<number>;
  /** From which size a page may have been cut. */
  readonly suspectedFrom: number;
  /** The largest page that any source has sent. */
  readonly largestOfAll: number;
  /** Whether the last page of this source is known to have a cursor, which leads to empty pages without end. */
  readonly hasEndlessTails: boolean;
}

/** What a turn knows of the walk that it asks about. */
export interface WalkMemory {
  /** Of its last page; undefined: not known. */
  readonly lastIds?: ReadonlySet<string> | undefined;
  /** Its only page, which this turn has in memory: what comes of it again need not go to the database. */
  readonly heldPage?: HeldPage | undefined;
}

/** In a turn of the daemon: what comes is stored, but for a page that is held. */
export const prove = async (turn: Turn, walk: Walk, { lastIds, heldPage }: WalkMemory = {}): Promise<boolean> =>
  await proveWith(proverOf(turn, heldPage), walk, lastIds);

const proverOf = (turn: Turn, heldPage?: HeldPage): Prover => ({
  fetch: (asked) => {
    const answer = fetchPage(turn, asked);
    return heldPage?.during(answer) ?? answer;
  },
  take: async (page) => {
    if (page.answer !== undefined) turn.asked.push(page.answer);
    if (heldPage === undefined || !isRepetition(page, heldPage.page)) {
      await heldPage?.store();
      return (await commitPart(turn, page, undefined)).stored;
    }
    notePage(turn, page, nothingNew(page));
    return 0;
  },
  suspectedFrom: suspicion(turn),
  largestOfAll: turn.context.windows.largestPage,
  hasEndlessTails: turn.context.windows.hasEndlessTails(turn.source.id),
});

/**
 * Whether nothing but the count speaks against a walk, and in both halves of its window: then halving brings nothing, and no half can be
 * claimed. What comes is stored. Throws ApiError if the API refuses to answer at all.
 */
export const isMiscounted = async (turn: Turn, walk: Walk): Promise<boolean> => {
  for (const question of recountQuestions(walk)) {
    if ((await answerTo(proverOf(turn), question, walk, new Set())) !== 'count_differs') return false;
  }
  return true;
};

/** Whether what a walk has missed is no longer available: its end is as credible as without. Throws ApiError as `prove`. */
export const isSentinelGone = async (turn: Turn, walk: Walk): Promise<boolean> => await isGone(proverOf(turn), walk);

const isGone = async (prover: Prover, walk: Walk): Promise<boolean> =>
  (await answerTo(prover, sentinelQuestion(walk), walk, new Set())) === 'nothing_new';

/**
 * Whether a walk whose end is in doubt has been read to its end after all: asks about its window in other ways (proof.ts). `lastIds`: the
 * entries of its last page, which a refused cursor stands behind. Throws ApiError if the API refuses to answer at all.
 */
export const proveWith = async (prover: Prover, walk: Walk, lastIds?: ReadonlySet<string>): Promise<boolean> => {
  if (missesSentinel(walk) && !(await isGone(prover, walk))) return false;
  const first = reversedQuestion(walk, prover.largestOfAll);
  if (first !== undefined) {
    const answer = await answerTo(prover, first, walk, new Set());
    if (answer !== 'nothing_said') return answer === 'nothing_new';
  }
  const questions = proofQuestions(walk);
  const isTail = walk.lastPageEntries === 0;
  // Of pages that are all empty and all have a cursor, nothing says that they are the truth.
  if (isTail && walk.entries === 0 && walk.cursor !== undefined && !prover.hasEndlessTails) return false;
  if (questions === undefined || (walk.cursor !== undefined && lastIds === undefined && !isTail)) return false;
  const ask = (question: ProofQuestion) => answerTo(prover, question, walk, lastIds ?? new Set());
  for (const question of questions) {
    const answer = await ask(question);
    if (answer === 'earlier' ? !(await isLastInItsSecond(question, ask)) : answer !== 'nothing_new') return false;
  }
  return true;
};

const answerTo = async (
  prover: Prover,
  question: ProofQuestion,
  about: Walk,
  lastIds: ReadonlySet<string>,
): Promise<Answer> => {
  let walk = walkOf(question, about);
  const seen = new Set<string>();
  // Of a walk without a cursor, what has been seen lies in the window and must come again.
  let isEarlier = about.cursor !== undefined && (question.about === 'rest' || question.about === 'last');
  for (;;) {
    const page = await prover.fetch(walk);
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      if (walk.entries > 0 && isEarlier) return 'earlier';
      return question.about === 'reversed' ? 'nothing_said' : 'unproven';
    }
    if (question.about === 'whole') for (const id of idsOf(page)) seen.add(id);
    const isNew = (await prover.take(page)) > 0;
    page.release?.();
    if (isNew || (question.about === 'sentinel' && page.timesMs.some((timeMs) => isBeyondClaim(about, timeMs)))) {
      return 'unproven';
    }
    isEarlier &&= isBefore(question.window, page) && !mayBeCut(page.entries, walk.pageLimit, prover.suspectedFrom);
    if (question.about === 'edge') return 'nothing_new';
    if (question.about === 'reversed') return isReversed(page, about) ? 'nothing_new' : 'nothing_said';
    // If pages are not in order, what fails may be in the middle: from the other side, it fails before all has come again.
    if (question.about === 'whole' && seen.size >= about.entries) {
      return [...lastIds].every((id) => seen.has(id)) ? 'nothing_new' : 'unproven';
    }
    const step = afterPage(walk, page, prover.suspectedFrom, FEW_EMPTY_PAGES);
    if (question.about === 'tail' && page.entries === 0 && step.kind !== 'next') {
      // What stands at the edge must have come again, or the answers are empty for another reason.
      return about.entries > 0 && step.walk.entries === 0 ? 'unproven' : 'nothing_new';
    }
    if (step.kind === 'done') return 'nothing_new';
    if (question.about === 'last' && isEarlier && page.entries > 0) return 'earlier';
    if (isOnlyMiscounted(step, page, prover.suspectedFrom)) return 'count_differs';
    if (step.kind !== 'next') return 'unproven';
    walk = step.walk;
  }
};

/** Whether all entries of a page have a time, and it is before the window. */
const isBefore = ({ fromMs }: Range, { timesMs, entries }: Page): boolean =>
  timesMs.length === entries && timesMs.every((timeMs) => timeMs < fromMs);

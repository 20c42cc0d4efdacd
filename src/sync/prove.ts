import { idsOf } from '../domain/page.ts';
import { type ProofQuestion, proofQuestions, walkOf } from '../domain/proof.ts';
import { afterPage, type Walk } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { commitPart, fetchPage } from './page-exchange.ts';
import type { Turn } from './turn.ts';
import { blameOf } from './turn-errors.ts';

/**
 * Whether a walk whose end is in doubt has been read to its end after all: asks about its window in other ways (proof.ts), and stores
 * what comes. `lastIds`: the entries of its last page, which a refused cursor stands behind. Throws ApiError if the API
 * refuses to answer at all.
 */
export const prove = async (turn: Turn, walk: Walk, lastIds?: ReadonlySet<string>): Promise<boolean> => {
  const questions = proofQuestions(walk);
  if (questions === undefined || (walk.cursor !== undefined && lastIds === undefined)) return false;
  const { largestPage } = turn;
  for (const question of questions) {
    if (!(await bringsNothingNew(turn, question, walk, { largestPage, lastIds }))) return false;
  }
  return true;
};

const bringsNothingNew = async (
  turn: Turn,
  question: ProofQuestion,
  about: Walk,
  { largestPage, lastIds }: { readonly largestPage: number; readonly lastIds: ReadonlySet<string> | undefined },
): Promise<boolean> => {
  let walk = walkOf(question, about);
  for (;;) {
    const page = await fetchPage(turn, walk);
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      return false;
    }
    const ids = question.about === 'whole' && lastIds !== undefined ? idsOf(page) : undefined;
    const { stored } = await commitPart(turn, page, undefined);
    page.release?.();
    if (stored > 0) return false;
    // Seen from the other side, the last page must come first.
    if (question.about === 'edge') return true;
    if (question.about === 'whole') return ids === undefined || [...(lastIds ?? [])].every((id) => ids.has(id));
    const step = afterPage(walk, page, largestPage);
    if (step.kind !== 'next') return step.kind === 'done';
    walk = step.walk;
  }
};

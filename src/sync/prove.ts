import { idsOf, type Page } from '../domain/page.ts';
import { type ProofQuestion, proofQuestions, walkOf } from '../domain/proof.ts';
import { afterPage, type Walk } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { commitPart, fetchPage } from './page-exchange.ts';
import type { Turn } from './turn.ts';
import { blameOf } from './turn-errors.ts';

/** How questions are asked, and what is done with the answers. */
export interface Prover {
  fetch(walk: Walk): Promise<Page | ApiError>;
  /** Takes a page in, and says how many of its entries were not known before. */
  take(page: Page): Promise<number>;
  /** The largest page that the source had sent before. */
  readonly largestPage: number;
}

/** In a turn of the daemon: what comes is stored. */
export const prove = async (turn: Turn, walk: Walk, lastIds?: ReadonlySet<string>): Promise<boolean> =>
  await proveWith(
    {
      fetch: (asked) => fetchPage(turn, asked),
      take: async (page) => (await commitPart(turn, page, undefined)).stored,
      largestPage: turn.largestPage,
    },
    walk,
    lastIds,
  );

/**
 * Whether a walk whose end is in doubt has been read to its end after all: asks about its window in other ways (proof.ts). `lastIds`: the
 * entries of its last page, which a refused cursor stands behind. Throws ApiError if the API refuses to answer at all.
 */
export const proveWith = async (prover: Prover, walk: Walk, lastIds?: ReadonlySet<string>): Promise<boolean> => {
  const questions = proofQuestions(walk);
  if (questions === undefined || (walk.cursor !== undefined && lastIds === undefined)) return false;
  for (const question of questions) {
    if (!(await bringsNothingNew(prover, question, walk, lastIds ?? new Set()))) return false;
  }
  return true;
};

const bringsNothingNew = async (
  prover: Prover,
  question: ProofQuestion,
  about: Walk,
  lastIds: ReadonlySet<string>,
): Promise<boolean> => {
  let walk = walkOf(question, about);
  const seen = new Set<string>();
  for (;;) {
    const page = await prover.fetch(walk);
    if (page instanceof ApiError) {
      if (blameOf(page, walk) === 'all') throw page;
      return false;
    }
    if (question.about === 'whole') for (const id of idsOf(page)) seen.add(id);
    const isNew = (await prover.take(page)) > 0;
    page.release?.();
    if (isNew) return false;
    if (question.about === 'edge') return true;
    // If pages are not in order, what fails may be in the middle: from the other side, it fails before all has come again.
    if (question.about === 'whole' && seen.size >= about.entries) return [...lastIds].every((id) => seen.has(id));
    const step = afterPage(walk, page, prover.largestPage);
    if (step.kind !== 'next') return step.kind === 'done';
    walk = step.walk;
  }
};

import type { Range } from './coverage.ts';
import { type Direction, nextFullSecond, requestWindow, startWalk, type Walk } from './walk.ts';

/** A question whose answer must bring nothing new. */
export interface ProofQuestion {
  readonly window: Range;
  readonly direction: Direction;
  readonly limit: number;
  /** It is about the same time as the walk: its first page says enough. Else it must be read to an end that is beyond doubt. */
  readonly whole: boolean;
}

/** Not the limit of an ordinary walk: a cut that depends on the limit then falls elsewhere. */
export const OTHER_LIMIT = 997;

/**
 * What to ask about a walk whose end is in doubt: the same window from its other side, and what lies before the first and after the
 * last entry seen. An API that cuts a page at the oldest, at the newest, or at what it happens to sort first must
 * show an entry that was not seen in at least one of the answers. Undefined if nothing can be proven: no entry separates what was
 * seen from what was not.
 *
 * A page that says that it is the last, and is as large as pages that are cut: the questions include the edges, where entries of one time
 * may have been cut apart. A page whose cursor is refused: they leave the edges out, since every page of such an API may
 * have such a cursor, but one without entries.
 */
export const proofQuestions = (walk: Walk): readonly ProofQuestion[] | undefined => {
  const { oldestMs, newestMs, lastPageEntries } = walk;
  if (oldestMs === undefined || newestMs === undefined || lastPageEntries === 0) return undefined;
  const window = requestWindow(walk);
  const direction = walk.direction === 'asc' ? 'desc' : 'asc';
  const limit = walk.pageLimit > OTHER_LIMIT ? OTHER_LIMIT : Math.max(1, walk.pageLimit - 1);
  const withEdges = walk.cursor === undefined;
  const beside = [
    { fromMs: window.fromMs, toMs: withEdges ? nextFullSecond(oldestMs + 1) : oldestMs - 1 },
    { fromMs: withEdges ? newestMs - 1 : newestMs + 1, toMs: window.toMs },
  ].filter(({ fromMs, toMs }) => fromMs < toMs);
  return [
    { window, direction, limit, whole: true },
    ...beside.map((part): ProofQuestion => ({ window: part, direction, limit, whole: false })),
  ];
};

/** The walk that a question is. */
export const walkOf = (question: ProofQuestion, walk: Walk): Walk => ({
  ...startWalk(walk.lane, question.window, {
    ...{ readAtMs: walk.readAtMs, direction: question.direction, pageLimit: question.limit, filters: walk.filters },
  }),
  ...{ lookbackMs: 0, overlapMs: 0 },
});

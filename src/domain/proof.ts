import type { Range } from './coverage.ts';
import { type Direction, nextFullSecond, requestWindow, startWalk, type Walk } from './walk.ts';

/** A question whose answer must bring nothing new. */
export interface ProofQuestion {
  readonly window: Range;
  readonly direction: Direction;
  readonly limit: number;
  /** It is about the same time as the walk: its first page says enough, or behind a refused cursor those that show all of the walk
   * again. Else it must be read to an end that is beyond doubt. */
  readonly whole: boolean;
}

/** Not the limit of an ordinary walk: a cut that depends on the limit then falls elsewhere. */
export const OTHER_LIMIT = 997;

/**
 * What to ask about a walk whose end is in doubt: the same window from its other side, and then parts of it. Undefined if nothing can be
 * proven.
 *
 * A page that says that it is the last, and is as large as pages that are cut: both halves of the window, with some of what was seen in each.
 * However an API chooses what it leaves out, a half that is smaller than pages that are cut is whole. What was seen within one
 * second cannot be told apart like that.
 *
 * A page whose cursor is refused: what lies before the first and after the last entry seen. Every page of such an API may have such a
 * cursor, but one without entries. An API that shows the oldest or the newest first has what it left
 * out there, or first in the other direction.
 */
export const proofQuestions = (walk: Walk): readonly ProofQuestion[] | undefined => {
  const { oldestMs, newestMs, lastPageEntries } = walk;
  if (oldestMs === undefined || newestMs === undefined || lastPageEntries === 0) return undefined;
  const window = requestWindow(walk);
  const direction = walk.direction === 'asc' ? 'desc' : 'asc';
  const limit = walk.pageLimit > OTHER_LIMIT ? OTHER_LIMIT : Math.max(1, walk.pageLimit - 1);
  const parts = walk.cursor === undefined ? halvesOf(window, oldestMs, newestMs) : outside(window, oldestMs, newestMs);
  return (
    parts && [
      { window, direction, limit, whole: true },
      ...parts.map((part): ProofQuestion => ({ window: part, direction, limit, whole: false })),
    ]
  );
};

/** On a full second, which every precision keeps; the later half begins before it, since its bound may be exclusive. */
const halvesOf = ({ fromMs, toMs }: Range, oldestMs: number, newestMs: number): readonly Range[] | undefined => {
  const lastSecondMs = Math.floor(Math.min(newestMs, toMs) / 1_000) * 1_000;
  const splitMs = Math.min(nextFullSecond((oldestMs + newestMs) / 2), lastSecondMs);
  return splitMs <= Math.max(oldestMs, fromMs)
    ? undefined
    : [
        { fromMs, toMs: splitMs },
        { fromMs: splitMs - 1, toMs },
      ];
};

const outside = ({ fromMs, toMs }: Range, oldestMs: number, newestMs: number): readonly Range[] =>
  [
    { fromMs, toMs: oldestMs - 1 },
    { fromMs: newestMs + 1, toMs },
  ].filter((part) => part.fromMs < part.toMs);

/** The walk that a question is. */
export const walkOf = (question: ProofQuestion, walk: Walk): Walk => ({
  ...startWalk(walk.lane, question.window, {
    ...{ readAtMs: walk.readAtMs, direction: question.direction, pageLimit: question.limit, filters: walk.filters },
  }),
  ...{ lookbackMs: 0, overlapMs: 0 },
});

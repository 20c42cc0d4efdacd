import type { PageFacts } from '../entries/page.ts';
import type { Range } from './coverage.ts';
import { type Direction, mayBeCut, nextFullSecond, requestWindow, startWalk, type Walk } from './walk.ts';

/**
 * A question whose answer must bring nothing new.
 * - sentinel: what the request has beyond the claim. Nothing may come of it, or the answers before were short.
 * - whole: the window of the walk, until all of it has come again, its last page among it.
 * - reversed: the window of the walk, whose only page must come again in the other order. The same order says nothing.
 * - edge: what lies beside the entries seen, and the first or the last of them. Its first page says enough.
 * - rest: what lies beside the entries seen. It must be read to an end that is beyond doubt.
 * - last: as rest, from within the second of the last entry seen. That entry may come again, on the first page (isLastInItsSecond).
 * - tail: what lies beside the entries seen. Nothing new may come, for a few pages if they are empty and have cursors.
 */
export interface ProofQuestion {
  readonly about: 'sentinel' | 'whole' | 'reversed' | 'edge' | 'rest' | 'last' | 'tail';
  readonly window: Range;
  readonly direction: Direction;
  readonly limit: number;
}

/**
 * What comes of a question.
 * - count_differs: nothing new has come, and nothing but the count speaks against its end
 * - nothing_said: nothing new has come, but not in a way that proves anything
 * - earlier: only known entries have come, whose times as they are printed are before the window
 */
export type Answer = 'nothing_new' | 'count_differs' | 'nothing_said' | 'earlier' | 'unproven';

/** Not the limit of an ordinary walk: a cut that depends on the limit then falls elsewhere. */
export const OTHER_LIMIT = 997;

/**
 * What to ask about a walk whose end is in doubt, from its other side and with another page size. Undefined if nothing can be proven.
 *
 * A page that says that it is the last, and is as large as pages that are cut: both halves of the window, with some of what was seen in each.
 * However an API chooses what it leaves out, a half that is smaller than pages that are cut is whole. What was seen within one
 * second cannot be told apart like that.
 *
 * Nothing behind a cursor, once or again and again: what lies beside the entries seen, if a cursor that is dead, or one that leads nowhere,
 * has left something out.
 *
 * A page whose cursor is refused: what lies before the first and after the last entry seen. Every page of such an API may have such a
 * cursor, but one without entries. So that entries of one time are not torn apart, the edges and the whole window are asked about as well.
 */
export const proofQuestions = (walk: Walk): readonly ProofQuestion[] | undefined => {
  const { oldestMs, newestMs, lastPageEntries } = walk;
  const window = requestWindow(walk);
  if (lastPageEntries === 0 && walk.pages > 1) return tailQuestions(walk, window);
  if (oldestMs === undefined || newestMs === undefined || lastPageEntries === 0) return undefined;
  const ask = (about: ProofQuestion['about'], fromMs: number, toMs: number): readonly ProofQuestion[] =>
    fromMs < toMs ? [{ about, window: { fromMs, toMs }, ...otherWay(walk) }] : [];
  if (walk.cursor === undefined) {
    const splitMs = middleOf(window, oldestMs, newestMs);
    // The later half begins before it: its bound may be exclusive.
    if (splitMs === undefined) return undefined;
    return [...ask('rest', window.fromMs, splitMs), ...ask('rest', splitMs - 1, window.toMs)];
  }
  return [
    ...ask('whole', window.fromMs, window.toMs),
    ...ask('edge', window.fromMs, nextFullSecond(oldestMs + 1)),
    ...ask('edge', newestMs - 1, window.toMs),
    ...ask('rest', window.fromMs, oldestMs - 1),
    ...ask('rest', newestMs + 1, window.toMs),
  ];
};

/**
 * Whether nothing lies behind the last entry seen, if what lies beside it is answered with entries from before: an API that prints less of a time than
 * it filters by shows them again. How far into its second it does is found by halves: from one millisecond on nothing may come. An API that
 * reads the bounds of a window to the second shows them to the end of it, and nothing is proven.
 */
export const isLastInItsSecond = async (
  question: ProofQuestion,
  ask: (question: ProofQuestion) => Promise<Answer>,
): Promise<boolean> => {
  const { fromMs, toMs } = question.window;
  const from = (atMs: number, about: ProofQuestion['about']) =>
    ask({ ...question, about, window: { fromMs: atMs, toMs } });
  let knownMs = fromMs;
  let emptyMs = Math.min(nextFullSecond(fromMs), toMs);
  let isFound = false;
  if (emptyMs < toMs && (await from(emptyMs, 'rest')) !== 'nothing_new') return false;
  while (emptyMs - knownMs > 1) {
    const middleMs = Math.floor((knownMs + emptyMs) / 2);
    const answer = await from(middleMs, 'last');
    if (answer === 'earlier') knownMs = middleMs;
    else if (answer === 'nothing_new') {
      emptyMs = middleMs;
      isFound = true;
    } else return false;
  }
  return isFound;
};

/**
 * Whether the stored entry that a walk has missed is still there. If not, Cloudflare has deleted or changed it, or it does not match the filters:
 * that it did not come says nothing.
 */
export const sentinelQuestion = (walk: Walk): ProofQuestion => {
  const { fromMs, toMs } = requestWindow(walk);
  const isAscending = walk.direction === 'asc';
  const window = isAscending ? { fromMs: walk.claim.toMs, toMs } : { fromMs, toMs: walk.claim.fromMs };
  return { about: 'sentinel', window, ...otherWay(walk) };
};

const tailQuestions = (walk: Walk, window: Range): readonly ProofQuestion[] => {
  const { oldestMs, newestMs } = walk;
  const ask = (asked: Range): ProofQuestion => ({ about: 'tail', window: asked, ...otherWay(walk) });
  if (oldestMs === undefined || newestMs === undefined) return [ask(window)];
  return [ask({ ...window, fromMs: newestMs - 1 }), ask({ ...window, toMs: nextFullSecond(oldestMs + 1) })];
};

/**
 * The one question that is enough about a walk of a single page without a cursor, if the page is smaller than pages of other sources: then
 * only a cap that its source has for itself can have cut it. Undefined if more must be asked.
 */
export const reversedQuestion = (walk: Walk, largestOfAll: number): ProofQuestion | undefined => {
  const { pages, entries, pageLimit, cursor } = walk;
  if (pages !== 1 || cursor !== undefined || mayBeCut(entries, pageLimit, largestOfAll)) return undefined;
  return { about: 'reversed', window: requestWindow(walk), ...otherWay(walk) };
};

/** Whether this page holds as many entries as that walk, and in the other order. */
export const isReversed = ({ timesMs, entries, nextCursor, count }: PageFacts, walk: Walk): boolean => {
  const [first, last] = [timesMs[0], timesMs.at(-1)];
  if (nextCursor !== undefined || entries !== walk.entries || (count ?? entries) !== entries) return false;
  if (first === undefined || last === undefined || first === last) return false;
  const sign = walk.direction === 'asc' ? 1 : -1;
  return timesMs.every((timeMs, n) => n === 0 || sign * ((timesMs[n - 1] ?? timeMs) - timeMs) >= 0);
};

/**
 * What to ask about a walk whose only fault is that its count is not the number of its elements: both halves of its window, or all
 * of it if it is too narrow for halves. If one of these counts is right, halving or filters can still find something.
 */
export const recountQuestions = (walk: Walk): readonly ProofQuestion[] => {
  const { fromMs, toMs } = requestWindow(walk);
  const splitMs = nextFullSecond((walk.claim.fromMs + walk.claim.toMs) / 2);
  if (splitMs >= walk.claim.toMs) return [{ about: 'rest', window: { fromMs, toMs }, ...otherWay(walk) }];
  return [
    { about: 'rest', window: { fromMs, toMs: splitMs }, ...otherWay(walk) },
    { about: 'rest', window: { fromMs: splitMs - 1, toMs }, ...otherWay(walk) },
  ];
};

const otherWay = ({ direction, pageLimit }: Walk): Pick<ProofQuestion, 'direction' | 'limit'> => ({
  direction: direction === 'asc' ? 'desc' : 'asc',
  limit: pageLimit > OTHER_LIMIT ? OTHER_LIMIT : Math.max(1, pageLimit - 1),
});

/** Between the entries seen, on a full second, which every precision keeps; undefined if there is none. */
const middleOf = ({ fromMs, toMs }: Range, oldestMs: number, newestMs: number): number | undefined => {
  const lastSecondMs = Math.floor(Math.min(newestMs, toMs) / 1_000) * 1_000;
  const splitMs = Math.min(nextFullSecond((oldestMs + newestMs) / 2), lastSecondMs);
  return splitMs <= Math.max(oldestMs, fromMs) ? undefined : splitMs;
};

/** The walk that a question is. */
export const walkOf = (question: ProofQuestion, walk: Walk): Walk => ({
  ...startWalk(walk.lane, question.window, {
    readAtMs: walk.readAtMs,
    direction: question.direction,
    pageLimit: question.limit,
    filters: walk.filters,
  }),
  lookbackMs: 0,
  overlapMs: 0,
});

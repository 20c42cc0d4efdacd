import { isEmpty, type Range } from './coverage.ts';
import {
  type Direction,
  nextFullSecond,
  OVERLAP_MS,
  requestWindow,
  type Sentinel,
  startWalk,
  type Walk,
} from './walk.ts';

/** A window that is asked about again. Its answer must bring nothing that was not stored. */
export interface ProofQuestion {
  readonly window: Range;
  readonly direction: Direction;
  readonly limit: number;
}

/** Not the limit of an ordinary walk: a cut that depends on the limit then falls elsewhere. */
export const OTHER_LIMIT = 997;

/** All of the window, from its other side: what was cut off at the end comes first. */
export const otherSide = (walk: Walk): ProofQuestion => ({ window: requestWindow(walk), ...otherWay(walk) });

/** What lies before the first entry, and that entry: if something comes, what came of the newest first was cut. */
export const olderOf = (walk: Walk): ProofQuestion => {
  const { fromMs, toMs } = requestWindow(walk);
  return { window: { fromMs, toMs: nextFullSecond((walk.oldestMs ?? toMs) + 1) }, ...otherWay(walk) };
};

/**
 * Both halves of the window, with some of what was seen in each: however an API chooses what it leaves out, a half that is smaller than pages
 * that are cut is whole. Undefined if all was seen within one second.
 */
export const halvesOf = (walk: Walk): readonly ProofQuestion[] | undefined => {
  const { fromMs, toMs } = requestWindow(walk);
  const { oldestMs, newestMs } = walk;
  if (oldestMs === undefined || newestMs === undefined) return undefined;
  const lastSecondMs = Math.floor(Math.min(newestMs, toMs) / 1_000) * 1_000;
  const splitMs = Math.min(nextFullSecond((oldestMs + newestMs) / 2), lastSecondMs);
  if (splitMs <= Math.max(oldestMs, fromMs)) return undefined;
  // What was seen at the full second is in the later half alone, whether bounds are inclusive, and read to the second, or not.
  return [
    { window: { fromMs, toMs: splitMs - 1 }, ...otherWay(walk) },
    { window: { fromMs: splitMs - OVERLAP_MS - 1, toMs }, ...otherWay(walk) },
  ];
};

/** What lies beside the second of entries that are all of one time: in which order they came cannot be told. */
export const besideOf = (walk: Walk): readonly ProofQuestion[] => {
  const { fromMs, toMs } = requestWindow(walk);
  const { oldestMs = toMs, newestMs = fromMs } = walk;
  return [
    // A full second would bring what is at it, if bounds are inclusive.
    { window: { fromMs, toMs: Math.min(Math.floor(oldestMs / 1_000) * 1_000, oldestMs - 1) }, ...otherWay(walk) },
    { window: { fromMs: nextFullSecond(newestMs + 1), toMs }, ...otherWay(walk) },
  ].filter(({ window }) => !isEmpty(window));
};

/**
 * The second of the stored entry that a walk has missed. If it does not come by itself, either, Cloudflare has deleted or changed it, or it does
 * not match the filters: that it did not come says nothing.
 */
export const sentinelQuestion = (walk: Walk, { timeMs }: Sentinel): ProofQuestion => {
  const fromMs = Math.floor(timeMs / 1_000) * 1_000 - 1_000;
  return { window: { fromMs, toMs: fromMs + 3_000 }, ...otherWay(walk) };
};

/** Both halves of a window, or all of it if it is a second: where a fault of its answer is looked for again. */
export const partsOf = (walk: Walk): readonly ProofQuestion[] => {
  const { fromMs, toMs } = requestWindow(walk);
  const splitMs = nextFullSecond((walk.claim.fromMs + walk.claim.toMs) / 2);
  const windows =
    splitMs >= walk.claim.toMs
      ? [{ fromMs, toMs }]
      : [
          { fromMs, toMs: splitMs },
          { fromMs: splitMs - 1, toMs },
        ];
  return windows.map((window) => ({ window, ...otherWay(walk) }));
};

/** The first second of a window, one in its middle and its last: where a failure of its request is looked for again. */
export const secondsOf = (walk: Walk): readonly ProofQuestion[] => {
  const { fromMs, toMs } = walk.claim;
  const middleMs = Math.floor((fromMs + toMs) / 2_000) * 1_000;
  const starts = new Set([fromMs, Math.max(fromMs, middleMs), Math.max(fromMs, toMs - 1_000)]);
  return [...starts].map((startMs) => ({
    window: { fromMs: startMs, toMs: Math.min(toMs, startMs + 1_000) },
    ...otherWay(walk),
  }));
};

const otherWay = ({ direction, pageLimit }: Walk): Pick<ProofQuestion, 'direction' | 'limit'> => ({
  direction: direction === 'asc' ? 'desc' : 'asc',
  limit: pageLimit > OTHER_LIMIT ? OTHER_LIMIT : Math.max(1, pageLimit - 1),
});

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

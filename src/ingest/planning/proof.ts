import { type Coverage, gapsIn, isEmpty, type Range } from './coverage.ts';
import type { KnownHole } from './lane.ts';
import { WIDEST_SCRUB_MS } from './scrub.ts';
import {
  type Direction,
  NARROW_OVERLAP_MS,
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

/** The same in three pages for the last one. No page ends where that one does: without a cursor it would look whole. */
export const inPages = (walk: Walk): ProofQuestion => {
  const question = otherSide(walk);
  return { ...question, limit: Math.min(question.limit, Math.floor(walk.lastPageEntries / 3) + 1) };
};

/** The first entry and what lies before it, the last one and what lies after it: nothing else must come. */
export const outsideOf = (walk: Walk): readonly ProofQuestion[] => {
  const { fromMs, toMs } = requestWindow(walk);
  const { oldestMs = toMs, newestMs = fromMs } = walk;
  return [
    { window: { fromMs, toMs: nextFullSecond(oldestMs + 1) }, ...otherWay(walk) },
    { window: { fromMs: Math.floor(newestMs / 1_000) * 1_000 - 1, toMs }, ...otherWay(walk) },
  ];
};

/** However an API chooses what it leaves out, a half smaller than pages that are cut is whole. Undefined if all is of
 * one second. */
export const halvesOf = (walk: Walk): readonly ProofQuestion[] | undefined => {
  const { fromMs, toMs } = requestWindow(walk);
  const { oldestMs, newestMs } = walk;
  if (oldestMs === undefined || newestMs === undefined) return undefined;
  const lastSecondMs = Math.floor(Math.min(newestMs, toMs) / 1_000) * 1_000;
  const splitMs = Math.min(nextFullSecond((oldestMs + newestMs) / 2), lastSecondMs);
  if (splitMs <= Math.max(oldestMs, fromMs)) return undefined;
  // What is at the full second must be in the later half alone, however bounds are read.
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

/** The second of a stored entry, and as little more as possible: it is over, and an API that drops digits shows it. */
export const secondQuestion = (walk: Walk, { timeMs }: Sentinel): ProofQuestion => {
  const fromMs = Math.floor(timeMs / 1_000) * 1_000;
  return { window: { fromMs: fromMs - 1, toMs: fromMs + 1_001 }, ...otherWay(walk) };
};

/** Both halves of a window, or a second as a whole: where a fault of its answer is looked for again. */
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

/** The first, the middle and the last second: where a failure of its request is looked for again. */
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

/** A hole whose answers end before a known entry. It can be asked for: what is beside it may reach over it. */
export const SHORT_ANSWER = 'short_answer';
/** Cloudflare may delete what is as near to the horizon while it is waited for. */
export const RETENTION_MARGIN_MS = 3_600_000;

/**
 * Where to look for a sentinel: a stored entry just beyond the end that the walk reads last. An answer that ends
 * without it was cut short, however whole it looks. No further away than the claim is wide, not over a hole, and
 * nothing that Cloudflare may delete meanwhile. Undefined for the live lane, which reads the newest time last, and next
 * to a hole.
 */
export const sentinelRange = (
  { lane, claim, direction, overlapMs }: Walk,
  {
    nowMs,
    horizonMs,
    holes,
    read,
  }: {
    readonly nowMs: number;
    readonly horizonMs: number;
    readonly holes: readonly KnownHole[];
    readonly read: Coverage;
  },
): Range | undefined => {
  if (lane === 'live' || overlapMs === NARROW_OVERLAP_MS) return undefined;
  const reachMs = claim.toMs - claim.fromMs;
  const isAscending = direction === 'asc';
  const beside = isAscending
    ? { fromMs: claim.toMs, toMs: Math.min(claim.toMs + reachMs, nowMs - OVERLAP_MS) }
    : { fromMs: Math.max(claim.fromMs - reachMs, claim.toMs - WIDEST_SCRUB_MS), toMs: claim.fromMs };
  const inTheWay = holes.filter(({ reason }) => reason !== SHORT_ANSWER).map(({ range }) => range);
  const free = gapsIn(beside, inTheWay).find(({ fromMs, toMs }) =>
    isAscending ? fromMs === beside.fromMs : toMs === beside.toMs,
  );
  // Behind time that is not read, other entries may come first.
  const readToMs = read.find(({ fromMs, toMs }) => fromMs <= claim.toMs && toMs > claim.toMs)?.toMs;
  if (isAscending && readToMs === undefined) return undefined;
  const kept = free && {
    fromMs: Math.max(free.fromMs, horizonMs + RETENTION_MARGIN_MS),
    toMs: isAscending ? Math.min(free.toMs, readToMs ?? free.toMs) : free.toMs,
  };
  return kept === undefined || isEmpty(kept) ? undefined : kept;
};

/** `limited`: wider windows are refused, so that the claim makes room for it. */
export const withSentinel = (walk: Walk, sentinel: Sentinel, limited: boolean): Walk => {
  const { claim, direction, lookbackMs } = walk;
  if (direction === 'asc') {
    const moreMs = sentinel.timeMs - claim.toMs;
    const roomMs = limited ? Math.min(moreMs, (claim.toMs - claim.fromMs) / 2) : 0;
    const fromMs = claim.fromMs + Math.floor(roomMs / 1_000) * 1_000;
    return { ...walk, claim: { ...claim, fromMs }, overlapMs: moreMs + OVERLAP_MS, sentinel };
  }
  return { ...walk, lookbackMs: Math.max(lookbackMs, claim.fromMs - sentinel.timeMs + OVERLAP_MS), sentinel };
};

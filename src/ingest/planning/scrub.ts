import { addRange, type Coverage, gapsAmong, type Range } from './coverage.ts';

export interface RoundStart {
  readonly number: number;
  readonly beganMs: number;
  readonly untilMs: number;
}

/** Kept in the state of the lane, so that a restart and every replica goes on with it. */
export interface ScrubRound extends RoundStart {
  readonly read: Coverage;
}

export interface ScrubFacts {
  readonly round: ScrubRound | undefined;
  /** First read a day ago or earlier: nothing else is read again. */
  readonly readBefore: Coverage;
  readonly unproven: Coverage;
  readonly holes: Coverage;
}

export interface ScrubGap {
  readonly gap: Range;
  readonly round: RoundStart;
}

const DAY_MS = 86_400_000;
/** Younger time is read by the live lane and the first settle passes. */
const YOUNGEST_MS = 3_600_000;
export const WIDEST_SCRUB_MS = 90 * DAY_MS;
/** One page of the limit that the lane asks for, with room for what is missing. */
export const SCRUB_WINDOW_ENTRIES = 800;
/** Beyond all passes: what this lane cannot read has usually been read by the first one. */
export const SCRUB_PASS = 100;

/** First what was claimed without proof, then the rest of the round, the newest part first. A new round begins when the
 * last one is through, and no sooner than `everyMs` after its beginning. Undefined: nothing is to be read now. */
export const nextScrub = (
  facts: ScrubFacts,
  nowMs: number,
  { horizonMs, everyMs }: { readonly horizonMs: number; readonly everyMs: number },
): ScrubGap | undefined => {
  const { round, readBefore, unproven, holes } = facts;
  // To the end of what may be read again now: so a round gets through.
  const youngestMs = Math.min(youngestAt(nowMs), readBefore.at(-1)?.toMs ?? Number.POSITIVE_INFINITY);
  const begun = round ?? { number: 1, beganMs: nowMs, untilMs: youngestMs, read: [] };
  const urgent = newest({ fromMs: horizonMs, toMs: youngestAt(nowMs) }, holes, unproven);
  if (urgent !== undefined) return { gap: urgent, round: startOf(begun) };
  const left = newest({ fromMs: horizonMs, toMs: begun.untilMs }, holes.reduce(addRange, begun.read), readBefore);
  if (left !== undefined) return { gap: left, round: startOf(begun) };
  if (round === undefined || nowMs - round.beganMs < everyMs) return undefined;
  const next = { number: round.number + 1, beganMs: nowMs, untilMs: youngestMs };
  const gap = newest({ fromMs: horizonMs, toMs: next.untilMs }, holes, readBefore);
  return gap && { gap, round: next };
};

const youngestAt = (nowMs: number): number => Math.floor((nowMs - YOUNGEST_MS) / 1_000) * 1_000;

/** Before this time `nextScrub` gives nothing for the same facts. Infinite: it never will. */
export const scrubIdleUntilMs = (
  { round, readBefore, unproven, holes }: ScrubFacts,
  nowMs: number,
  { horizonMs, everyMs }: { readonly horizonMs: number; readonly everyMs: number },
): number => {
  const wanted = { fromMs: horizonMs, toMs: Number.POSITIVE_INFINITY };
  const reachedMs = (among: Coverage): number => {
    const [part] = gapsAmong(wanted, holes, among);
    return part === undefined ? Number.POSITIVE_INFINITY : (Math.floor(part.fromMs / 1_000) + 1) * 1_000 + YOUNGEST_MS;
  };
  const urgentMs = reachedMs(unproven);
  if (round === undefined) return Math.min(urgentMs, reachedMs(readBefore));
  const left = newest({ fromMs: horizonMs, toMs: round.untilMs }, holes.reduce(addRange, round.read), readBefore);
  if (left !== undefined) return nowMs;
  return Math.min(urgentMs, Math.max(round.beganMs + everyMs, reachedMs(readBefore)));
};

export const isRoundThrough = ({ round, readBefore, holes }: ScrubFacts, horizonMs: number): boolean =>
  round !== undefined &&
  newest({ fromMs: horizonMs, toMs: round.untilMs }, holes.reduce(addRange, round.read), readBefore) === undefined;

export const afterScrub = (before: ScrubRound | undefined, of: RoundStart, claim: Range): ScrubRound => ({
  ...startOf(of),
  read: addRange(before?.number === of.number ? before.read : [], claim),
});

/** Read again first: unproven time, an open walk, whose cursor ages, what was read once, the round that began first. */
export const scrubUrgency = ({
  unproven,
  walking,
  round,
}: Pick<ScrubFacts, 'unproven' | 'round'> & { readonly walking: boolean }): number => {
  if (unproven.length > 0) return Number.NEGATIVE_INFINITY;
  if (walking) return -Number.MAX_VALUE;
  return round === undefined || round.number === 1 ? 0 : round.beganMs;
};

/** A day; less where rounds may begin sooner. */
export const readAgainAfterMs = (everyMs = DAY_MS): number => Math.min(DAY_MS, everyMs);

const startOf = ({ number, beganMs, untilMs }: RoundStart): RoundStart => ({ number, beganMs, untilMs });

const newest = (wanted: Range, covered: Coverage, among: Coverage): Range | undefined =>
  gapsAmong(wanted, covered, among).at(-1);

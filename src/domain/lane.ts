import type { Coverage, Range } from './coverage.ts';
import { afterScrub, type ScrubRound } from './scrub.ts';
import { LIVE_LOOKBACK_MS, MAX_PAGE_LIMIT, type Walk } from './walk.ts';

/** Why a walk is made, the most urgent first: the live tail, late entries, history, and reading all of it again as a check. */
export const lanes = ['live', 'settle', 'backfill', 'scrub'] as const;
export type Lane = (typeof lanes)[number];

/**
 * All that is known of one lane of one source under one filter set: a row of the table `lanes`, and the only state machine that
 * there is. A success or a failure of one lane says nothing about another.
 */
export interface LaneState {
  /** The walk that goes on from its cursor; undefined between two walks. */
  readonly walk: Walk | undefined;
  /** No wider window is asked for; undefined where nothing has been found too wide. */
  readonly widthMs: number | undefined;
  /** The last window that could not be had. Until it has been read, `widthMs` does not grow. */
  readonly trouble: Range | undefined;
  /** How many entries a day the last window held; undefined before the first. */
  readonly entriesPerDay: number | undefined;
  /** How many entries its pages had, if it had several; undefined: as many as are asked for. */
  readonly entriesPerPage: number | undefined;
  /** The page size to ask for: less than the maximum after a response that was too large. */
  readonly pageLimit: number;
  /** In a row: what brought something or read a window to its end ends the row. */
  readonly failures: number;
  /** Of the scrub lane: the round under way, or the last one. */
  readonly round?: ScrubRound | undefined;
}

export const idleLane: LaneState = {
  walk: undefined,
  widthMs: undefined,
  trouble: undefined,
  entriesPerDay: undefined,
  entriesPerPage: undefined,
  pageLimit: MAX_PAGE_LIMIT,
  failures: 0,
};

/** A second, or a part of it, that could not be had. */
export interface Hole {
  readonly range: Range;
  /** The pass that lacks it: 0 for the first reading. */
  readonly pass: number;
  readonly reason: string;
  readonly message: string;
}

/** No window is narrower: what is left of it is asked for by filters (second.ts). */
export const NARROWEST_MS = 1_000;
/** Wider than all that Cloudflare keeps: no limit. */
const WIDEST_MS = 800 * 86_400_000;
const DAY_MS = 86_400_000;
/** Below this, smaller pages do not help: one of so few entries is too large by itself. */
const SMALLEST_PAGE_LIMIT = 16;

const widthOf = ({ fromMs, toMs }: Range): number => toMs - fromMs;

/** The walk has been read to a credible end. */
export const afterDone = (state: LaneState, walk: Walk): LaneState => {
  const { lane, claim, claimEntries, round } = walk;
  const { trouble } = state;
  const passed = trouble === undefined || claim.fromMs <= trouble.fromMs;
  // The live lane leaves it to the others, and still looks back over it for a while.
  const beyond = trouble !== undefined && lane === 'live' && claim.toMs > trouble.toMs;
  const over = passed || (beyond && claim.fromMs - LIVE_LOOKBACK_MS >= trouble.toMs);
  const grownMs = state.widthMs === undefined || !(passed || beyond) ? state.widthMs : 2 * state.widthMs;
  return {
    walk: undefined,
    widthMs: grownMs !== undefined && grownMs > WIDEST_MS ? undefined : grownMs,
    trouble: over ? undefined : trouble,
    // One more than there were: of none, it is not sure that there are none elsewhere.
    entriesPerDay: ((claimEntries + 1) * DAY_MS) / Math.max(1, widthOf(claim)),
    entriesPerPage: walk.pages > 1 ? Math.ceil(walk.entries / walk.pages) : state.entriesPerPage,
    pageLimit: Math.min(MAX_PAGE_LIMIT, 2 * state.pageLimit),
    failures: 0,
    ...(round && { round: afterScrub(state.round, round, claim) }),
  };
};

/**
 * The window of this walk cannot be had: its cursor is dropped, and what is asked for next is half as wide. Undefined where it
 * is as narrow as windows get.
 */
export const narrowed = (state: LaneState, { claim }: Walk): LaneState | undefined => {
  const widthMs = widthOf(claim);
  if (widthMs <= NARROWEST_MS) return undefined;
  return {
    ...state,
    walk: undefined,
    widthMs: Math.ceil(widthMs / 2 / NARROWEST_MS) * NARROWEST_MS,
    trouble: claim,
    failures: state.failures + 1,
  };
};

/** A page was too large: the window is begun again in smaller pages. Undefined where they would hardly get smaller. */
export const withSmallerPages = (state: LaneState): LaneState | undefined => {
  if (state.pageLimit <= SMALLEST_PAGE_LIMIT) return undefined;
  const pageLimit = Math.max(SMALLEST_PAGE_LIMIT, Math.floor(state.pageLimit / 8));
  return { ...state, walk: undefined, pageLimit, failures: state.failures + 1 };
};

/** What was in the way has been read around: the next window may be as wide as any, and what failed is the hole's trouble from here on. */
export const afterHole = (state: LaneState): LaneState => ({
  ...state,
  walk: undefined,
  widthMs: undefined,
  trouble: undefined,
  failures: 0,
});

/** What holes leave out of planning, until they are due again. */
export const holesOfPass = (
  holes: readonly { readonly pass: number; readonly range: Range }[],
  pass: number,
): Coverage => holes.filter((hole) => hole.pass <= pass).map(({ range }) => range);

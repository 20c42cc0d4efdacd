import { type Coverage, type Range, touches } from './coverage.ts';
import { afterScrub, type ScrubRound } from './scrub.ts';
import { isLookBack, LIVE_LOOKBACK_MS, MAX_PAGE_LIMIT, type Walk } from './walk.ts';

/** One lane of one source under one filter set: a row of `lanes`. A success or failure of one lane says nothing about
 * another. */
export interface LaneState {
  readonly walk: Walk | undefined;
  /** Nothing wider is asked for; undefined if nothing was too wide. */
  readonly widthMs: number | undefined;
  /** The last window that could not be read. Until it has been read, `widthMs` does not grow. */
  readonly trouble: Range | undefined;
  /** While the backfill lane is in trouble, older history is read in turns with it. */
  readonly older?: OlderTurn | undefined;
  readonly entriesPerDay: number | undefined;
  readonly entriesPerPage: number | undefined;
  /** Smaller after a response that was too large. */
  readonly pageLimit: number;
  /** The smallest answer that was found cut. */
  readonly cutEntries?: number | undefined;
  /** Failures in a row. */
  readonly failures: number;
  /** The window to come is the first one beside a hole. */
  readonly besideHole?: boolean | undefined;
  /** When the live lane first read, and when it last looked far back; undefined before its first look. */
  readonly lookBack?: { readonly sinceMs: number; readonly lastMs: number } | undefined;
  readonly round?: ScrubRound | undefined;
}

export interface OlderTurn {
  readonly due: boolean;
  /** Older history ends here at the latest: what is younger was read, has failed as well, or is the trouble itself. */
  readonly beforeMs: number;
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

export interface Hole {
  readonly range: Range;
  readonly pass: number;
  readonly reason: string;
  readonly message: string;
}

export interface KnownHole extends Pick<Hole, 'range' | 'pass' | 'reason'> {
  readonly due: boolean;
}

/** No window is narrower: what is left of it is asked for by filters. */
export const NARROWEST_MS = 1_000;
/** Wider than all that Cloudflare keeps: no limit. */
const WIDEST_MS = 800 * 86_400_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Between two looks far back at least: what the first one did not count is asked for in between. */
const LOOK_BACK_PAUSE_MS = 20_000;
/** Below this, smaller pages do not help: one of so few entries is too large by itself. */
const MIN_PAGE_LIMIT = 16;

const widthOf = ({ fromMs, toMs }: Range): number => toMs - fromMs;

export const afterDone = (state: LaneState, walk: Walk): LaneState => {
  const { lane, claim, round } = walk;
  const { trouble } = state;
  if (isOlderTurn(state, claim)) {
    return { ...state, ...densityOf(state, walk), walk: undefined, failures: 0, older: olderTurn(false, claim) };
  }
  const passed = trouble === undefined || claim.fromMs <= trouble.fromMs;
  // The live lane leaves it to the others, and still looks back over it for a while.
  const beyond = trouble !== undefined && lane === 'live' && claim.toMs > trouble.toMs;
  const over = passed || (beyond && claim.fromMs - LIVE_LOOKBACK_MS >= trouble.toMs);
  const grownMs = state.widthMs === undefined || !(passed || beyond) ? state.widthMs : 2 * state.widthMs;
  return {
    walk: undefined,
    widthMs: state.besideHole === true || (grownMs !== undefined && grownMs > WIDEST_MS) ? undefined : grownMs,
    trouble: over ? undefined : trouble,
    older: over ? undefined : state.older,
    ...densityOf(state, walk),
    ...(lane === 'live' && { lookBack: lookBackAfter(state, walk) }),
    pageLimit: Math.min(MAX_PAGE_LIMIT, 2 * state.pageLimit),
    cutEntries: state.cutEntries,
    failures: 0,
    ...(round && { round: afterScrub(state.round, round, claim) }),
  };
};

const lookBackAfter = ({ lookBack }: LaneState, walk: Walk): LaneState['lookBack'] => {
  const { sinceMs, lastMs } = lookBack ?? { sinceMs: walk.readAtMs, lastMs: walk.readAtMs };
  return { sinceMs, lastMs: isLookBack(walk) ? walk.readAtMs : lastMs };
};

/** Whether the live lane should look far back: after twice the time that it did last, counted from its first reading, and every day. */
export const isLookBackDue = ({ lookBack, trouble }: LaneState, nowMs: number): boolean =>
  lookBack !== undefined &&
  trouble === undefined &&
  nowMs - lookBack.lastMs >= Math.max(LOOK_BACK_PAUSE_MS, Math.min(DAY_MS, lookBack.lastMs - lookBack.sinceMs));

export const withoutLookBack = ({ lookBack, ...state }: LaneState, nowMs: number): LaneState => ({
  ...state,
  walk: undefined,
  lookBack: { sinceMs: lookBack?.sinceMs ?? nowMs, lastMs: nowMs },
});

const densityOf = (
  state: LaneState,
  { claim, claimEntries, pages, entries }: Walk,
): Pick<LaneState, 'entriesPerDay' | 'entriesPerPage'> => ({
  // One more than there were: of none, it is not sure that there are none elsewhere.
  entriesPerDay: ((claimEntries + 1) * DAY_MS) / Math.max(1, widthOf(claim)),
  // If all pages were empty, one: of pages without entries no window would be wide enough.
  entriesPerPage: pages > 1 ? Math.max(1, Math.ceil(entries / pages)) : state.entriesPerPage,
});

const isOlderTurn = ({ older, trouble }: LaneState, claim: Range): boolean =>
  older?.due === true && trouble !== undefined && claim.toMs <= trouble.fromMs;

const olderTurn = (due: boolean, claim: Range, before?: OlderTurn): OlderTurn => ({
  due,
  beforeMs: Math.min(claim.fromMs, before?.beforeMs ?? Number.POSITIVE_INFINITY),
});

/** The window cannot be read: its cursor is dropped and the next one is half as wide. Undefined if it is as narrow as
 * windows get. One of older history is left for later. `isInTheWay`: older history need not wait. */
export const narrowed = (state: LaneState, { lane, claim }: Walk, isInTheWay = true): LaneState | undefined => {
  const widthMs = widthOf(claim);
  if (isOlderTurn(state, claim)) {
    return { ...state, walk: undefined, failures: state.failures + 1, older: olderTurn(false, claim) };
  }
  if (widthMs <= NARROWEST_MS) return undefined;
  return {
    ...state,
    walk: undefined,
    widthMs: Math.ceil(widthMs / 2 / NARROWEST_MS) * NARROWEST_MS,
    trouble: claim,
    besideHole: undefined,
    ...(lane === 'backfill' && isInTheWay && { older: olderTurn(true, claim, state.older) }),
    failures: state.failures + 1,
  };
};

/** The only page of the walk was cut. Not of the last minutes: there, an entry may appear between two answers. */
export const withCut = (state: LaneState, { claim, pages, lastPageEntries }: Walk): LaneState =>
  pages > 1 || lastPageEntries === 0 || widthOf(claim) <= HOUR_MS
    ? state
    : { ...state, cutEntries: Math.min(state.cutEntries ?? lastPageEntries, lastPageEntries) };

/** The window begins again in smaller pages; undefined if they would hardly get smaller. */
export const withSmallerPages = (state: LaneState): LaneState | undefined => {
  if (state.pageLimit <= MIN_PAGE_LIMIT) return undefined;
  const pageLimit = Math.max(MIN_PAGE_LIMIT, Math.floor(state.pageLimit / 8));
  return { ...state, walk: undefined, pageLimit, failures: state.failures + 1 };
};

/** Beside a hole there is usually more of it: the next window is not much wider, and if that is read, the one after it
 * may be as wide as any. A hole in older history leaves the trouble as it is. */
export const afterHole = (state: LaneState, { range }: Pick<Hole, 'range'>): LaneState =>
  isOlderTurn(state, range)
    ? { ...state, walk: undefined, failures: 0, older: olderTurn(false, range) }
    : {
        ...state,
        walk: undefined,
        widthMs: HOLE_GROWTH * widthOf(range),
        besideHole: true,
        trouble: undefined,
        older: undefined,
        failures: 0,
      };

/** How much wider than the hole beside it a window may be that joins it. */
const HOLE_GROWTH = 4;

/** Time that cannot be read makes one hole that grows, not one for each second. Undefined if none beside it is about as
 * wide. */
export const grownHole = (holes: readonly KnownHole[], pass: number, claim: Range): Range | undefined => {
  const beside = holes.filter((hole) => hole.pass === pass && touches(hole.range, claim));
  const widestMs = Math.max(0, ...beside.map(({ range }) => widthOf(range)));
  if (widthOf(claim) > HOLE_GROWTH * widestMs) return undefined;
  // One that is retried becomes no smaller than what fails of it.
  return beside
    .filter(({ due }) => !due)
    .reduce(
      (all, { range }) => ({ fromMs: Math.min(all.fromMs, range.fromMs), toMs: Math.max(all.toMs, range.toMs) }),
      claim,
    );
};

export const holesOfPass = (holes: readonly KnownHole[], pass: number): Coverage =>
  holes.filter((hole) => hole.pass <= pass && !hole.due).map(({ range }) => range);

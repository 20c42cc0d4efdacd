import type { LaneIntervals } from '../../src/ingest/planning/planner.ts';
import type { Dice } from './dice.ts';
import { drawEntries, type Entry } from './entries.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const MOST_WINDOWS = 300;

export interface SimulatedOrganization {
  readonly id: string;
  /** Listed from then on. */
  readonly appearsAtMs: number;
  /** Its audit log answers 403 in between. */
  readonly refused: { readonly fromMs: number; readonly toMs: number } | undefined;
  /** The listing leaves it out in between. */
  readonly unlisted: { readonly fromMs: number; readonly toMs: number } | undefined;
  /** Found only by asking what is below this one. */
  readonly below: string | undefined;
  readonly entries: readonly Entry[];
}

/** What Cloudflare does that is not documented, and what goes wrong there. Rates are per request. */
export interface ApiTraits {
  readonly pageCap: number;
  readonly cursors: 'snapshot' | 'keyed' | 'none';
  /** `honest`: by `direction`. `ascending`, `descending`: whatever is asked for, the latter cut to the newest. `blocks`: the newest page first, each ascending. `newest`: a page is cut to the
   * newest before it is sorted. */
  readonly order: 'honest' | 'ascending' | 'descending' | 'shuffled' | 'blocks' | 'newest';
  /** What `count` says: nothing, the elements of the page, or those of all pages. */
  readonly counts: 'none' | 'page' | 'in_all';
  readonly wrongCountRate: number;
  /** That of a page is always so much too large. (Not with refused cursors, or too small: then each second is found by halving, which is
   * safe, and takes longer than a world lasts.) */
  readonly miscountBy: number;
  /** Wider windows are refused in this way, as long as the world lasts. */
  readonly windowLimit:
    | { readonly widthMs: number; readonly failure: 'bad_request' | 'server' | 'timeout' }
    | undefined;
  /** No cursor is ever accepted. */
  readonly deadCursors: boolean;
  readonly cursorFailure: 'bad_request' | 'not_found' | 'server';
  /** The `Date` of answers is off by this much in between: of the listing alone, or of all. */
  readonly wrongDate:
    | { readonly fromMs: number; readonly toMs: number; readonly offMs: number; readonly listingOnly: boolean }
    | undefined;
  readonly lastPage: 'no_cursor' | 'empty_page' | 'refused';
  readonly inclusive: boolean;
  readonly precisionMs: 1 | 1_000;
  /** Bodies of more entries are too large. */
  readonly largestPage: number;
  /** A cursor that is older is refused. */
  readonly cursorLifeMs: number;
  readonly failRate: number;
  readonly hangRate: number;
  readonly slowRate: number;
  readonly refuseCursorRate: number;
  readonly repeatCursorRate: number;
  readonly emptyPageRate: number;
  readonly shuffleRate: number;
  /** Per request without a cursor: the order does not hold across pages. */
  readonly displaceRate: number;
  readonly duplicateRate: number;
  readonly failListingRate: number;
  /** Per page of a window with proof: the page has no cursor, few entries or as many as it should, and there is more. */
  readonly shortRate: number;
}

/** Rates are per statement. */
interface DatabaseFaults {
  readonly failBeforeRate: number;
  readonly ambiguousRate: number;
  readonly slowRate: number;
  readonly away: readonly { readonly fromMs: number; readonly toMs: number }[];
}

interface ProcessFaults {
  /** Per answer that a process receives. */
  readonly crashRate: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly stops: number;
}

type Side = 'newest' | 'oldest' | 'first';

/** What the API gets wrong in a way that only some worlds have (oddities.ts). That of one organization is that of `o0`. */
export type Oddity =
  /** While the world is faulty, pages name an error and leave entries out. */
  | { readonly kind: 'names_error'; readonly rate: number }
  /** History, or all of the log, becomes visible at this time only. */
  | { readonly kind: 'fills_late'; readonly filledAtMs: number }
  /** One organization: the same newest entries whatever is asked, if some are not of the window; while the world is faulty, or always. */
  | { readonly kind: 'ignores_window'; readonly newest: number; readonly lasting: boolean }
  /** One organization: newest first whatever is asked, cut here without a cursor. */
  | { readonly kind: 'ignores_direction'; readonly pageCap: number }
  /** Wider windows are answered with nothing. */
  | { readonly kind: 'wide_is_empty'; readonly widthMs: number }
  /** Of wider windows, of one organization or of all, a part is shown: the newest one, the oldest one, or the one that is asked for first. */
  | { readonly kind: 'shows_part'; readonly widthMs: number; readonly side: Side; readonly ofOne: boolean }
  /** Wider windows show nothing that is newer than this: an older copy answers them. */
  | { readonly kind: 'wide_lags'; readonly widthMs: number; readonly lagMs: number }
  /** Pages come from the oldest one on; the direction sorts only within each of them. */
  | { readonly kind: 'sorts_pages' }
  /** Empty pages have a cursor, and it is refused. */
  | { readonly kind: 'empty_has_cursor' }
  /** One organization: the first entry of a window comes again and again under fresh cursors. */
  | { readonly kind: 'one_entry_again' };

/** One run, drawn from one seed. Times are Cloudflare's. */
export interface World {
  readonly replicas: number;
  readonly onceRuns: number;
  readonly startMs: number;
  /** From then on nothing goes wrong any more, and nothing new happens. */
  readonly faultsUntilMs: number;
  readonly horizonMs: number;
  readonly tickMs: number;
  readonly leaseMs: number;
  readonly settleDelaysMs: readonly number[];
  readonly intervals: LaneIntervals;
  readonly concurrency: number;
  readonly allowList: boolean;
  /** Pages go through the reader of src/ingest/entries/page.ts as text, as they do in production. */
  readonly readsText: boolean;
  /** The clock of the database is behind Cloudflare's by this much. */
  readonly databaseBehindMs: number;
  /** Until the faults end, processes start with or without a filter. */
  readonly filtersVary: boolean;
  /** All of history is read again, in rounds that begin so long after one another; so many entries are removed from the store by hand. */
  readonly scrub: { readonly everyMs: number; readonly removed: number } | undefined;
  /** So many entries that have been collected are taken back by Cloudflare. */
  readonly redactions: number;
  readonly organizations: readonly SimulatedOrganization[];
  readonly api: ApiTraits;
  readonly oddity?: Oddity;
  readonly database: DatabaseFaults;
  readonly processes: ProcessFaults;
}

/** Each kind of fault is in about half of the worlds: in those without it, others are seen more clearly. */
const maybe = (dice: Dice, rate: number, probability = 0.5): number =>
  dice.chance(probability) ? rate * (0.3 + dice.next()) : 0;

export const drawWorld = (dice: Dice): World => {
  const startMs = Date.UTC(2026, 0, 10) + dice.between(0, 999);
  const settleDelaysMs = drawSettleDelays(dice);
  const faultsMs = dice.between(2, dice.chance(0.03) ? 20 : 5) * MINUTE_MS;
  const faultsUntilMs = startMs + faultsMs;
  const horizonMs = Math.floor((startMs - dice.pick([HOUR_MS, 3 * HOUR_MS, DAY_MS, 12 * DAY_MS])) / 1_000) * 1_000;
  const base = { startMs, faultsUntilMs, horizonMs, settleDelaysMs };
  const drawn = drawApiTraits(dice, base);
  // Where no cursor works, an order that changes with every request can deceive each question alike: that is not proven (completeness.md).
  // So can pages without entries whose cursors are dead.
  const api = drawn.deadCursors ? { ...drawn, displaceRate: 0, emptyPageRate: 0 } : drawn;
  const dense = api.cursors === 'none' || api.order === 'newest' ? dice.chance(0.8) : dice.chance(0.03);
  const replicas = dice.pick([1, 1, 1, 2, 2, 2, 3, 4]);
  // Much of both at once is slow, and shows nothing else.
  const count = dice.pick(replicas > 2 ? [1, 1, 2] : [1, 1, 1, 2, 3]);
  const organizations = Array.from({ length: count }, (_, index) =>
    drawOrganization(dice, base, index, dense ? drawDensity(dice, api.pageCap) : 0),
  );
  const scrub = dice.chance(0.25)
    ? { everyMs: dice.pick([2, 5, 20]) * MINUTE_MS, removed: dice.pick([0, 0, 1, 3]) }
    : undefined;
  return {
    ...base,
    // What was removed from the store as well would be nowhere.
    redactions: (scrub?.removed ?? 0) > 0 ? 0 : dice.pick([0, 0, 0, 1, 3]),
    replicas,
    onceRuns: dice.chance(0.2) ? 1 : 0,
    tickMs: dice.pick([15_000, 30_000, 30_000]),
    leaseMs: dice.pick([5_000, 10_000, 30_000, 30_000]),
    intervals: { liveMs: dice.pick([0, 12_000, 45_000]), settleMs: dice.pick([0, 0, 40_000]) },
    concurrency: dice.pick([1, 2, 4]),
    allowList: dice.chance(0.05),
    readsText: dice.chance(0.06),
    organizations,
    api,
    databaseBehindMs: dice.between(-40_000, 40_000),
    filtersVary: dice.chance(0.12),
    scrub,
    database: drawDatabaseFaults(dice, base),
    processes: {
      crashRate: maybe(dice, 0.004, 0.4),
      crashes: dice.pick([0, 0, 0, 1, 2]),
      pauses: dice.pick([0, 0, 1, 3]),
      stops: dice.pick([0, 0, 0, 1]),
    },
  };
};

const drawSettleDelays = (dice: Dice): readonly number[] => {
  if (dice.chance(0.02)) return [10 * MINUTE_MS, dice.between(2, 24) * HOUR_MS];
  return dice.pick([[MINUTE_MS, 6 * MINUTE_MS], [2 * MINUTE_MS], [MINUTE_MS / 2, 3 * MINUTE_MS], [4 * MINUTE_MS]]);
};

type Base = Pick<World, 'startMs' | 'faultsUntilMs' | 'horizonMs' | 'settleDelaysMs'>;

const drawSpan = (dice: Dice, { startMs, faultsUntilMs }: Base) => {
  const fromMs = dice.between(startMs, faultsUntilMs);
  return { fromMs, toMs: Math.min(faultsUntilMs, fromMs + dice.between(10_000, 300_000)) };
};

/** As many entries as a page has, one more, one less, or a few pages. */
const drawDensity = (dice: Dice, pageCap: number): number =>
  Math.min(
    260,
    Math.max(
      9,
      pageCap > 260 ? 60 : dice.pick([pageCap - 1, pageCap, pageCap + 1, 2 * pageCap, Math.ceil(2.5 * pageCap)]),
    ),
  );

export const drawOrganization = (dice: Dice, base: Base, index: number, dense: number): SimulatedOrganization => {
  const id = `o${index}`;
  const later = index > 0 && dice.chance(0.2);
  const unlisted = dice.chance(0.05) ? drawSpan(dice, base) : undefined;
  // Half of those that vanish from the listing are closed as well, at about the same time.
  const closed = unlisted !== undefined && dice.chance(0.5);
  return {
    id,
    appearsAtMs: later ? dice.between(base.startMs, base.faultsUntilMs) : base.startMs,
    refused: closed ? unlisted : dice.chance(0.12) ? drawSpan(dice, base) : undefined,
    unlisted,
    below: index === 1 && dice.chance(0.15) ? 'o0' : undefined,
    entries: drawEntries(dice, {
      ...base,
      organizationId: id,
      dense: index === 0 ? dense : 0,
      poisoned: dice.chance(0.06),
    }),
  };
};

const drawApiTraits = (dice: Dice, base: Base): ApiTraits => {
  const { startMs, horizonMs } = base;
  const cursors = dice.pick(['snapshot', 'snapshot', 'snapshot', 'keyed', 'keyed', 'keyed', 'none'] as const);
  const order =
    cursors === 'none'
      ? dice.pick(['honest', 'honest', 'ascending', 'newest'] as const)
      : cursors === 'snapshot'
        ? dice.pick(['honest', 'honest', 'honest', 'ascending', 'shuffled', 'blocks'] as const)
        : 'honest';
  const counts = dice.pick(['none', 'page', 'page', 'in_all'] as const);
  const lastPage =
    cursors === 'none' ? 'no_cursor' : dice.pick(['no_cursor', 'no_cursor', 'empty_page', 'refused'] as const);
  return {
    cursors,
    order,
    lastPage,
    pageCap: drawPageCap(dice, cursors, order, counts),
    counts,
    wrongCountRate: maybe(dice, 0.1, 0.3),
    miscountBy: counts === 'page' && lastPage !== 'refused' && dice.chance(0.08) ? dice.pick([1, 40]) : 0,
    windowLimit: dice.chance(0.15)
      ? {
          // A look far back over more windows is only longer.
          widthMs: Math.max(
            dice.pick([5 * MINUTE_MS, 2 * HOUR_MS, DAY_MS]),
            Math.ceil((startMs - horizonMs) / MOST_WINDOWS),
          ),
          failure: dice.pick(['bad_request', 'server', 'timeout'] as const),
        }
      : undefined,
    deadCursors: cursors !== 'none' && dice.chance(0.05),
    cursorFailure: dice.pick(['bad_request', 'bad_request', 'not_found', 'server'] as const),
    wrongDate: dice.chance(0.1) ? drawWrongDate(dice, base) : undefined,
    inclusive: dice.chance(0.5),
    precisionMs: dice.pick([1, 1, 1_000]),
    largestPage: dice.chance(0.05) ? dice.pick([20, 60]) : Number.POSITIVE_INFINITY,
    cursorLifeMs: dice.chance(0.3) ? dice.between(1_000, 120_000) : Number.POSITIVE_INFINITY,
    failRate: maybe(dice, 0.1),
    hangRate: maybe(dice, 0.03),
    slowRate: maybe(dice, 0.1),
    refuseCursorRate: maybe(dice, 0.15),
    repeatCursorRate: maybe(dice, 0.1, 0.3),
    emptyPageRate: maybe(dice, 0.3, 0.3),
    shuffleRate: maybe(dice, 0.15, 0.3),
    displaceRate: maybe(dice, 0.6, 0.4),
    // Without cursors the size of a page is all that tells of its end.
    duplicateRate: cursors === 'none' ? 0 : maybe(dice, 0.2, 0.4),
    failListingRate: maybe(dice, 0.2, 0.4),
    shortRate: maybe(dice, 0.6, 0.6),
  };
};

/** Without cursors, pages of less than ten entries are believed to be whole (src/ingest/planning/walk.ts), unless `count` says that there is more. */
const drawPageCap = (
  dice: Dice,
  cursors: ApiTraits['cursors'],
  order: ApiTraits['order'],
  counts: ApiTraits['counts'],
): number => {
  if (cursors === 'none' && counts === 'in_all' && order !== 'newest') return dice.pick([3, 8, 20, 60, 100]);
  if (cursors === 'none' || order !== 'honest') return dice.pick([11, 20, 35, 53, 73, 100, 250]);
  return dice.pick([1, 2, 3, 4, 5, 8, 1_000, 1_000]);
};

const drawWrongDate = (dice: Dice, { startMs, faultsUntilMs }: Pick<Base, 'startMs' | 'faultsUntilMs'>) => {
  const fromMs = dice.pick([startMs, dice.between(startMs, faultsUntilMs)]);
  const toMs = Math.min(faultsUntilMs, fromMs + dice.pick([12_000, 120_000, 3_600_000]));
  return { fromMs, toMs, offMs: dice.pick([3_600_000, 90_000_000, -3_600_000]), listingOnly: dice.chance(0.3) };
};

const drawDatabaseFaults = (dice: Dice, base: Base): DatabaseFaults => ({
  failBeforeRate: maybe(dice, 0.03),
  ambiguousRate: maybe(dice, 0.03),
  slowRate: maybe(dice, 0.03),
  away: dice.chance(0.25) ? [drawSpan(dice, base)] : [],
});

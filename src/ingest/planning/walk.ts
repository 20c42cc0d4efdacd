import type { PageFacts } from '../entries/page.ts';
import { type Coverage, intersect, isEmpty, type Range } from './coverage.ts';
import type { RoundStart } from './scrub.ts';

/** One filter as it goes on the wire: a name, with or without `.not`, and a value; repeated names are alternatives. */
export type Filter = readonly [name: string, value: string];

/** The API's own maximum, and the page size that a third party saw as the cap whatever was asked for. */
export const MAX_PAGE_LIMIT = 1_000;
const SUSPECTED_CAP = 100;
/** No cap is known to be smaller. */
export const LEAST_SUSPECTED = 10;
/** This many in a row, with cursors: then it is doubted that anything follows. */
export const MAX_EMPTY_PAGES = 5;
/** A page of one entry may come again once by chance: an entry that is served twice. */
const MOST_REPEATS_OF_ONE = 1;
/** APIs round the bounds. */
const WINDOW_SLACK_MS = 60_000;
/** Other times say nothing about the window: no log of Cloudflare is older, none ends tomorrow. */
const EARLIEST_TOLD_MS = Date.UTC(2009, 0, 1);
const LATEST_TOLD_MS = 86_400_000;
/** Pages are in order if no step goes further the other way. */
const ORDER_SLACK_MS = 60_000;
/** The last entries of a page: one of them is hardly ever late. */
const LAST_ENTRIES = 10;
/** Cloudflare does not say whether bounds are inclusive, nor how precise: requests reach this much beyond what is
 * claimed. */
export const OVERLAP_MS = 1_000;
/** For a window of one second: a hole beside it must not count as inside. Enough for any precision that drops digits. */
export const NARROW_OVERLAP_MS = 1;
/** A third party saw entries appear some 90 s after their time: looking back costs no request, and they need not wait
 * for a settle pass. */
export const LIVE_LOOKBACK_MS = 120_000;

export type Direction = 'asc' | 'desc';

/** For `evidence_reads`. Null: the answer did not say. */
export interface WalkAnswers {
  readonly count: number;
  readonly firstDateMs: number | null;
  readonly firstCfRay: string | null;
  readonly lastDateMs: number | null;
  readonly lastCfRay: string | null;
  /** SHA-256(before ‖ SHA-256(body)) over all of them, from 32 zero bytes on, in hexadecimal digits. */
  readonly sha256: string;
}

/** One paginated run over a frozen window, persisted with every page (table `lanes`), so that a restart goes on from
 * the cursor. Coverage grows by `claim` when the walk has been read to a credible end; the request asks for more. */
export interface Walk {
  readonly lane: Lane;
  readonly claim: Range;
  readonly lookbackMs: number;
  readonly overlapMs: number;
  /** No wider silence is believed; undefined: a day. */
  readonly silenceMs?: number | undefined;
  /** A stored entry beyond the end that is read last: it must come, or the answer was short. */
  readonly sentinel?: Sentinel | undefined;
  /** Of time that has been read: its newest stored entry, which an older copy of a log may lack. It must come, too. */
  readonly newest?: Sentinel | undefined;
  readonly direction: Direction;
  readonly pageLimit: number;
  /** Beside the configured ones, to read a part of one second. */
  readonly filters: readonly Filter[];
  /** Cloudflare's time when the walk began, by its answers: nothing later was read, and passes count from it. */
  readonly readAtMs: number;
  readonly cursor: string | undefined;
  /** An earlier cursor, replaced when `filledPages` is a power of two: if it comes again, that closes a cycle of any
   * length (Brent). */
  readonly savedCursor: string | undefined;
  /** The fingerprint of that page, and how often it came again: under fresh cursors that is a cycle, too. */
  readonly savedPage?: string | undefined;
  readonly repeats: number;
  readonly pages: number;
  readonly emptyPages: number;
  /** Undefined: version 0.2 began it. */
  readonly filledPages?: number;
  readonly hasEmptyPage?: boolean;
  readonly entries: number;
  readonly claimEntries: number;
  readonly lastPageEntries: number;
  readonly oldestMs: number | undefined;
  readonly newestMs: number | undefined;
  /** How many entries lay inside the window, and how many outside. Undefined: version 0.2 began it. */
  readonly inside?: number;
  readonly outside: number;
  /** The order in which entries came, and the largest step to a later and to an earlier one. */
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
  readonly mostUpMs: number;
  readonly mostDownMs: number;
  /** An answer named an error; messages of one spoke of a part or of a limit. */
  readonly namesError: boolean;
  readonly isPartial: boolean;
  /** `count` where it is not the number of elements: then it can only be that of the whole walk. */
  readonly countedInAll: number | undefined;
  readonly failures: number;
  readonly round?: RoundStart | undefined;
  /** Walks that an earlier version began have none, or only those of the rest of their pages. */
  readonly answers?: WalkAnswers | undefined;
}

export interface Sentinel {
  readonly id: string;
  readonly timeMs: number;
  readonly hasCome?: boolean | undefined;
}

/** Why an answer is not believed. names_error: beside its success, or it does not say that it is one. */
export type WalkFault = 'cursor_repeated' | 'page_repeated' | 'count_differs' | 'names_error' | 'outside_window';

/**
 * Why an end is not believed by itself.
 * - size: its last page is as large as pages that are cut
 * - cursor: it ended behind a cursor: with nothing, again and again, or because the cursor was refused
 * - failure: its cursor was answered with an error that may be about something else, an entry behind it for one
 * - order: entries did not come in the order that was asked for
 * - window: some entries are not of the time that was asked for
 * - message: an answer spoke of a part or of a limit
 */
export type Doubt = 'size' | 'cursor' | 'failure' | 'order' | 'window' | 'message';

/**
 * - done: read to a credible end; coverage may claim it
 * - doubtful: it counts once the doubts have been answered (proof.ts)
 * - short: its end is credible by itself, and the sentinel has not come
 * - broken: nothing of it may be claimed; its window must be halved
 */
export type WalkStep =
  | { readonly kind: 'next' | 'done' | 'short'; readonly walk: Walk }
  | { readonly kind: 'doubtful'; readonly walk: Walk; readonly doubts: readonly Doubt[] }
  | { readonly kind: 'broken'; readonly walk: Walk; readonly fault: WalkFault };

interface WalkOptions {
  readonly readAtMs: number;
  /** Look back over what has been read, but not further than this; undefined: not at all. */
  readonly lookBackToMs?: number | undefined;
  /** Next to a hole: ask for as little more as possible. */
  readonly narrow?: boolean;
  readonly direction?: Direction;
  readonly pageLimit?: number;
  readonly filters?: readonly Filter[];
  readonly round?: RoundStart;
}

export const startWalk = (lane: Lane, claim: Range, options: WalkOptions): Walk => {
  const { readAtMs, lookBackToMs = Number.POSITIVE_INFINITY } = options;
  const overlapMs = options.narrow === true ? NARROW_OVERLAP_MS : OVERLAP_MS;
  const lookbackMs = Math.max(overlapMs, Math.min(LIVE_LOOKBACK_MS, claim.fromMs - lookBackToMs));
  return {
    lane,
    claim,
    lookbackMs,
    overlapMs,
    direction: options.direction ?? 'asc',
    pageLimit: options.pageLimit ?? MAX_PAGE_LIMIT,
    filters: options.filters ?? [],
    readAtMs,
    cursor: undefined,
    savedCursor: undefined,
    repeats: 0,
    pages: 0,
    emptyPages: 0,
    filledPages: 0,
    entries: 0,
    claimEntries: 0,
    lastPageEntries: 0,
    oldestMs: undefined,
    newestMs: undefined,
    inside: 0,
    outside: 0,
    firstMs: undefined,
    lastMs: undefined,
    mostUpMs: 0,
    mostDownMs: 0,
    namesError: false,
    isPartial: false,
    countedInAll: undefined,
    failures: 0,
    ...(options.round && { round: options.round }),
  };
};

/** Over time that has been read, or, at the first look, over all of history. */
export const isLookBack = ({ lane, direction }: Pick<Walk, 'lane' | 'direction'>): boolean =>
  lane === 'live' && direction === 'desc';

/**
 * What a look at all of history has shown, from its oldest entry on. With a page that others follow, only if entries
 * came the newest first and nothing speaks against the page, and without the time of its last entries: an API that goes
 * by the time of its index may show a late one last. Undefined: nothing.
 */
export const shownByLook = (walk: Walk, timesMs: readonly number[]): Walk | undefined => {
  const { claim, lookbackMs, cursor, oldestMs, newestMs, outside, namesError, isPartial, countedInAll } = walk;
  if (oldestMs === undefined || newestMs === undefined) return cursor === undefined ? walk : undefined;
  const edgeMs = cursor === undefined ? oldestMs : Math.max(...timesMs.slice(-LAST_ENTRIES)) + ORDER_SLACK_MS;
  const fromMs = Math.max(claim.fromMs, nextFullSecond(edgeMs));
  const isDoubtful = outside > 0 || namesError || isPartial || countedInAll !== undefined || orderOf(walk) !== 'desc';
  if (cursor !== undefined && (isDoubtful || timesMs.length === 0 || newestMs - fromMs < ORDER_SLACK_MS))
    return undefined;
  return { ...walk, claim: { ...claim, fromMs }, lookbackMs: lookbackMs + fromMs - claim.fromMs };
};

/** A narrow one ends behind a full second: an API that drops digits would cut it short. */
export const requestWindow = ({ claim, lookbackMs, overlapMs }: Walk): Range => ({
  fromMs: claim.fromMs - lookbackMs,
  toMs: (overlapMs === NARROW_OVERLAP_MS ? nextFullSecond(claim.toMs) : claim.toMs) + overlapMs,
});

export const nextFullSecond = (timeMs: number): number => Math.ceil(timeMs / 1_000) * 1_000;

/** The page size from which a cut is suspected: the largest that the source has sent, unless `cutFrom` is smaller: that
 * of all sources, as caps are hardly ever a source's own. */
export const suspectedFrom = (largestOfSource: number, cutFrom: number): number =>
  Math.max(LEAST_SUSPECTED, Math.min(largestOfSource, cutFrom));

/** As large as was asked for, as a known cap, or as pages are suspected from (suspectedFrom). */
export const mayBeCut = (entries: number, pageLimit: number, suspectedFromEntries: number): boolean =>
  entries >= pageLimit || entries === SUSPECTED_CAP || entries >= suspectedFromEntries;

/** Decides after a page. `suspectedFromEntries`: by the pages before it (suspectedFrom). */
export const afterPage = (before: Walk, page: PageFacts, suspectedFromEntries: number): WalkStep => {
  const walk = withPage(before, page);
  const { nextCursor } = page;
  if (nextCursor === undefined) return afterEnd({ ...walk, cursor: undefined }, suspectedFromEntries);
  if (nextCursor === before.cursor || nextCursor === before.savedCursor) {
    return { kind: 'broken', walk, fault: 'cursor_repeated' };
  }
  if (walk.repeats > (page.entries > 1 ? 0 : MOST_REPEATS_OF_ONE)) {
    return { kind: 'broken', walk, fault: 'page_repeated' };
  }
  if (walk.emptyPages >= MAX_EMPTY_PAGES) return afterEnd({ ...walk, cursor: nextCursor }, suspectedFromEntries);
  // Cycles of nothing but empty pages have ended before.
  const isSaved = page.entries > 0 && isPowerOfTwo(walk.filledPages ?? 0);
  const saved = isSaved ? { savedCursor: nextCursor, savedPage: page.fingerprint, repeats: 0 } : {};
  return { kind: 'next', walk: { ...walk, ...saved, cursor: nextCursor } };
};

/** A walk that still has a cursor ended because that leads nowhere. */
export const afterEnd = (walk: Walk, suspectedFromEntries: number): Exclude<WalkStep, { kind: 'next' }> => {
  const { countedInAll, entries, inside = 0, outside, cursor, lastPageEntries, pages, pageLimit } = walk;
  if (walk.namesError) return { kind: 'broken', walk, fault: 'names_error' };
  if (countedInAll !== undefined && countedInAll !== entries) return { kind: 'broken', walk, fault: 'count_differs' };
  const claim = outside > 0 ? seenPart(walk) : walk.claim;
  if (outside > inside || isEmpty(claim)) return { kind: 'broken', walk, fault: 'outside_window' };
  const order = orderOf(walk);
  const found: Readonly<Record<Exclude<Doubt, 'failure'>, boolean>> = {
    size: mayBeCut(lastPageEntries, pageLimit, suspectedFromEntries),
    // A cursor that is dead may be answered with nothing, and so may one page of many.
    cursor: cursor !== undefined || (lastPageEntries === 0 && pages > 1) || walk.hasEmptyPage === true,
    order: order !== undefined && order !== walk.direction,
    window: outside > 0,
    message: walk.isPartial,
  };
  const doubts = (Object.keys(found) as (keyof typeof found)[]).filter((doubt) => found[doubt]);
  if (doubts.length > 0) return { kind: 'doubtful', walk: { ...walk, claim }, doubts };
  return { kind: missedSentinels(walk).length > 0 ? 'short' : 'done', walk };
};

/** Full seconds between the entries that lay inside: if the API ignores the window, only what they enclose is known. */
const seenPart = ({ claim, oldestMs = 0, newestMs = 0 }: Walk): Range =>
  intersect(claim, { fromMs: nextFullSecond(oldestMs + 1), toMs: Math.floor(newestMs / 1_000) * 1_000 });

export const orderOf = ({ firstMs, lastMs, mostUpMs, mostDownMs }: Walk): Direction | 'mixed' | undefined => {
  if (Math.min(mostUpMs, mostDownMs) > ORDER_SLACK_MS) return 'mixed';
  if (Math.max(mostUpMs, mostDownMs) > ORDER_SLACK_MS) return mostUpMs > mostDownMs ? 'asc' : 'desc';
  if (firstMs === undefined || lastMs === undefined || firstMs === lastMs) return undefined;
  return firstMs < lastMs ? 'asc' : 'desc';
};

export const missedSentinels = ({ sentinel, newest }: Walk): readonly Sentinel[] =>
  [sentinel, newest].filter((known) => known !== undefined).filter(({ hasCome }) => hasCome !== true);

/** A pass counts what was at least its delay old when it was read. */
export const claimForPass = ({ claim, readAtMs }: Pick<Walk, 'claim' | 'readAtMs'>, delayMs: number): Coverage => {
  const part = intersect(claim, { fromMs: Number.NEGATIVE_INFINITY, toMs: readAtMs - delayMs });
  return isEmpty(part) ? [] : [part];
};

const withArrival = (known: Sentinel | undefined, { ids }: PageFacts): Sentinel | undefined =>
  known && { ...known, hasCome: known.hasCome || ids?.has(known.id) };

const withPage = (walk: Walk, page: PageFacts): Walk => {
  const { fromMs, toMs } = requestWindow(walk);
  const { filledPages = walk.pages - walk.emptyPages } = walk;
  let { oldestMs, newestMs, claimEntries, inside = 0, outside, firstMs, lastMs, mostUpMs, mostDownMs } = walk;
  // An entry whose time cannot be read may be of any.
  inside += page.entries - page.timesMs.length;
  for (const timeMs of page.timesMs) {
    if (timeMs >= walk.claim.fromMs && timeMs < walk.claim.toMs) claimEntries += 1;
    if (timeMs < EARLIEST_TOLD_MS || timeMs > walk.readAtMs + LATEST_TOLD_MS) {
      inside += 1;
      continue;
    }
    firstMs ??= timeMs;
    if (lastMs !== undefined) {
      mostUpMs = Math.max(mostUpMs, timeMs - lastMs);
      mostDownMs = Math.max(mostDownMs, lastMs - timeMs);
    }
    lastMs = timeMs;
    if (timeMs < fromMs - WINDOW_SLACK_MS || timeMs > toMs + WINDOW_SLACK_MS) {
      outside += 1;
      continue;
    }
    inside += 1;
    if (oldestMs === undefined || timeMs < oldestMs) oldestMs = timeMs;
    if (newestMs === undefined || timeMs > newestMs) newestMs = timeMs;
  }
  const differs = page.count !== undefined && page.count !== page.entries;
  const isRepeated = page.fingerprint !== undefined && page.fingerprint === walk.savedPage;
  return {
    ...walk,
    oldestMs,
    newestMs,
    claimEntries,
    inside,
    outside,
    firstMs,
    lastMs,
    mostUpMs,
    mostDownMs,
    namesError: walk.namesError || page.fault !== undefined,
    isPartial: walk.isPartial || page.isPartial === true,
    sentinel: withArrival(walk.sentinel, page),
    newest: withArrival(walk.newest, page),
    repeats: isRepeated ? walk.repeats + 1 : walk.repeats,
    pages: walk.pages + 1,
    emptyPages: page.entries === 0 ? walk.emptyPages + 1 : 0,
    filledPages: filledPages + (page.entries === 0 ? 0 : 1),
    hasEmptyPage: walk.hasEmptyPage === true || (walk.emptyPages > 0 && page.entries > 0),
    entries: walk.entries + page.entries,
    lastPageEntries: page.entries,
    countedInAll: differs ? countInAll(walk.countedInAll, page.count) : walk.countedInAll,
    readAtMs: Math.min(walk.readAtMs, page.servedAtMs ?? walk.readAtMs),
    failures: 0,
  };
};

/** Two different totals cannot both be right. */
const countInAll = (before: number | undefined, now: number | undefined): number | undefined =>
  before === undefined || before === now ? now : -1;

const isPowerOfTwo = (n: number): boolean => (n & (n - 1)) === 0;

/** The most urgent first: the live tail, late entries, history, and reading it again as a check. */
export const lanes = ['live', 'settle', 'backfill', 'scrub'] as const;
export type Lane = (typeof lanes)[number];

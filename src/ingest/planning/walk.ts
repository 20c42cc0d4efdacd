import type { PageFacts } from '../entries/page.ts';
import { type Coverage, intersect, isEmpty, type Range } from './coverage.ts';
import type { Filter } from './filters.ts';
import type { Lane } from './lanes.ts';
import type { RoundStart } from './scrub.ts';

/** The API's own maximum, and the page size that a third party saw as the cap whatever was asked for. */
export const MAX_PAGE_LIMIT = 1_000;
const SUSPECTED_CAP = 100;
/** The largest page of a source is suspected of being cut from this size on, and the largest of all sources from the second: no cap is known to
 * be smaller, and most pages are. */
const LEAST_SUSPECTED = 50;
const LEAST_SUSPECTED_OF_ALL = 10;
/** An empty page with a fresh cursor is followed, but not without end. */
export const MAX_EMPTY_PAGES = 200;
/** Of fewer entries, two pages may be alike. */
const LEAST_TOLD_APART = 2;
/** Cloudflare does not say whether `since` and `before` are inclusive, nor to what precision it reads them: every walk
 * asks for this much more at both ends than its coverage will claim. */
export const OVERLAP_MS = 1_000;
/** For a window of one second: a hole beside it must not count as inside. Enough for any precision that drops digits. */
export const NARROW_OVERLAP_MS = 1;
/** A live walk looks back further, over what has been read already: a third party saw entries appear some 90 s after their
 * time. The request costs the same, and such entries need not wait for a settle pass. */
export const LIVE_LOOKBACK_MS = 120_000;

export type Direction = 'asc' | 'desc';

/** The answers that a walk has had, for the record of what was read (`evidence_reads`). Null: the answer did not say. */
export interface WalkAnswers {
  readonly count: number;
  /** `Date` and `CF-Ray` of the first one and of the last one. */
  readonly firstDateMs: number | null;
  readonly firstCfRay: string | null;
  readonly lastDateMs: number | null;
  readonly lastCfRay: string | null;
  /** SHA-256(before ‖ SHA-256(body)) over all of them, from 32 zero bytes on, in hexadecimal digits. */
  readonly sha256: string;
}

/**
 * One cursor-paginated run over a frozen window. Persisted with every page (table `lanes`), so that a restart goes on
 * from the cursor. `claim` is the range that coverage grows by when the walk has been read to a credible end; the request asks for
 * more at both ends.
 */
export interface Walk {
  readonly lane: Lane;
  readonly claim: Range;
  /** How much earlier than its claim, and how much later, the request reaches. */
  readonly lookbackMs: number;
  readonly overlapMs: number;
  /** The request reaches over a stored entry beyond the end of the claim that is read last: it must come, or the answer was short (sentinel.ts). */
  readonly hasSentinel?: boolean;
  readonly direction: Direction;
  readonly pageLimit: number;
  /** Beside the configured ones: a part of what happened in one second. */
  readonly filters: readonly Filter[];
  /** Cloudflare's time when the walk began, as its own answers put it: nothing later was read, and a pass counts what was its delay
   * or more before this. */
  readonly readAtMs: number;
  readonly cursor: string | undefined;
  /** A cursor of before, replaced when `pages` is a power of two: one that comes again closes a cycle of any length (Brent). */
  readonly savedCursor: string | undefined;
  /** What told that page apart: pages that come again under fresh cursors are a cycle as well. */
  readonly savedPage?: string | undefined;
  /** Pages committed, empty ones in a row, and entries. */
  readonly pages: number;
  readonly emptyPages: number;
  readonly entries: number;
  /** Of these, how many have a time within the claim. */
  readonly claimEntries: number;
  /** Of the last page. */
  readonly lastPageEntries: number;
  /** The first and the last time seen inside the window. */
  readonly oldestMs: number | undefined;
  readonly newestMs: number | undefined;
  /** What `count` said if it was not the number of elements: then it can only be that of the whole walk. */
  readonly countedInAll: number | undefined;
  /** How often in a row the current page could not be read. */
  readonly failures: number;
  /** Of the scrub lane: the round that it counts for. */
  readonly round?: RoundStart | undefined;
  /** Of its pages. Walks that an earlier version began have none, or only those of the rest of their pages. */
  readonly answers?: WalkAnswers | undefined;
}

type WalkFault = 'cursor_repeated' | 'page_repeated' | 'count_differs';

/**
 * What happens to the walk after a page.
 * - next: goes on with the page's cursor
 * - done: read to a credible end; coverage may claim it
 * - short: its end is credible by itself, and what is known to lie behind it has not come
 * - doubtful: it ended at a size at which pages are cut, behind a cursor with nothing, or beside errors; it counts once it is proven (proof.ts)
 * - broken: nothing of it may be claimed; its window must be halved
 */
export type WalkStep =
  | { readonly kind: 'next' | 'done' | 'short' | 'doubtful'; readonly walk: Walk }
  | { readonly kind: 'broken'; readonly walk: Walk; readonly fault: WalkFault };

export interface WalkOptions {
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
    pages: 0,
    emptyPages: 0,
    entries: 0,
    claimEntries: 0,
    lastPageEntries: 0,
    oldestMs: undefined,
    newestMs: undefined,
    countedInAll: undefined,
    failures: 0,
    ...(options.round && { round: options.round }),
  };
};

/** The window as it is asked for. A narrow one ends behind a full second: an API that drops digits would cut it short. */
export const requestWindow = ({ claim, lookbackMs, overlapMs }: Walk): Range => ({
  fromMs: claim.fromMs - lookbackMs,
  toMs: (overlapMs === NARROW_OVERLAP_MS ? nextFullSecond(claim.toMs) : claim.toMs) + overlapMs,
});

/** The same time if it is one. */
export const nextFullSecond = (timeMs: number): number => Math.ceil(timeMs / 1_000) * 1_000;

/**
 * The size from which a page of a source may have been cut: that of the largest page that the source has ever sent, if it is not a small one.
 * A small one is suspected if no source has sent a larger one: caps are hardly ever a source's own.
 */
export const suspectedFrom = (largestOfSource: number, largestOfAll: number): number =>
  Math.min(Math.max(LEAST_SUSPECTED, largestOfSource), Math.max(LEAST_SUSPECTED_OF_ALL, largestOfSource, largestOfAll));

/**
 * Whether a page of so many entries without a cursor may have been cut: it has as many as were asked for, as many as a known cap,
 * or no fewer than pages are suspected from (suspectedFrom).
 */
export const mayBeCut = (entries: number, pageLimit: number, suspectedFromEntries: number): boolean =>
  entries >= pageLimit || entries === SUSPECTED_CAP || entries >= suspectedFromEntries;

/**
 * Decides after a page. `suspectedFromEntries`: by the pages before it (suspectedFrom). `emptyPagesAllowed`: in a row, before it is doubted that
 * anything comes behind them.
 */
export const afterPage = (
  before: Walk,
  page: PageFacts,
  suspectedFromEntries: number,
  emptyPagesAllowed = MAX_EMPTY_PAGES,
): WalkStep => {
  const walk = withPage(before, page);
  const { nextCursor } = page;
  if (nextCursor !== undefined) {
    if (nextCursor === before.cursor || nextCursor === before.savedCursor) {
      return { kind: 'broken', walk, fault: 'cursor_repeated' };
    }
    if (isSamePage(before, page)) return { kind: 'broken', walk, fault: 'page_repeated' };
    if (walk.emptyPages > emptyPagesAllowed) return { kind: 'doubtful', walk };
    const saved = isPowerOfTwo(walk.pages) ? { savedCursor: nextCursor, savedPage: page.fingerprint } : {};
    return { kind: 'next', walk: { ...walk, ...saved, cursor: nextCursor } };
  }
  if (walk.countedInAll !== undefined && walk.countedInAll !== walk.entries) {
    return { kind: 'broken', walk, fault: 'count_differs' };
  }
  const isDoubtful =
    mayBeCut(page.entries, before.pageLimit, suspectedFromEntries) ||
    // A cursor that is dead may be answered like that.
    (page.entries === 0 && walk.pages > 1) ||
    page.hasErrors === true;
  // Without it, what is asked next is not about a cursor that leads nowhere (proof.ts).
  const ended = page.entries === 0 ? { ...walk, cursor: undefined } : walk;
  return { kind: isDoubtful ? 'doubtful' : missesSentinel(ended) ? 'short' : 'done', walk: ended };
};

/** Whether the walk has a sentinel and nothing has come from beyond its claim. */
export const missesSentinel = (walk: Walk): boolean => {
  const lastMs = walk.direction === 'asc' ? walk.newestMs : walk.oldestMs;
  return walk.hasSentinel === true && (lastMs === undefined || !isBeyondClaim(walk, lastMs));
};

/** Whether this time lies beyond the end of the claim that the walk reads last. */
export const isBeyondClaim = ({ claim, direction }: Pick<Walk, 'claim' | 'direction'>, timeMs: number): boolean =>
  direction === 'asc' ? timeMs >= claim.toMs : timeMs < claim.fromMs;

const isSamePage = ({ savedPage }: Walk, { fingerprint, entries }: PageFacts): boolean =>
  fingerprint !== undefined && fingerprint === savedPage && entries >= LEAST_TOLD_APART;

/** Whether a walk has ended at a page that cannot have been cut, and only its count says otherwise. */
export const isOnlyMiscounted = (step: WalkStep, { entries }: PageFacts, suspectedFromEntries: number): boolean =>
  step.kind === 'broken' &&
  step.fault === 'count_differs' &&
  !mayBeCut(entries, step.walk.pageLimit, suspectedFromEntries);

/** What pass `delayMs` may count of a walk: what was at least its delay old when it was read. */
export const claimForPass = ({ claim, readAtMs }: Pick<Walk, 'claim' | 'readAtMs'>, delayMs: number): Coverage => {
  const part = intersect(claim, { fromMs: Number.NEGATIVE_INFINITY, toMs: readAtMs - delayMs });
  return isEmpty(part) ? [] : [part];
};

const withPage = (walk: Walk, page: PageFacts): Walk => {
  const { fromMs, toMs } = requestWindow(walk);
  let { oldestMs, newestMs, claimEntries } = walk;
  for (const timeMs of page.timesMs) {
    if (timeMs >= walk.claim.fromMs && timeMs < walk.claim.toMs) claimEntries += 1;
    // A time far outside the window says nothing about where the walk has been.
    if (timeMs < fromMs - OVERLAP_MS || timeMs > toMs + OVERLAP_MS) continue;
    if (oldestMs === undefined || timeMs < oldestMs) oldestMs = timeMs;
    if (newestMs === undefined || timeMs > newestMs) newestMs = timeMs;
  }
  const differs = page.count !== undefined && page.count !== page.entries;
  return {
    ...walk,
    oldestMs,
    newestMs,
    claimEntries,
    pages: walk.pages + 1,
    emptyPages: page.entries === 0 ? walk.emptyPages + 1 : 0,
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

import { type Coverage, intersect, isEmpty, type Range } from './coverage.ts';

/** The three reasons for a walk, in the order in which they are served. */
export const lanes = ['live', 'settle', 'backfill'] as const;
export type Lane = (typeof lanes)[number];

/** The API's own maximum, and the page size that a third party saw as the cap whatever was asked for. */
export const MAX_PAGE_LIMIT = 1_000;
const SUSPECTED_CAP = 100;
/** An empty page with a fresh cursor is followed, but not for ever. */
const MAX_EMPTY_PAGES = 200;
/** Cloudflare does not say whether `since` and `before` are inclusive, nor to what precision it reads them: every walk
 * asks for this much more at both ends than its coverage will claim. */
export const OVERLAP_MS = 1_000;
/** How far an entry may stand behind later ones on pages that a walk did not get to. */
const DISORDER_MS = 60_000;
/** A live walk looks back further, over what has been read already: a third party saw entries appear some 90 s after their
 * time. The request costs the same, and such entries need not wait for a settle pass. */
const LIVE_LOOKBACK_MS = 120_000;

/**
 * One cursor-paginated run over a frozen window. Persisted with every page (table `walks`), so that a restart goes on
 * from the cursor. `claim` is the range that coverage grows by when the walk ends; the request asks for more at both ends.
 */
export interface Walk {
  readonly lane: Lane;
  readonly claim: Range;
  /** How much earlier than its claim the request begins. */
  readonly lookbackMs: number;
  /** Cloudflare's time when the walk began: a pass counts what was read its delay or more before this. */
  readonly startedAtMs: number;
  readonly cursor: string | undefined;
  /** Pages committed, empty ones in a row, and entries, since the walk last began at `claim.fromMs`. */
  readonly pages: number;
  readonly emptyPages: number;
  readonly entries: number;
  /** The latest valid time seen inside the window. */
  readonly lastTimeMs: number | undefined;
  /** False once a time came that was earlier than one before it, or outside the window: then only the end counts. */
  readonly inOrder: boolean;
  readonly pageLimit: number;
  /** How often in a row the walk had to begin again without having come any further, and with how many entries on its one
   * page (0 where it had several). */
  readonly stalls: number;
  readonly stalledEntries: number;
}

/** What the decision needs to know of a page. */
export interface PageFacts {
  readonly entries: number;
  /** The valid action times of the entries, in the page's order. */
  readonly timesMs: readonly number[];
  readonly nextCursor: string | undefined;
}

export type WalkFault = 'cursor_repeated' | 'too_many_empty_pages' | 'stalled';

/**
 * What becomes of the walk after a page. `claim` is what coverage grows by; it commits together with the page.
 * - next: goes on with the page's cursor
 * - again: begins anew at the end of what was read, since the page gave no credible way on
 * - done: read to its end (`assumed`: the end is a conclusion, not a statement of the API; worth a warning)
 * - failed: ends with an error; what it did not claim stays a gap
 */
export type WalkStep =
  | { readonly kind: 'next'; readonly walk: Walk; readonly claim: undefined }
  | { readonly kind: 'again'; readonly walk: Walk; readonly claim: Range | undefined }
  | { readonly kind: 'done'; readonly claim: Range; readonly assumed: boolean }
  | { readonly kind: 'failed'; readonly fault: WalkFault; readonly claim: Range | undefined };

/** `oldestMs`: nothing older is wanted, which bounds how far a live walk looks back. */
export const startWalk = (
  lane: Lane,
  claim: Range,
  startedAtMs: number,
  oldestMs = Number.POSITIVE_INFINITY,
): Walk => ({
  lane,
  claim,
  lookbackMs: lane === 'live' ? Math.max(OVERLAP_MS, Math.min(LIVE_LOOKBACK_MS, claim.fromMs - oldestMs)) : OVERLAP_MS,
  startedAtMs,
  cursor: undefined,
  pages: 0,
  emptyPages: 0,
  entries: 0,
  lastTimeMs: undefined,
  inOrder: true,
  pageLimit: MAX_PAGE_LIMIT,
  stalls: 0,
  stalledEntries: 0,
});

/** The window as it is asked for. */
export const requestWindow = (walk: Walk): Range => ({
  fromMs: walk.claim.fromMs - walk.lookbackMs,
  toMs: walk.claim.toMs + OVERLAP_MS,
});

/** Decides after a page. `seenCursors` holds the cursors that this run has already sent. */
export const afterPage = (before: Walk, page: PageFacts, seenCursors: ReadonlySet<string>): WalkStep => {
  const walk = withPage(before, page);
  if (page.nextCursor !== undefined) {
    if (page.nextCursor === before.cursor || seenCursors.has(page.nextCursor)) {
      return { kind: 'failed', fault: 'cursor_repeated', claim: readSoFar(walk) };
    }
    if (walk.emptyPages > MAX_EMPTY_PAGES) {
      return { kind: 'failed', fault: 'too_many_empty_pages', claim: readSoFar(walk) };
    }
    return { kind: 'next', walk: { ...walk, cursor: page.nextCursor }, claim: undefined };
  }
  const full = page.entries >= before.pageLimit || page.entries === SUSPECTED_CAP;
  if (!full) return { kind: 'done', claim: walk.claim, assumed: false };
  // Only pages below the suspected cap can show that there were 100 entries and no more.
  return beginAgain(walk, page.entries === SUSPECTED_CAP ? SUSPECTED_CAP : walk.pageLimit);
};

/**
 * Decides after Cloudflare refused the walk's cursor (400): it may have expired, or stood on a page that was the last.
 * The rest is asked for again by time. Where that brings the same short page with nothing later, and the same refusal, it
 * was the end. (A stall alone proves nothing: it may have come of a page that was out of order, or of an empty one.)
 */
export const afterRefusedCursor = (walk: Walk): WalkStep => {
  const short = walk.pages === 1 && walk.entries < walk.pageLimit && walk.entries !== SUSPECTED_CAP;
  const same = walk.stalls > 0 && walk.entries > 0 && walk.entries === walk.stalledEntries;
  if (short && same && walk.inOrder && readSoFar(walk) === undefined) {
    return { kind: 'done', claim: walk.claim, assumed: true };
  }
  return beginAgain(walk);
};

/** The walk after a page that could not be had whole (too large, too slow): the same place with smaller pages;
 * undefined where they cannot get smaller. A new limit needs a new cursor, so it begins again. */
export const withSmallerPages = (walk: Walk): WalkStep | undefined => {
  if (walk.pageLimit <= 1) return undefined;
  const step = beginAgain({ ...walk, stalls: 0 });
  const pageLimit = Math.max(1, Math.floor(walk.pageLimit / 4));
  return step.kind === 'again' ? { ...step, walk: { ...step.walk, pageLimit, stalls: 0, stalledEntries: 0 } } : step;
};

/** What pass `delayMs` may count of a walk's claim: what was at least its delay old when the walk began. */
export const claimForPass = (walk: Pick<Walk, 'startedAtMs'>, claim: Range, delayMs: number): Coverage => {
  return claimUntil(claim, walk.startedAtMs - delayMs);
};

/** The part of a claim before a time: what came later than Cloudflare's answer was not read. */
export const claimUntil = (claim: Range, untilMs: number): Coverage => {
  const part = intersect(claim, { fromMs: Number.NEGATIVE_INFINITY, toMs: untilMs });
  return isEmpty(part) ? [] : [part];
};

const withPage = (walk: Walk, page: PageFacts): Walk => {
  const window = requestWindow(walk);
  let { lastTimeMs, inOrder } = walk;
  for (const timeMs of page.timesMs) {
    // A time outside the window says nothing about how far the walk has come.
    const strange = timeMs < window.fromMs - OVERLAP_MS || timeMs > window.toMs + OVERLAP_MS;
    if (strange || (lastTimeMs !== undefined && timeMs < lastTimeMs)) inOrder = false;
    if (!strange && (lastTimeMs === undefined || timeMs > lastTimeMs)) lastTimeMs = timeMs;
  }
  return {
    ...walk,
    lastTimeMs,
    inOrder,
    pages: walk.pages + 1,
    emptyPages: page.entries === 0 ? walk.emptyPages + 1 : 0,
    entries: walk.entries + page.entries,
  };
};

/**
 * Entries come in ascending time, so all before the last time seen has been read, if the order held. Nobody promises that
 * it holds across pages: the last minute is left to be read again, where that is the smaller part of what was read.
 */
const readSoFar = (walk: Walk): Range | undefined => {
  if (!walk.inOrder || walk.lastTimeMs === undefined) return undefined;
  const wide = walk.lastTimeMs - walk.claim.fromMs > 2 * DISORDER_MS;
  return claimUntil(walk.claim, walk.lastTimeMs - (wide ? DISORDER_MS : 0))[0];
};

/** `fullAt` is the size at which the page's edge is in doubt. */
const beginAgain = (walk: Walk, fullAt = walk.pageLimit): WalkStep => {
  const claim = readSoFar(walk);
  if (claim !== undefined && claim.toMs >= walk.claim.toMs) {
    return { kind: 'done', claim: walk.claim, assumed: false };
  }
  const fresh = {
    ...startWalk(walk.lane, walk.claim, walk.startedAtMs),
    // By now it looks for the way on, not for late entries: those of a dense time would fill the page.
    lookbackMs: OVERLAP_MS,
    pageLimit: walk.pageLimit,
  };
  if (claim !== undefined) {
    return { kind: 'again', claim, walk: { ...fresh, claim: { fromMs: claim.toMs, toMs: walk.claim.toMs } } };
  }
  if (walk.stalls > 1) return { kind: 'failed', fault: 'stalled', claim: undefined };
  // Another page size moves the page's edge: a full page that was the end by chance is then not full.
  const pageLimit = Math.max(1, Math.min(walk.pageLimit, fullAt) - 1);
  return {
    kind: 'again',
    claim: undefined,
    walk: { ...fresh, pageLimit, stalls: walk.stalls + 1, stalledEntries: walk.pages === 1 ? walk.entries : 0 },
  };
};

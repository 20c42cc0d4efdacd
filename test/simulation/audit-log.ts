import { emptyPage, type Page, readPage } from '../../src/domain/page.ts';
import { requestWindow, type Walk } from '../../src/domain/walk.ts';
import { ApiError } from '../../src/errors.ts';
import type { Checker } from './checker.ts';
import type { Entry } from './entries.ts';
import type { VirtualScheduler } from './scheduler.ts';
import type { SimulatedOrganization, World } from './world.ts';

/** The pages that follow from one request without a cursor. What was visible at its moment, they show. */
interface Chain {
  readonly readAtMs: number;
  readonly asked: string;
  /** Undefined where cursors stand for a place instead: what appears behind it later is shown as well. */
  readonly snapshot: readonly Entry[] | undefined;
  /** Those that come behind later ones. */
  readonly displaced: ReadonlySet<Entry>;
  pages: number;
  /** Its cursors repeat from now on. */
  stuck: boolean;
}

/** What a page, or a walk up to its cursor, shows: all that was visible at this time. */
export interface Reading {
  readonly readAtMs: number;
  readonly displaced: ReadonlySet<Entry>;
  /** A time has come that was earlier than one before it: from then on nobody may trust the order. */
  readonly orderBroken: boolean;
}

interface Cursor {
  readonly chain: Chain;
  readonly index: number;
  /** Where it goes on: behind so many, of a snapshot, or behind this one. */
  readonly served: number;
  readonly last: Entry | undefined;
  readonly reading: Reading;
  readonly latestMs: number;
  readonly issuedAtMs: number;
  readonly behindLastPage: boolean;
}

const MOST_PAGES = 400;
const MOST_DISPLACED_MS = 30_000;

/** The audit log of one organization, page by page, with all that its paging may do. */
export class SimulatedAuditLog {
  readonly #world: World;
  readonly #organization: SimulatedOrganization;
  readonly #scheduler: VirtualScheduler;
  readonly #checker: Checker;
  readonly #cursors = new Map<string, Cursor>();
  readonly #readings = new WeakMap<Page, Reading>();
  #firstCursorRefused = false;

  constructor(world: World, organization: SimulatedOrganization, scheduler: VirtualScheduler, checker: Checker) {
    this.#world = world;
    this.#organization = organization;
    this.#scheduler = scheduler;
    this.#checker = checker;
  }

  /** `walk`: as it was before a commit without a page of its own. */
  readingOf(page: Page, walk: Walk | undefined): Reading | undefined {
    return page === emptyPage ? this.#cursors.get(walk?.cursor ?? '')?.reading : this.#readings.get(page);
  }

  /** A walk that has got beyond its first page, or ended. */
  committed(walk: Walk | undefined): void {
    if (walk === undefined || walk.pages > 1) this.#firstCursorRefused = false;
  }

  answer(walk: Walk, faulty: boolean): Page {
    const { api } = this.#world;
    const { dice } = this.#scheduler;
    const cursor = walk.cursor === undefined ? undefined : this.#takeCursor(walk, walk.cursor, faulty);
    const chain = cursor?.chain ?? this.#begin(walk, faulty);
    chain.pages += 1;
    if (chain.pages > MOST_PAGES) this.#checker.fail('a walk without end');
    const matching = this.#behind(chain, walk, cursor);
    const empty = faulty && matching.length > 0 && api.cursors !== 'none' && dice.chance(api.emptyPageRate);
    const entries = empty ? [] : matching.slice(0, Math.min(walk.pageLimit, api.pageCap));
    if (entries.length > api.largestPage) throw new ApiError('too_large', 'simulated');
    const shown = this.#disturb(entries, faulty);
    const { reading, latestMs } = readUpTo(chain, cursor, shown);
    const issue = (behindLastPage: boolean): string => {
      const index = (cursor?.index ?? 0) + 1;
      const name = `c${this.#cursors.size}`;
      const last = entries.at(-1) ?? cursor?.last;
      const served = (cursor?.served ?? 0) + entries.length;
      const issuedAtMs = this.#scheduler.nowMs;
      this.#cursors.set(name, { chain, index, served, last, reading, latestMs, behindLastPage, issuedAtMs });
      return name;
    };
    let nextCursor: string | undefined;
    if (api.cursors !== 'none') {
      if (matching.length > entries.length) nextCursor = issue(false);
      else if (api.lastPage !== 'no_cursor' && entries.length > 0) nextCursor = issue(true);
    }
    if (faulty && walk.cursor !== undefined && (chain.stuck || dice.chance(api.repeatCursorRate))) {
      this.#checker.reached('repeated cursor');
      chain.stuck = true;
      nextCursor = walk.cursor;
    }
    const page = this.#pageOf(shown, nextCursor);
    this.#readings.set(page, reading);
    return page;
  }

  #begin(walk: Walk, faulty: boolean): Chain {
    const { api } = this.#world;
    const { nowMs, dice } = this.#scheduler;
    const snapshot = api.cursors === 'snapshot' ? [...this.#matching(walk)] : undefined;
    const displaced = new Set<Entry>();
    if (snapshot !== undefined && faulty && dice.chance(api.displaceRate)) {
      for (let left = dice.between(1, 4); left > 0; left -= 1) this.#displace(snapshot, displaced);
    }
    return { readAtMs: nowMs, asked: askedFor(walk), snapshot, displaced, pages: 0, stuck: false };
  }

  /** One entry comes behind others that are up to half a minute later, be they on another page. */
  #displace(snapshot: Entry[], displaced: Set<Entry>): void {
    const index = this.#scheduler.dice.between(0, snapshot.length - 1);
    const entry = snapshot[index];
    if (entry === undefined) return;
    snapshot.splice(index, 1);
    const behind = snapshot.findLastIndex(({ timeMs }) => timeMs <= entry.timeMs + MOST_DISPLACED_MS) + 1;
    snapshot.splice(behind, 0, entry);
    displaced.add(entry);
  }

  #takeCursor(walk: Walk, name: string, faulty: boolean): Cursor {
    const { api } = this.#world;
    const cursor = this.#cursors.get(name);
    if (cursor === undefined) throw new Error(`nobody has issued the cursor ${name}`);
    if (askedFor(walk) !== cursor.chain.asked) this.#checker.fail('a cursor was sent with another window or page size');
    const isFirst = cursor.index === 1;
    const expired = this.#scheduler.nowMs - cursor.issuedAtMs > api.cursorLifeMs;
    const refused = faulty && (expired || this.#scheduler.dice.chance(api.refuseCursorRate));
    const end = cursor.behindLastPage && api.lastPage === 'refused';
    // The same short first page whose cursor is refused twice is taken for the end (decision 6): then it has to be.
    if (end || (refused && !(isFirst && this.#firstCursorRefused))) {
      if (!end && isFirst) this.#firstCursorRefused = true;
      if (!end) this.#checker.reached('cursor lost');
      throw new ApiError('bad_request', 'the cursor is refused', { status: 400 });
    }
    return cursor;
  }

  #behind(chain: Chain, walk: Walk, cursor: Cursor | undefined): readonly Entry[] {
    if (chain.snapshot !== undefined) return chain.snapshot.slice(cursor?.served ?? 0);
    const matching = this.#matching(walk);
    const last = cursor?.last;
    return last === undefined ? matching : matching.filter((entry) => isAfter(entry, last));
  }

  #matching(walk: Walk): readonly Entry[] {
    const { precisionMs, inclusive } = this.#world.api;
    const { fromMs, toMs } = requestWindow(walk);
    const first = (inclusive ? Math.floor : Math.ceil)(fromMs / precisionMs) * precisionMs;
    const last = Math.floor(toMs / precisionMs) * precisionMs;
    const { nowMs } = this.#scheduler;
    return this.#organization.entries.filter(
      ({ timeMs, visibleAtMs }) =>
        visibleAtMs <= nowMs && (inclusive ? timeMs >= first && timeMs <= last : timeMs > first && timeMs < last),
    );
  }

  /** Within a page, entries may come in another order, and more than once. */
  #disturb(entries: readonly Entry[], faulty: boolean): readonly Entry[] {
    const { dice } = this.#scheduler;
    const { shuffleRate, duplicateRate } = this.#world.api;
    if (!faulty || entries.length === 0) return entries;
    const again = dice.chance(duplicateRate)
      ? entries.flatMap((entry) => (dice.chance(0.5) ? [entry, entry] : entry))
      : entries;
    return dice.chance(shuffleRate) ? dice.shuffled(again) : again;
  }

  #pageOf(entries: readonly Entry[], nextCursor: string | undefined): Page {
    const entriesText = `[${entries.map(({ text }) => text).join(',')}]`;
    if (this.#world.readsText) {
      const info = nextCursor === undefined ? '{}' : JSON.stringify({ cursor: nextCursor });
      return readPage(`{"success":true,"result":${entriesText},"result_info":${info}}`);
    }
    const timesMs = entries.map(({ timeMs }) => timeMs);
    const sizeBytes = entriesText.length;
    return { entries: entries.length, timesMs, nextCursor, entriesText, plain: true, sizeBytes, validUtf8: true };
  }
}

/** What all pages of a chain have shown, this one included. */
const readUpTo = (
  chain: Chain,
  cursor: Cursor | undefined,
  shown: readonly Entry[],
): { readonly reading: Reading; readonly latestMs: number } => {
  const { readAtMs, displaced } = chain;
  let orderBroken = cursor?.reading.orderBroken ?? false;
  let latestMs = cursor?.latestMs ?? Number.NEGATIVE_INFINITY;
  for (const { timeMs } of shown) {
    if (timeMs < latestMs) orderBroken = true;
    latestMs = Math.max(latestMs, timeMs);
  }
  return { reading: { readAtMs, displaced, orderBroken }, latestMs };
};

/** A cursor belongs to the window and the page size that it was given for. */
const askedFor = (walk: Walk): string => {
  const { fromMs, toMs } = requestWindow(walk);
  return `${fromMs}/${toMs}/${walk.pageLimit}`;
};

const isAfter = (a: Entry, b: Entry): boolean => a.timeMs > b.timeMs || (a.timeMs === b.timeMs && a.rank > b.rank);

import { ApiError } from '../../src/errors.ts';
import { type Page, readPage } from '../../src/ingest/entries/page.ts';
import type { Filter } from '../../src/ingest/planning/filters.ts';
import { requestWindow, type Walk } from '../../src/ingest/planning/walk.ts';
import type { Checker } from './checker.ts';
import { type Entry, matchesFilters } from './entries.ts';
import type { VirtualScheduler } from './scheduler.ts';
import type { SimulatedOrganization, World } from './world.ts';

/** The pages that follow from one request without a cursor. What was visible at its moment, they show. */
interface Chain {
  readonly readAtMs: number;
  readonly asked: string;
  /** Undefined where cursors stand for a place instead: what appears behind it later is shown as well. */
  readonly snapshot: readonly Entry[] | undefined;
  /** Its answers may end too soon: that can be told. */
  readonly mayBeShort: boolean;
  pages: number;
  /** From now on its cursors come again, in this order. */
  cycle: readonly string[] | undefined;
  readonly issued: string[];
}

interface Cursor {
  readonly chain: Chain;
  /** Where it goes on: behind so many, of a snapshot, or behind this one. */
  readonly served: number;
  readonly last: Entry | undefined;
  readonly issuedAtMs: number;
  readonly behindLastPage: boolean;
}

const MAX_PAGES = 600;
const MAX_DISPLACED_MS = 30_000;
/** A page of more is suspected of being cut. */
const MAX_IN_SHORT = 9;

/** The audit log of one organization, page by page, with all that its paging may do. */
export class SimulatedAuditLog {
  readonly #world: World;
  readonly #organization: SimulatedOrganization;
  readonly #scheduler: VirtualScheduler;
  readonly #checker: Checker;
  readonly #cursors = new Map<string, Cursor>();
  readonly #redacted: ReadonlySet<string>;

  constructor(
    world: World,
    organization: SimulatedOrganization,
    scheduler: VirtualScheduler,
    checker: Checker,
    redacted: ReadonlySet<string>,
  ) {
    this.#redacted = redacted;
    this.#world = world;
    this.#organization = organization;
    this.#scheduler = scheduler;
    this.#checker = checker;
  }

  /** `configured`: the filters of the process that asks. `mayBeShort`: it can be told if the answers about its window end too soon. */
  answer(walk: Walk, configured: readonly Filter[], faulty: boolean, mayBeShort: () => boolean): Page {
    const { api } = this.#world;
    const { dice } = this.#scheduler;
    this.#refuseWideWindow(walk);
    const filters = [...configured, ...walk.filters];
    const cursor = walk.cursor === undefined ? undefined : this.#takeCursor(walk, filters, walk.cursor, faulty);
    const chain = cursor?.chain ?? this.#begin(walk, filters, faulty, mayBeShort);
    chain.pages += 1;
    if (chain.pages > MAX_PAGES) this.#checker.fail('a walk without end');
    const matching = this.#behind(chain, walk, filters, cursor);
    const empty = faulty && matching.length > 0 && api.cursors !== 'none' && dice.chance(api.emptyPageRate);
    const entries = empty ? [] : matching.slice(0, Math.min(walk.pageLimit, api.pageCap));
    this.#failForSize(entries);
    const served = (cursor?.served ?? 0) + entries.length;
    const last = entries.at(-1) ?? cursor?.last;
    let nextCursor: string | undefined;
    if (api.cursors !== 'none') {
      if (matching.length > entries.length) nextCursor = this.#issue(chain, served, last, false);
      else if (api.lastPage !== 'no_cursor' && entries.length > 0) nextCursor = this.#issue(chain, served, last, true);
    }
    if (faulty && chain.mayBeShort && dice.chance(api.shortRate)) {
      const kept = entries.slice(0, dice.pick([entries.length, dice.between(0, MAX_IN_SHORT)]));
      if (kept.length < matching.length) this.#checker.reached('short answer');
      return this.#pageOf(kept, undefined, api.counts === 'none' ? undefined : kept.length);
    }
    const shown = this.#disturb(entries, faulty);
    const count = this.#countOf(shown.length, matching.length + served - entries.length, faulty);
    return this.#pageOf(shown, this.#cycled(chain, walk, nextCursor, faulty), count);
  }

  #issue(chain: Chain, served: number, last: Entry | undefined, behindLastPage: boolean): string {
    const name = `c${this.#cursors.size}`;
    this.#cursors.set(name, { chain, served, last, behindLastPage, issuedAtMs: this.#scheduler.nowMs });
    chain.issued.push(name);
    return name;
  }

  #refuseWideWindow(walk: Walk): void {
    const { windowLimit } = this.#world.api;
    const { fromMs, toMs } = requestWindow(walk);
    if (windowLimit === undefined || toMs - fromMs <= windowLimit.widthMs) return;
    this.#checker.reached('window too wide');
    throw new ApiError(windowLimit.failure, 'simulated: the window is too wide', { status: 400 });
  }

  /** Poison and bodies that are too large fail the page, whatever else is on it. */
  #failForSize(entries: readonly Entry[]): void {
    const poison = entries.find((entry) => entry.poison !== undefined)?.poison;
    if (poison !== undefined) {
      this.#checker.reached('poison page');
      throw new ApiError(poison, 'simulated: poison');
    }
    if (entries.length > this.#world.api.largestPage) throw new ApiError('too_large', 'simulated');
  }

  /** Cursors come again: the one that was asked for, or a cycle of some. */
  #cycled(chain: Chain, walk: Walk, nextCursor: string | undefined, faulty: boolean): string | undefined {
    const { dice } = this.#scheduler;
    if (walk.cursor === undefined) return nextCursor;
    if (chain.cycle === undefined && faulty && dice.chance(this.#world.api.repeatCursorRate)) {
      const length = Math.min(chain.issued.length, dice.pick([1, 1, 2, 3, 7]));
      chain.cycle = chain.issued.slice(-length);
      this.#checker.reached(length > 1 ? 'cycle of cursors' : 'repeated cursor');
    }
    if (chain.cycle === undefined) return nextCursor;
    const at = chain.cycle.indexOf(walk.cursor);
    return chain.cycle[(at + 1) % chain.cycle.length];
  }

  #countOf(shown: number, inAll: number, faulty: boolean): number | undefined {
    const { api } = this.#world;
    if (api.counts === 'none') return undefined;
    if (api.counts === 'in_all') return inAll;
    if (faulty && this.#scheduler.dice.chance(api.wrongCountRate)) {
      this.#checker.reached('wrong count');
      return shown + this.#scheduler.dice.between(1, 40);
    }
    if (api.miscountBy !== 0) this.#checker.reached('count that is always wrong');
    return Math.max(0, shown + api.miscountBy);
  }

  #begin(walk: Walk, filters: readonly Filter[], faulty: boolean, mayBeShort: () => boolean): Chain {
    const { api } = this.#world;
    const { nowMs, dice } = this.#scheduler;
    const snapshot = api.cursors === 'keyed' ? undefined : this.#ordered(walk, filters);
    if (snapshot !== undefined && faulty && api.order === 'honest' && dice.chance(api.displaceRate)) {
      for (let left = dice.between(1, 4); left > 0; left -= 1) this.#displace(snapshot);
    }
    // What is out of order may come before the end.
    const inOrder = walk.direction === 'asc' && (api.order === 'honest' || api.order === 'ascending');
    const isShortKnown = inOrder && api.displaceRate === 0 && api.shortRate > 0 && walk.filters.length === 0;
    return {
      readAtMs: nowMs,
      asked: askedFor(walk, filters),
      snapshot,
      pages: 0,
      cycle: undefined,
      issued: [],
      mayBeShort: faulty && isShortKnown && mayBeShort(),
    };
  }

  /** All that matches, in the order in which pages cut it up. */
  #ordered(walk: Walk, filters: readonly Filter[]): Entry[] {
    const { api } = this.#world;
    const matching = [...this.#matching(walk, filters)];
    const size = Math.min(walk.pageLimit, api.pageCap);
    switch (api.order) {
      case 'honest':
        return walk.direction === 'asc' ? matching : matching.reverse();
      case 'ascending':
        return matching;
      case 'shuffled':
        return this.#scheduler.dice.shuffled(matching);
      case 'blocks': {
        const blocks: Entry[] = [];
        for (let end = matching.length; end > 0; end -= size)
          blocks.push(...matching.slice(Math.max(0, end - size), end));
        return blocks;
      }
      case 'newest': {
        // Cut first, sorted afterwards; nothing tells that there was more.
        const newest = matching.slice(-size);
        if (newest.length < matching.length) this.#checker.reached('page cut in silence');
        return walk.direction === 'asc' ? newest : newest.reverse();
      }
    }
  }

  /** One entry comes behind others that are up to half a minute away, be they on another page. */
  #displace(snapshot: Entry[]): void {
    const index = this.#scheduler.dice.between(0, snapshot.length - 1);
    const entry = snapshot[index];
    if (entry === undefined) return;
    snapshot.splice(index, 1);
    const behind = snapshot.findLastIndex(({ timeMs }) => Math.abs(timeMs - entry.timeMs) <= MAX_DISPLACED_MS) + 1;
    snapshot.splice(Math.max(behind, index), 0, entry);
  }

  #takeCursor(walk: Walk, filters: readonly Filter[], name: string, faulty: boolean): Cursor {
    const { api } = this.#world;
    const cursor = this.#cursors.get(name);
    if (cursor === undefined) throw new Error(`no page has issued the cursor ${name}`);
    if (askedFor(walk, filters) !== cursor.chain.asked) {
      this.#checker.fail('a cursor was sent with another window, page size, direction or filter');
    }
    const expired = this.#scheduler.nowMs - cursor.issuedAtMs > api.cursorLifeMs;
    const refused = faulty && (expired || this.#scheduler.dice.chance(api.refuseCursorRate));
    const end = cursor.behindLastPage && api.lastPage === 'refused';
    if (end || refused || api.deadCursors) {
      if (!end) this.#checker.reached('cursor lost');
      throw new ApiError(api.cursorFailure, 'the cursor is refused', { status: 400 });
    }
    return cursor;
  }

  #behind(chain: Chain, walk: Walk, filters: readonly Filter[], cursor: Cursor | undefined): readonly Entry[] {
    if (chain.snapshot !== undefined) return chain.snapshot.slice(cursor?.served ?? 0);
    const matching = this.#matching(walk, filters);
    const last = cursor?.last;
    const ordered = walk.direction === 'asc' ? matching : [...matching].reverse();
    if (last === undefined) return ordered;
    return ordered.filter((entry) => (walk.direction === 'asc' ? isAfter(entry, last) : isAfter(last, entry)));
  }

  #matching(walk: Walk, filters: readonly Filter[]): readonly Entry[] {
    const { precisionMs, inclusive } = this.#world.api;
    const { fromMs, toMs } = requestWindow(walk);
    const first = Math.floor(fromMs / precisionMs) * precisionMs;
    const last = Math.floor(toMs / precisionMs) * precisionMs;
    const { nowMs } = this.#scheduler;
    return this.#organization.entries.filter(
      (entry) =>
        entry.visibleAtMs <= nowMs &&
        !this.#redacted.has(entry.id) &&
        (inclusive ? entry.timeMs >= first && entry.timeMs <= last : entry.timeMs > first && entry.timeMs < last) &&
        matchesFilters(entry, filters),
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

  #pageOf(entries: readonly Entry[], nextCursor: string | undefined, count: number | undefined): Page {
    const entriesText = `[${entries.map(({ text }) => text).join(',')}]`;
    if (this.#world.readsText) {
      const info = JSON.stringify({ cursor: nextCursor, count });
      return readPage(`{"success":true,"result":${entriesText},"result_info":${info}}`);
    }
    const timesMs = entries.map(({ timeMs }) => timeMs);
    const sizeBytes = entriesText.length;
    return {
      entries: entries.length,
      timesMs,
      nextCursor,
      count,
      kind: 'json',
      entriesText,
      sizeBytes,
    };
  }
}

/** A cursor belongs to the question that it was given for. */
const askedFor = (walk: Walk, filters: readonly Filter[]): string => {
  const { fromMs, toMs } = requestWindow(walk);
  return `${fromMs}/${toMs}/${walk.pageLimit}/${walk.direction}/${filters.join('&')}`;
};

const isAfter = (a: Entry, b: Entry): boolean => a.timeMs > b.timeMs || (a.timeMs === b.timeMs && a.rank > b.rank);

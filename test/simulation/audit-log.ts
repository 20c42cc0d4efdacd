import { ApiError } from '../../src/base/errors.ts';
import { type Page, readPage } from '../../src/ingest/entries/page.ts';
import { type Filter, requestWindow, type Walk } from '../../src/ingest/planning/walk.ts';
import type { Checker } from './checker.ts';
import { type Entry, matchesFilters } from './entries.ts';
import { ODD_ORGANIZATION } from './oddities.ts';
import type { VirtualScheduler } from './scheduler.ts';
import type { ApiTraits, Oddity, SimulatedOrganization, World } from './world.ts';

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
  readonly #api: ApiTraits;
  readonly #organization: SimulatedOrganization;
  readonly #scheduler: VirtualScheduler;
  readonly #checker: Checker;
  readonly #cursors = new Map<string, Cursor>();
  readonly #redacted: ReadonlySet<string>;
  /** Fresh cursors of pages that come again. */
  #again = 0;

  constructor(
    world: World,
    organization: SimulatedOrganization,
    scheduler: VirtualScheduler,
    checker: Checker,
    redacted: ReadonlySet<string>,
  ) {
    this.#redacted = redacted;
    this.#world = world;
    this.#api = traitsOf(world, organization);
    this.#organization = organization;
    this.#scheduler = scheduler;
    this.#checker = checker;
  }

  /** `configured`: the filters of the process that asks. `mayBeShort`: it can be told if the answers about its window end too soon. */
  answer(walk: Walk, configured: readonly Filter[], faulty: boolean, mayBeShort: () => boolean): Page {
    const api = this.#api;
    const { dice } = this.#scheduler;
    this.#refuseWideWindow(walk);
    const filters = [...configured, ...walk.filters];
    const odd = this.#oddAnswer(walk, filters, faulty);
    if (odd !== undefined) return odd;
    const cursor = walk.cursor === undefined ? undefined : this.#takeCursor(walk, filters, walk.cursor, faulty);
    const chain = cursor?.chain ?? this.#begin(walk, filters, faulty, mayBeShort);
    chain.pages += 1;
    if (chain.pages > MAX_PAGES) this.#checker.fail('a walk without end');
    const matching = this.#behind(chain, walk, filters, cursor);
    const empty = faulty && matching.length > 0 && api.cursors !== 'none' && dice.chance(api.emptyPageRate);
    const entries = empty ? [] : matching.slice(0, Math.min(walk.pageLimit, api.pageCap));
    if (this.#oddity('sorts_pages') !== undefined && walk.direction === 'desc') {
      if (matching.length > entries.length) this.#checker.reached('page sorted by itself');
      entries.reverse();
    }
    this.#failForSize(entries);
    const served = (cursor?.served ?? 0) + entries.length;
    const last = entries.at(-1) ?? cursor?.last;
    let nextCursor: string | undefined;
    if (api.cursors !== 'none') {
      if (matching.length > entries.length) nextCursor = this.#issue(chain, served, last, false);
      else if (api.lastPage !== 'no_cursor' && (entries.length > 0 || this.#oddity('empty_has_cursor')))
        nextCursor = this.#issue(chain, served, last, true);
    }
    if (faulty && chain.mayBeShort && dice.chance(api.shortRate)) {
      const kept = entries.slice(0, dice.pick([entries.length, dice.between(0, MAX_IN_SHORT)]));
      if (kept.length < matching.length) this.#checker.reached('short answer');
      return this.#pageOf(kept, undefined, api.counts === 'none' ? undefined : kept.length);
    }
    if (entries.length === 0 && nextCursor !== undefined && !empty)
      this.#checker.reached('empty page with a cursor that leads nowhere');
    const namesError = this.#oddity('names_error');
    if (faulty && namesError !== undefined && dice.chance(namesError.rate)) {
      this.#checker.reached('answer names an error');
      const kept = entries.filter(() => dice.chance(0.7));
      if (kept.length === 0) throw new ApiError('unreadable', 'simulated: the answer names an error');
      return this.#pageOf(kept, dice.chance(0.8) ? nextCursor : undefined, undefined, 'names an error');
    }
    const shown = this.#disturb(entries, faulty);
    const count = this.#countOf(shown.length, matching.length + served - entries.length, faulty);
    return this.#pageOf(shown, this.#cycled(chain, walk, nextCursor, faulty), count);
  }

  /** The oddity of the world, if it is of this kind and this organization has it. */
  #oddity<K extends Oddity['kind']>(kind: K): Extract<Oddity, { kind: K }> | undefined {
    const { oddity } = this.#world;
    const isOfOne = /^ignores|^one_entry_again/.test(kind) || (oddity?.kind === 'shows_part' && oddity.ofOne);
    if (oddity?.kind !== kind || (isOfOne && this.#organization.id !== ODD_ORGANIZATION)) return undefined;
    return oddity as Extract<Oddity, { kind: K }>;
  }

  /** An answer that is not made of pages. */
  #oddAnswer(walk: Walk, filters: readonly Filter[], faulty: boolean): Page | undefined {
    const { fromMs, toMs } = requestWindow(walk);
    const wide = this.#oddity('wide_is_empty');
    if (wide !== undefined && toMs - fromMs > wide.widthMs && walk.cursor === undefined) {
      this.#checker.reached('wide window answered with nothing');
      return this.#pageOf([], undefined, this.#api.counts === 'none' ? undefined : 0);
    }
    const ignores = this.#oddity('ignores_window');
    if (ignores !== undefined && (faulty || ignores.lasting) && walk.cursor === undefined) {
      const { nowMs } = this.#scheduler;
      const newest = this.#organization.entries
        .filter(({ id, visibleAtMs }) => visibleAtMs <= nowMs && !this.#redacted.has(id))
        .slice(-Math.min(ignores.newest, this.#api.pageCap));
      const isTold = newest.some(({ timeMs }) => timeMs < fromMs - TOLD_BEYOND_MS || timeMs > toMs + TOLD_BEYOND_MS);
      if (isTold) {
        this.#checker.reached('window ignored');
        return this.#pageOf(walk.direction === 'asc' ? newest : newest.reverse(), undefined, undefined);
      }
    }
    if (this.#oddity('one_entry_again') === undefined) return undefined;
    const first = this.#matching(walk, filters).slice(0, 1);
    if (first.length === 0) return walk.cursor === undefined ? undefined : this.#pageOf([], undefined, undefined);
    if (walk.cursor !== undefined) this.#checker.reached('page of one entry comes again');
    if (walk.pages > MAX_PAGES) this.#checker.fail('a walk without end');
    this.#again += 1;
    return this.#pageOf(first, `again${this.#again}`, undefined);
  }

  #issue(chain: Chain, served: number, last: Entry | undefined, behindLastPage: boolean): string {
    const name = `c${this.#cursors.size}`;
    this.#cursors.set(name, { chain, served, last, behindLastPage, issuedAtMs: this.#scheduler.nowMs });
    chain.issued.push(name);
    return name;
  }

  #refuseWideWindow(walk: Walk): void {
    const { windowLimit } = this.#api;
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
    if (entries.length > this.#api.largestPage) throw new ApiError('too_large', 'simulated');
  }

  /** Cursors come again: the one that was asked for, or a cycle of some. */
  #cycled(chain: Chain, walk: Walk, nextCursor: string | undefined, faulty: boolean): string | undefined {
    const { dice } = this.#scheduler;
    if (walk.cursor === undefined) return nextCursor;
    if (chain.cycle === undefined && faulty && dice.chance(this.#api.repeatCursorRate)) {
      const length = Math.min(chain.issued.length, dice.pick([1, 1, 2, 3, 7]));
      chain.cycle = chain.issued.slice(-length);
      this.#checker.reached(length > 1 ? 'cycle of cursors' : 'repeated cursor');
    }
    if (chain.cycle === undefined) return nextCursor;
    const at = chain.cycle.indexOf(walk.cursor);
    return chain.cycle[(at + 1) % chain.cycle.length];
  }

  #countOf(shown: number, inAll: number, faulty: boolean): number | undefined {
    const api = this.#api;
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
    const api = this.#api;
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
    const api = this.#api;
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
      case 'descending':
      case 'newest': {
        // Cut first, sorted afterwards; nothing tells that there was more.
        const newest = matching.slice(-size);
        if (newest.length < matching.length) this.#checker.reached('page cut in silence');
        if (api.order === 'newest' && walk.direction === 'asc') return newest;
        if (api.order === 'descending' && walk.direction === 'asc' && newest.length > 1)
          this.#checker.reached('direction ignored');
        return newest.reverse();
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
    const api = this.#api;
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
    const { precisionMs, inclusive } = this.#api;
    const { fromMs, toMs } = requestWindow(walk);
    const shown = this.#oddity('shows_part');
    const isCut = shown !== undefined && toMs - fromMs > shown.widthMs;
    if (isCut) this.#checker.reached('window cut to a part');
    const showsOldest = shown?.side === 'oldest' || (shown?.side === 'first' && walk.direction === 'asc');
    const first = Math.floor((isCut && !showsOldest ? toMs - shown.widthMs : fromMs) / precisionMs) * precisionMs;
    const last = Math.floor((isCut && showsOldest ? fromMs + shown.widthMs : toMs) / precisionMs) * precisionMs;
    const { nowMs } = this.#scheduler;
    const lags = this.#oddity('wide_lags');
    const isOld = lags !== undefined && toMs - fromMs > lags.widthMs;
    if (isOld) this.#checker.reached('wide window answered from an older copy');
    const seenMs = isOld ? nowMs - lags.lagMs : nowMs;
    return this.#organization.entries.filter(
      (entry) =>
        entry.visibleAtMs <= nowMs &&
        entry.timeMs <= seenMs &&
        !this.#redacted.has(entry.id) &&
        (inclusive ? entry.timeMs >= first && entry.timeMs <= last : entry.timeMs > first && entry.timeMs < last) &&
        matchesFilters(entry, filters),
    );
  }

  /** Within a page, entries may come in another order, and more than once. */
  #disturb(entries: readonly Entry[], faulty: boolean): readonly Entry[] {
    const { dice } = this.#scheduler;
    const { shuffleRate, duplicateRate } = this.#api;
    if (!faulty || entries.length === 0) return entries;
    const again = dice.chance(duplicateRate)
      ? entries.flatMap((entry) => (dice.chance(0.5) ? [entry, entry] : entry))
      : entries;
    return dice.chance(shuffleRate) ? dice.shuffled(again) : again;
  }

  #pageOf(entries: readonly Entry[], nextCursor: string | undefined, count: number | undefined, fault?: string): Page {
    const entriesText = `[${entries.map(({ text }) => text).join(',')}]`;
    if (this.#world.readsText) {
      const info = JSON.stringify({ cursor: nextCursor, count });
      const errors = JSON.stringify(fault === undefined ? [] : [{ message: fault }]);
      return readPage(`{"success":true,"errors":${errors},"result":${entriesText},"result_info":${info}}`);
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
      ...(fault !== undefined && { fault }),
    };
  }
}

/** What is not of the window by so much must be told. */
const TOLD_BEYOND_MS = 61_000;

const traitsOf = ({ api, oddity }: World, { id }: SimulatedOrganization): ApiTraits =>
  oddity?.kind === 'ignores_direction' && id === ODD_ORGANIZATION
    ? { ...api, cursors: 'none', order: 'descending', pageCap: oddity.pageCap, lastPage: 'no_cursor', duplicateRate: 0 }
    : api;

/** A cursor belongs to the question that it was given for. */
const askedFor = (walk: Walk, filters: readonly Filter[]): string => {
  const { fromMs, toMs } = requestWindow(walk);
  return `${fromMs}/${toMs}/${walk.pageLimit}/${walk.direction}/${filters.join('&')}`;
};

const isAfter = (a: Entry, b: Entry): boolean => a.timeMs > b.timeMs || (a.timeMs === b.timeMs && a.rank > b.rank);

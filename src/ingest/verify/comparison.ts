import type { Page } from '../entries/page.ts';
import type { Range } from '../planning/coverage.ts';
import type { SourceKey, SourceState } from '../planning/source.ts';
import type { SyncContext } from '../sync/ports.ts';

/** Entries that were served, held against the store. Ids are those that the store would give. */
interface Compared {
  /** Of the entries that are stored. */
  readonly positions: readonly number[];
  /** Served, not stored. */
  readonly missing: readonly string[];
  /** Stored with other content, and that content is not among the known changes. */
  readonly changed: readonly string[];
}

/** A page, by where the times of its entries lie. What lies outside of the window is left out. */
export interface PageComparison {
  /** In the section that is being read. */
  readonly here: Compared;
  /** In another section of the window: pages overlap. It is counted when that one is read, unless it is repaired now. */
  readonly beside: Compared;
  /** Without a readable time: in each section that it is served for. */
  readonly timeless: Compared;
}

export const nothingCompared: Compared = { positions: [], missing: [], changed: [] };

/** Stored entries that were not served. */
export interface Unserved {
  readonly entries: number;
  /** The ids of some of them. */
  readonly ids: readonly string[];
  /** From the first to just behind the last; undefined if there are none. */
  readonly within: Range | undefined;
}

/** How many ids of each kind of difference a report names. */
export const MAX_EXAMPLES = 100;

/** Entries that differ in one way: as many as there were, repaired ones included. */
interface Difference {
  readonly entries: number;
  /** Of these, stored or recorded by `--fix`. */
  readonly fixed: number;
  readonly ids: readonly string[];
}

/** The ids that differ in one way. */
class Differences implements Difference {
  readonly ids: string[] = [];
  fixed = 0;
  #left = 0;
  #open = new Set<string>();

  get entries(): number {
    return this.#left + this.fixed + this.#open.size;
  }

  /** In the section in hand, and not repaired. */
  get open(): number {
    return this.#open.size;
  }

  add(ids: readonly string[]): void {
    for (const id of ids) this.#open.add(id);
  }

  /** Of `before`, those that do not differ any more are fixed. */
  repair(before: readonly string[], after: readonly string[]): void {
    const left = new Set(after);
    const fixed = before.filter((id) => !left.has(id));
    this.fixed += fixed.length;
    this.#name(fixed);
    for (const id of fixed) this.#open.delete(id);
  }

  endSection(): void {
    this.#left += this.#open.size;
    this.#name([...this.#open]);
  }

  dropSection(): void {
    this.#open = new Set();
  }

  #name(ids: readonly string[]): void {
    this.ids.push(...ids.slice(0, MAX_EXAMPLES - this.ids.length));
  }
}

/**
 * What has been found of one source. The window is read section by section, and only the section in hand is in memory. Each entry
 * counts once, however often pages overlap and walks begin again; a section can be dropped and read again in smaller ones.
 */
export class Findings {
  readonly missing = new Differences();
  readonly changed = new Differences();
  readonly extraIds: string[] = [];
  extra = 0;
  #compared = 0;
  #seen = new Set<number>();
  #timelessHere = new Set<number | string>();
  #timelessBefore: ReadonlySet<number | string> = new Set();

  /** Entries held against the store so far. */
  get compared(): number {
    return this.#compared + this.#inHand();
  }

  /** The positions of the stored entries seen in the section in hand. */
  get seen(): ReadonlySet<number> {
    return this.#seen;
  }

  /** Takes a page in. */
  add({ here, timeless }: PageComparison): void {
    for (const position of here.positions) this.#seen.add(position);
    this.missing.add(here.missing);
    this.changed.add(here.changed);
    const isNew = (key: number | string): boolean => !this.#timelessBefore.has(key);
    for (const key of [...timeless.positions, ...timeless.missing]) this.#timelessHere.add(key);
    for (const position of timeless.positions) if (isNew(position)) this.#seen.add(position);
    this.missing.add(timeless.missing.filter(isNew));
    this.changed.add(timeless.changed.filter(isNew));
    for (const id of timeless.changed) this.#timelessHere.add(id);
  }

  /** Takes in what is found of the same page once it has been repaired. */
  addRepaired(before: PageComparison, after: PageComparison): void {
    this.missing.repair(idsOf(before, 'missing'), idsOf(after, 'missing'));
    this.changed.repair(idsOf(before, 'changed'), idsOf(after, 'changed'));
    this.add(after);
  }

  addExtra(extra: Unserved): void {
    this.extra += extra.entries;
    this.extraIds.push(...extra.ids.slice(0, MAX_EXAMPLES - this.extraIds.length));
  }

  /** The section has been read to its end, or nothing more of the source will be. */
  endSection(): void {
    this.#compared += this.#inHand();
    this.missing.endSection();
    this.changed.endSection();
    this.#timelessBefore = this.#timelessHere;
    this.dropSection();
  }

  /** The section will be read again. What was repaired stays counted. */
  dropSection(): void {
    this.#seen = new Set();
    this.#timelessHere = new Set();
    this.missing.dropSection();
    this.changed.dropSection();
  }

  #inHand(): number {
    return this.#seen.size + this.missing.open;
  }
}

const idsOf = (page: PageComparison, kind: 'missing' | 'changed'): string[] => [
  ...page.here[kind],
  ...page.beside[kind],
  ...page.timeless[kind],
];

/** What verifying needs of the store beside what syncing does. None of it writes. */
export interface VerifyStore {
  /** Position of the newest stored event. */
  headPosition(): Promise<number>;
  /** Entries stored with a time in the range. */
  countStored(source: SourceKey, range: Range): Promise<number>;
  /** Looks at the entries of a page with a time in the window that contains the section, and at those without one. */
  comparePage(source: SourceKey, page: Page, window: Range, section: Range): Promise<PageComparison>;
  /** Entries with a time in the range that are stored up to a position and are not among those seen. */
  findUnserved(source: SourceKey, range: Range, seen: ReadonlySet<number>, head: number): Promise<Unserved>;
  /** Has anything of the source ever been read under other filters? */
  hasOtherFilters(source: SourceKey): Promise<boolean>;
}

export interface VerifyContext extends SyncContext {
  readonly verifyStore: VerifyStore;
}

export interface VerifyOptions {
  readonly window: Range;
  /** Cloudflare's time at the start. */
  readonly nowMs: number;
  /** Commit the pages that differ. */
  readonly fix: boolean;
  /** Filters are in force: what is stored may rightly not be served. */
  readonly filtered: boolean;
  /** What a section of the window should hold: it decides how much is in memory, and what is lost by beginning it again. */
  readonly sectionEntries: number;
  /** How often in a row a source may fail. */
  readonly retries: number;
  /** Aborts at once what is under way; the signal's reason is then thrown. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun. */
  readonly stopping: () => boolean;
  /** After each page, and after each source: for progress. */
  readonly onPage: (source: SourceKey, entries: number, findings: Findings) => void;
  readonly onSource: (result: SourceVerification) => void;
}

/** What is known of one source after its window has been read again. */
export interface SourceVerification {
  readonly source: SourceState;
  readonly findings: Findings;
  /** Stored, not served, and perhaps for no other reason than that it was read under other filters. */
  readonly otherFilters: number;
  /** How much of the window the store has never read: what is missing there was to be expected. */
  readonly unreadMs: number;
  /** All before this has been compared. */
  readonly comparedUntilMs: number;
  /** Why it was not compared to its end. */
  readonly failure: string | undefined;
}

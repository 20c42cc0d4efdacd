import type { Range } from '../planning/coverage.ts';
import type { SourceKey, SourceState } from '../planning/source.ts';
import type { TurnOptions } from '../sync/run/page-exchange.ts';

interface Compared {
  readonly positions: readonly number[];
  readonly missing: readonly string[];
  /** Stored with other content, and that content is not among the known changes. */
  readonly changed: readonly string[];
}

/** By the times of its entries; those outside of the window are left out. */
export interface PageComparison {
  readonly here: Compared;
  /** Entries of another section are counted when that one is read, unless they are repaired now. */
  readonly beside: Compared;
  /** Entries without a time are in each section that they are served for. */
  readonly timeless: Compared;
}

export const nothingCompared: Compared = { positions: [], missing: [], changed: [] };

export interface Unserved {
  readonly entries: number;
  readonly ids: readonly string[];
  /** Ends just behind the last one; undefined if there are none. */
  readonly within: Range | undefined;
}

export const MAX_EXAMPLES = 100;

/** Entries that differ in one way, repaired ones included. */
class Differences {
  readonly ids: string[] = [];
  fixed = 0;
  #left = 0;
  #open = new Set<string>();

  get entries(): number {
    return this.#left + this.fixed + this.#open.size;
  }

  get open(): number {
    return this.#open.size;
  }

  add(ids: readonly string[]): void {
    for (const id of ids) this.#open.add(id);
  }

  /** What does not differ any more is fixed. */
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

/** Only the section in hand is in memory. Each entry counts once, however often pages overlap and walks begin again; a
 * section can be dropped and read again in smaller ones. */
export class Findings {
  readonly missing = new Differences();
  readonly changed = new Differences();
  readonly extraIds: string[] = [];
  extra = 0;
  #compared = 0;
  #seen = new Set<number>();
  #timelessHere = new Set<number | string>();
  #timelessBefore: ReadonlySet<number | string> = new Set();

  get compared(): number {
    return this.#compared + this.#inHand();
  }

  get seen(): ReadonlySet<number> {
    return this.#seen;
  }

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

  addRepaired(before: PageComparison, after: PageComparison): void {
    this.missing.repair(idsOf(before, 'missing'), idsOf(after, 'missing'));
    this.changed.repair(idsOf(before, 'changed'), idsOf(after, 'changed'));
    this.add(after);
  }

  addExtra(extra: Unserved): void {
    this.extra += extra.entries;
    this.extraIds.push(...extra.ids.slice(0, MAX_EXAMPLES - this.extraIds.length));
  }

  endSection(): void {
    this.#compared += this.#inHand();
    this.missing.endSection();
    this.changed.endSection();
    this.#timelessBefore = this.#timelessHere;
    this.dropSection();
  }

  /** What was repaired stays counted. */
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

export interface VerifyOptions extends TurnOptions {
  readonly window: Range;
  readonly nowMs: number;
  readonly fix: boolean;
  /** Filters are in force: what is stored may rightly not be served. */
  readonly filtered: boolean;
  /** Decides how much is in memory, and is lost by beginning again. */
  readonly sectionEntries: number;
  readonly retries: number;
  readonly onPage: (source: SourceKey, entries: number, findings: Findings) => void;
  readonly onSource: (result: SourceVerification) => void;
}

export interface SourceVerification {
  readonly source: SourceState;
  readonly findings: Findings;
  /** Stored, not served, perhaps only since it was read under other filters. */
  readonly otherFilters: number;
  /** Time that was never read: what is missing there was to be expected. */
  readonly unreadMs: number;
  /** All before this has been compared. */
  readonly comparedUntilMs: number;
  readonly failure: string | undefined;
}

import type { Page } from '../entries/page.ts';
import type { Range } from '../planning/coverage.ts';
import type { SourceKey, SourceState } from '../planning/source.ts';
import type { SyncContext } from '../sync/ports.ts';
import type { Findings, PageComparison, Unserved } from './verification.ts';

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

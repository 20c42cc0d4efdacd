import type { SearchCoverage } from '../../search/found-event.ts';
import type { ExportFormat } from '../../search/ports.ts';
import type { Search } from '../../search/search.ts';
import type { SearchSummary } from '../../search/summary/summary.ts';
import type { ShownAnswer, ShownEvent } from './shown-event.ts';

export interface AskedPage {
  /** As an answer before has it. */
  readonly cursor: string | undefined;
  readonly limit: number;
}

/** Events of a search that were stored behind a position. */
export interface ShownArrivals {
  readonly feedId: string;
  /** The last position that is stored. */
  readonly head: number;
  /** Where to go on. */
  readonly until: number;
  readonly events: readonly ShownEvent[];
  /** The same events in the native format of the feed. */
  readonly lines: readonly string[];
}

/** One search, asked of a database or of a daemon. All reject with OrgtrailError, SearchError, or if nothing answers. */
export interface SearchClient {
  readonly search: Search;
  page(page: AskedPage): Promise<ShownAnswer>;
  /** The page as GET /v1/search has it. */
  pageJson(page: AskedPage): AsyncIterable<string>;
  summary(signal: AbortSignal): Promise<SearchSummary>;
  coverage(): Promise<SearchCoverage>;
  /** All events. Throws if it cannot go on: an export that ends is whole. */
  export(format: ExportFormat, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Without `after`: none, and where the end is. */
  arrivals(after: number | undefined, signal: AbortSignal): Promise<ShownArrivals>;
  /** Resolves when there may be something behind the position, or on abort. */
  waitBeyond(position: number, signal: AbortSignal): Promise<void>;
}

import type {
  Arrivals,
  ArrivalsPage,
  EmptyReport,
  EventDetail,
  EventKey,
  FoundEvent,
  SearchCoverage,
  SearchPage,
} from './answer.ts';
import type { EntityReport, ResourceHistory } from './entities.ts';
import type { OrganizationLookup, OrganizationName } from './names/names.ts';
import type { Search, SearchCursor, SearchReading } from './query/search.ts';
import type { SearchSummary, SummaryDepth } from './summary/summary.ts';

export type ExportFormat = 'ndjson' | 'csv';

interface HistoryPage {
  readonly limit: number;
  readonly signal?: AbortSignal;
}

export interface ExportPiece {
  /** How many events; 0 without. */
  readonly events?: number;
  /** Whole lines. */
  readonly lines: Buffer;
}

/** Some events of a search, with what holds for all of them. */
export interface FoundPiece {
  readonly feedId: string;
  /** Later positions are not looked at. */
  readonly untilPosition: number;
  readonly events: readonly { readonly event: FoundEvent; readonly rawText: string }[];
}

/** A stretch of time that could not be read. */
export interface SearchHole {
  readonly sourceKind: string;
  readonly sourceId: string;
  /** RFC 3339. */
  readonly since: string;
  readonly before: string;
  readonly reason: string;
  readonly message: string;
}

/**
 * What searching is served from. All reject with SearchError, with BusyError, or if the database does not answer; what is under way
 * is cancelled when a signal aborts.
 */
export interface SearchSource {
  search(
    search: Search,
    page: {
      readonly cursor: SearchCursor | undefined;
      readonly limit: number;
      readonly signal?: AbortSignal;
      /** It ends after about a second: for what stands beside something else. */
      readonly isQuick?: boolean;
    },
  ): Promise<SearchPage>;
  /** What a search finds of the events that were stored behind a position. */
  arrivals(search: Search, page: ArrivalsPage): Promise<Arrivals>;
  /** To be read before the search: what it calls collected must be stored by then. */
  coverage(search: Search, gaps?: number): Promise<SearchCoverage>;
  /** As `archivedMonths` of the coverage. To be read after the search as well: a month may have been dropped meanwhile. */
  archivedMonths(search: Search): Promise<readonly string[]>;
  /** The same of `droppedMonths`. */
  droppedMonths(search: Search): Promise<readonly string[]>;
  /** Time within that of the search that could not be read, so many at most, the newest first. */
  holes(search: Search, limit: number): Promise<readonly SearchHole[]>;
  /** Why a search found nothing, with its values as they were written. `nothing`: the search looked at all events. Takes 2 s at most. */
  explain(search: Search, given: SearchReading['given'], nothing: boolean): Promise<EmptyReport>;
  /** What an id or a name of an organization leads to. */
  organization(given: string): Promise<OrganizationLookup>;
  /** The same of an account. */
  account(given: string): Promise<OrganizationLookup>;
  /** For suggestions: the first of them by name. */
  organizations(): Promise<readonly OrganizationName[]>;
  accounts(): Promise<readonly OrganizationName[]>;
  /** How many events match, when they happened, and the top values of their fields. */
  summary(search: Search, depth: SummaryDepth, signal?: AbortSignal): Promise<SearchSummary>;
  /** What the newest events of one actor, address, token or resource show. `search`: that for it (`entitySearch`), with a time. */
  entity(search: Search, signal?: AbortSignal): Promise<EntityReport>;
  event(key: EventKey): Promise<EventDetail | undefined>;
  /** How many bytes the texts of that event have; 0 without one in the database. */
  bytesOf(key: EventKey): Promise<number>;
  /** The newest events about the resource of the event at a position; undefined if there is no such event. */
  history(position: number, page: HistoryPage): Promise<ResourceHistory | undefined>;
  /** The events in the feed's native format, some at a time. */
  native(events: readonly FoundEvent[], signal?: AbortSignal): AsyncIterable<readonly string[]>;
  /** All events of the search with their exact texts, newest first, as of the moment of the first piece. Throws as `export` does. */
  found(search: Search, signal?: AbortSignal): AsyncIterable<FoundPiece>;
  /** All events of the search. Throws if it cannot go on: an export that ends is whole. */
  export(search: Search, format: ExportFormat, signal?: AbortSignal): AsyncIterable<ExportPiece>;
}

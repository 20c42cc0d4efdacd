import type { Logger } from 'pino';
import { SearchError } from '../base/errors.ts';
import { ReaderMemory } from '../base/memory.ts';
import { bytesOf, onePiece } from '../base/text.ts';
import { readFeedHead } from '../feed/feed-head.sql.ts';
import { formatNative } from '../formats/native.ts';
import type { DatabaseUrl } from '../postgres/database-url.ts';
import { openPool } from '../postgres/open-pool.ts';
import type { Pool } from '../postgres/pool.ts';
import type { ArrivalsPage, EventKey, FoundEvent, SearchPage } from './answer.ts';
import { readArchivedMonths, readDroppedMonths } from './archived-months.sql.ts';
import { readEntity, readResourceHistory } from './entities.sql.ts';
import { eventCsvHeader, eventCsvRecord } from './event-csv.ts';
import { lookUpAccount, lookUpOrganization, readAccountNames, readOrganizationNames } from './names/names.sql.ts';
import { explainEmpty } from './no-results.sql.ts';
import type { EventQuery } from './query/event-query.ts';
import { instantOfBound, type Search, type SearchCursor, type SearchReading } from './query/search.ts';
import {
  type CollectionRules,
  readSearchCoverage,
  readSearchHoles,
  readUnderived,
  type SearchedPart,
} from './search-coverage.sql.ts';
import {
  type AskedPage,
  readArrivals,
  readEvent,
  readEventBytes,
  readRawTexts,
  type SearchTimeLimit,
  searchEvents,
} from './search-events.sql.ts';
import { countFew } from './summary/count.sql.ts';
import { summarize } from './summary/search-summary.sql.ts';
import type { SummaryDepth } from './summary/summary.ts';

/** Searches may take seconds: with connections of their own, nothing else waits for them; nor do they wait for exports. */
const CONNECTIONS = 3;
const EXPORT_CONNECTIONS = 2;
const PAGE_TIME_LIMIT = { firstMs: 800, totalMs: 4_000 };
const QUICK_TIME_LIMIT = { firstMs: 500, totalMs: 1_000 };
/** An export is not interactive, and has to be whole. */
const EXPORT_TIME_LIMIT = { firstMs: 2_000, totalMs: 30_000 };
const FIRST_EXPORT_EVENTS = 500;
const MAX_EXPORT_EVENTS = 1_000;
/** Formatted at once; meanwhile the process answers no request. */
const PIECE_EVENTS = 250;
const EXPORT_PAGE_BYTES = 4_194_304;
/** Entries in memory at once, except for a single larger one. */
const BATCH_BYTES = 262_144;
const SUGGESTED_ORGANIZATIONS = 1_000;
const EXPLAIN_MS = 2_000;
/** For what stands beside an answer. */
const FEW_MS = 300;

const NO_ARCHIVE =
  'months of the archive are not searched: `orgtrail archive thaw` brings one back, `orgtrail query` asks the archive itself; leave out archive';

export type ExportFormat = 'ndjson' | 'csv';
export type Explorer = ReturnType<typeof openExplorer>;
export type SearchSource = ReturnType<typeof createSearchSource>;

/** Opens searching in a database, for `GET /v1/search` and the pages of the console. `nowMs` is the clock of relative times. */
export const openExplorer = (
  databaseUrl: DatabaseUrl,
  logger: Logger,
  nowMs: () => number,
  rules: CollectionRules,
  memory = new ReaderMemory(),
) => {
  const pages = openPool({ url: databaseUrl, size: CONNECTIONS, sharedFor: 'searches', logger });
  const exports = openPool({ url: databaseUrl, size: EXPORT_CONNECTIONS, sharedFor: 'exports', logger });
  return {
    source: createSearchSource({ pages: pages.pool, exports: exports.pool, memory }, nowMs, rules),
    /** The connections of its pages, for whatever else may take seconds. */
    pool: pages.pool,
    close: async () => {
      await Promise.all([pages.close(), exports.close()]);
    },
  };
};

/** All reject with SearchError, with BusyError, or if the database does not answer; what is under way is cancelled when a signal aborts. */
const createSearchSource = (
  { pages: pool, exports, memory }: { readonly pages: Pool; readonly exports: Pool; readonly memory: ReaderMemory },
  nowMs: () => number,
  rules: CollectionRules,
) => ({
  /** `isQuick`: it ends after about a second, for what stands beside something else. */
  search: (search: Search, page: AskedPage & { readonly isQuick?: boolean }) =>
    readPage(pool, queryOf(search, nowMs()), page, page.isQuick ? QUICK_TIME_LIMIT : PAGE_TIME_LIMIT),
  arrivals: (search: Search, page: ArrivalsPage) => readArrivals(pool, queryOf(search, nowMs()), page),
  /** To be read before the search: what it calls collected must be stored by then. */
  coverage: (search: Search, gaps?: number) => readSearchCoverage(pool, partOf(search, nowMs()), rules, gaps),
  underived: (search: Search) => readUnderived(pool, search),
  /** As in the coverage. To be read after the search as well: a month may have been dropped meanwhile. */
  archivedMonths: (search: Search) => readArchivedMonths(pool, partOf(search, nowMs())),
  droppedMonths: async (search: Search) =>
    (await readDroppedMonths(pool, partOf(search, nowMs()))).map(({ month }) => month),
  holes: (search: Search, limit: number) => readSearchHoles(pool, partOf(search, nowMs()), rules, limit),
  /** `nothing`: the search looked at all events. */
  explain: (search: Search, given: SearchReading['given'], nothing: boolean) =>
    explainEmpty(pool, queryOf(search, nowMs()), given, { totalMs: EXPLAIN_MS, nothing }),
  organization: (given: string) => lookUpOrganization(pool, given),
  account: (given: string) => lookUpAccount(pool, given),
  accounts: () => readAccountNames(pool, SUGGESTED_ORGANIZATIONS),
  organizations: () => readOrganizationNames(pool, SUGGESTED_ORGANIZATIONS),
  summary: async (search: Search, depth: SummaryDepth, signal?: AbortSignal) => {
    if (search.archive === true) throw new SearchError('refused', NO_ARCHIVE);
    return await summarize(pool, queryOf(search, nowMs()), depth, nowMs(), signal);
  },
  /** Up to 1,000, in the database; undefined if it takes too long. */
  countFew: ({ archive: _, ...search }: Search) => countFew(pool, queryOf(search, nowMs()), FEW_MS),
  entity: (search: Search, signal?: AbortSignal) => readEntity(pool, queryOf(search, nowMs()), nowMs(), signal),
  event: (key: EventKey) => readEvent(pool, key),
  bytesOf: (key: EventKey) => readEventBytes(pool, key),
  history: (position: number, page: { readonly limit: number; readonly signal?: AbortSignal }) =>
    readResourceHistory(pool, { position, ...page }),
  native: async function* (events: readonly FoundEvent[], signal?: AbortSignal) {
    const { feedId } = await readFeedHead(pool);
    yield* nativeTexts({ pool, memory, signal }, feedId, events);
  },
  found: (search: Search, signal?: AbortSignal) =>
    foundPieces({ pool: exports, memory, signal }, queryOf(search, nowMs())),
  export: (search: Search, format: ExportFormat, signal?: AbortSignal): AsyncIterable<ExportPiece> =>
    exportPieces({ pool: exports, memory, signal }, queryOf(search, nowMs()), format),
});

interface Parts {
  readonly pool: Pool;
  readonly memory: ReaderMemory;
  readonly signal: AbortSignal | undefined;
}

/** Throws SearchError `refused` for the archive. */
const readPage = async (
  pool: Pool,
  query: EventQuery,
  page: AskedPage,
  limit: SearchTimeLimit,
): Promise<SearchPage> => {
  if (query.archive === true) throw new SearchError('refused', NO_ARCHIVE);
  return await searchEvents(pool, query, page, limit);
};

const partOf = (search: Search, nowMs: number): SearchedPart => {
  const { since, before, organization, account } = queryOf(search, nowMs);
  // The clock of the database may be a little ahead: now is no end.
  const isOpen = search.before?.kind === 'ago' && search.before.ms === 0;
  return { since, before: isOpen ? undefined : before, organization, account };
};

const queryOf = ({ since, before, ...rest }: Search, nowMs: number): EventQuery => ({
  ...rest,
  since: since && instantOfBound(since, nowMs),
  before: before && instantOfBound(before, nowMs),
});

const nativeTexts = (parts: Parts, feedId: string, events: readonly FoundEvent[]) =>
  withTexts(parts, events, (event, rawText) => formatNative({ ...event, feedId, rawText }));

/** In the order of the events, some at a time. Waits for the memory of large ones, which others may have until their readers are cut off. */
async function* withTexts<T>(
  { pool, memory, signal }: Parts,
  events: readonly FoundEvent[],
  make: (event: FoundEvent, rawText: string) => T,
): AsyncGenerator<readonly T[], void, void> {
  // While the reader takes what was made, nothing holds the texts.
  const made = async (batch: readonly FoundEvent[]): Promise<T[]> => {
    const raws = await readRawTexts(pool, batch, signal);
    return batch.map((event) => {
      const rawText = raws.get(event.position);
      if (rawText === undefined) throw new Error(`event ${event.position} was removed while it was read`);
      return make(event, rawText);
    });
  };
  for (const batch of batchesOf(events)) {
    const size = batch.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
    const giveBack = await memory.acquire(size, signal ?? new AbortController().signal);
    let some: T[] = [];
    try {
      some = await made(batch);
      yield some;
    } finally {
      // Generators on the way hold it until they have the next one: emptied, it holds nothing.
      some.length = 0;
      giveBack();
    }
  }
}

const batchesOf = (events: readonly FoundEvent[]): FoundEvent[][] => {
  const batches: FoundEvent[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const event of events) {
    if (bytes + event.rawBytes > BATCH_BYTES) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(event);
    bytes += event.rawBytes;
  }
  return batches;
};

export interface ExportPiece {
  readonly events?: number;
  readonly lines: Buffer;
}

/** Newest first, what was there when it began; the next page is read meanwhile. Never ends early: what cannot be read is thrown. */
async function* exportPieces(
  parts: Parts,
  query: EventQuery,
  format: ExportFormat,
): AsyncGenerator<ExportPiece, void, void> {
  const head = await readFeedHead(parts.pool);
  let isFirst = true;
  for await (const events of wholePages(parts, { ...query, untilPosition: head.position })) {
    // After the first page, so that a search that cannot begin gives nothing.
    if (isFirst && format === 'csv') yield { lines: Buffer.from(eventCsvHeader()) };
    isFirst = false;
    // Also if empty: only by writing does it show that the reader has gone.
    if (events.length === 0) yield { lines: Buffer.alloc(0) };
    if (format === 'csv') yield* csvPieces(events);
    else {
      for await (const texts of nativeTexts(parts, head.feedId, events)) {
        yield* onePiece(bytesOf(texts.flatMap((text) => [text, '\n'])), texts.length);
      }
    }
  }
}

/** The same with their texts; the first piece has no events. */
async function* foundPieces(parts: Parts, query: EventQuery) {
  const { feedId, position: untilPosition } = await readFeedHead(parts.pool);
  yield { feedId, untilPosition, events: [] };
  for await (const page of wholePages(parts, { ...query, untilPosition })) {
    for await (const events of withTexts(parts, page, (event, rawText) => ({ event, rawText })))
      yield { feedId, untilPosition, events };
  }
}

/** The pages of an export. Throws if a month was dropped meanwhile: its events may be missing. */
async function* wholePages(parts: Parts, query: EventQuery): AsyncGenerator<readonly FoundEvent[], void, void> {
  const { signal } = parts;
  const before = await readArchivedMonths(parts.pool, query);
  const goneBefore = await readDroppedMonths(parts.pool, query);
  let cursor: SearchCursor | undefined;
  let limit = FIRST_EXPORT_EVENTS;
  do {
    const page: SearchPage = await readPage(parts.pool, query, { cursor, limit, signal }, EXPORT_TIME_LIMIT);
    cursor = nextCursor(page);
    limit = fittingEvents(page.events) ?? limit;
    yield page.events;
  } while (cursor !== undefined);
  const gone = (await readDroppedMonths(parts.pool, query)).filter(
    ({ month, events }) => events !== goneBefore.find((one) => one.month === month)?.events,
  );
  if (gone.length > 0) {
    const names = gone.map(({ month }) => month).join(', ');
    throw new SearchError('timeout', `${names} was dropped without an archive while it was read: try again`);
  }
  const dropped = (await readArchivedMonths(parts.pool, query)).filter((month) => !before.includes(month));
  if (dropped.length > 0)
    throw new SearchError('timeout', `${dropped.join(', ')} went into the archive while it was read: try again`);
}

function* csvPieces(events: readonly FoundEvent[]): Generator<ExportPiece, void, void> {
  for (let from = 0; from < events.length; from += PIECE_EVENTS) {
    const some = events.slice(from, from + PIECE_EVENTS);
    yield { lines: Buffer.from(some.map(eventCsvRecord).join('')), events: some.length };
  }
}

/** How many to read next, judged by the last page: columns may be as large as their entries. */
const fittingEvents = (events: readonly FoundEvent[]): number | undefined => {
  const bytes = events.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
  if (bytes === 0) return undefined;
  return Math.max(1, Math.min(MAX_EXPORT_EVENTS, Math.floor((EXPORT_PAGE_BYTES * events.length) / bytes)));
};

const nextCursor = ({ events, more, reached }: SearchPage): SearchCursor | undefined => {
  if (!more) return undefined;
  const last = events.at(-1);
  return reached ?? (last && { direction: 'older', time: last.sortTime, position: last.position });
};

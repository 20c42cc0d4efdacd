import type { Logger } from 'pino';
import { SearchError } from '../base/errors.ts';
import { ReaderMemory } from '../base/memory.ts';
import { bytesOf, onePiece } from '../base/text.ts';
import { readFeedHead } from '../feed/feed-head.sql.ts';
import { formatNative } from '../formats/native.ts';
import type { DatabaseUrl } from '../postgres/database-url.ts';
import { openPool } from '../postgres/open-pool.ts';
import type { Pool } from '../postgres/pool.ts';
import type { FoundEvent, SearchPage } from './answer.ts';
import { type ArchivedParts, archivedTextOf, readArchivedEvent, withArchive } from './archived/archived-search.sql.ts';
import { readArchivedMonths, readDroppedMonths } from './archived-months.sql.ts';
import { readEntity, readResourceHistory } from './entities.sql.ts';
import { eventCsvHeader, eventCsvRecord } from './event-csv.ts';
import { lookUpAccount, lookUpOrganization, readAccountNames, readOrganizationNames } from './names/names.sql.ts';
import { explainEmpty } from './no-results.sql.ts';
import type { ExportFormat, ExportPiece, FoundPiece, SearchSource } from './ports.ts';
import type { EventQuery } from './query/event-query.ts';
import { instantOfBound, type Search, type SearchCursor } from './query/search.ts';
import { type CollectionRules, readSearchCoverage, readSearchHoles, type SearchedPart } from './search-coverage.sql.ts';
import {
  type AskedPage,
  readArrivals,
  readEvent,
  readEventBytes,
  readRawTexts,
  type SearchTimeLimit,
  searchEvents,
} from './search-events.sql.ts';
import { summarize } from './summary/search-summary.sql.ts';

/** Searches may take seconds: with connections of their own, nothing else waits for them; nor do they wait for exports. */
const CONNECTIONS = 3;
const EXPORT_CONNECTIONS = 2;
/** People wait for a page. */
const PAGE_TIME_LIMIT = { firstMs: 800, totalMs: 4_000, archiveMs: 10_000 };
const QUICK_TIME_LIMIT = { firstMs: 500, totalMs: 1_000, archiveMs: 2_000 };
/** An export is not interactive, and it has to be whole. */
const EXPORT_TIME_LIMIT = { firstMs: 2_000, totalMs: 30_000, archiveMs: 30_000 };
const FIRST_EXPORT_EVENTS = 500;
const MAX_EXPORT_EVENTS = 1_000;
/** Formatted at once: meanwhile the process answers no request. */
const PIECE_EVENTS = 250;
const EXPORT_PAGE_BYTES = 4_194_304;
/** Of entries that are in memory at once, but for a single larger one. */
const BATCH_BYTES = 262_144;
const SUGGESTED_ORGANIZATIONS = 1_000;
/** Of looking up why a search found nothing. */
const EXPLAIN_MS = 2_000;

const NO_ARCHIVE = 'the archive cannot be searched here: ORGTRAIL_ARCHIVE is not set';
const NO_COUNTS = 'counts and top values are of the database alone: leave out archive';

/** What a search of archived months needs. */
export type SearchedArchive = Pick<ArchivedParts, 'months' | 'memory' | 'limitMs'>;
type OpenArchive = ((pool: Pool) => SearchedArchive) | undefined;

export interface Explorer {
  readonly source: SearchSource;
  /** The connections of its pages, for what else may take seconds. */
  readonly pool: Pool;
  close(): Promise<void>;
}

/** Opens searching in a database, for `GET /v1/search` and the pages of the console. `nowMs` is the clock of relative times. */
export const openExplorer = (
  databaseUrl: DatabaseUrl,
  logger: Logger,
  nowMs: () => number,
  rules: CollectionRules,
  openArchive?: OpenArchive,
  memory = new ReaderMemory(),
): Explorer => {
  const url = databaseUrl;
  const pages = openPool({ url, size: CONNECTIONS, sharedFor: 'searches', logger });
  const exports = openPool({ url, size: EXPORT_CONNECTIONS, sharedFor: 'exports', logger });
  const archive = openArchive?.(pages.pool);
  return {
    source: createSearchSource({ pages: pages.pool, exports: exports.pool, memory }, nowMs, rules, archive),
    pool: pages.pool,
    close: async () => {
      await archive?.months.close();
      await Promise.all([pages.close(), exports.close()]);
    },
  };
};

const createSearchSource = (
  { pages: pool, exports, memory }: { readonly pages: Pool; readonly exports: Pool; readonly memory: ReaderMemory },
  nowMs: () => number,
  rules: CollectionRules,
  archive: SearchedArchive | undefined,
): SearchSource => ({
  search: (search, page) =>
    readPage(
      { pool, archive },
      queryOf(search, nowMs()),
      page,
      page.isQuick === true ? QUICK_TIME_LIMIT : PAGE_TIME_LIMIT,
    ),
  arrivals: (search, page) => readArrivals(pool, queryOf(search, nowMs()), page),
  coverage: (search, gaps) => readSearchCoverage(pool, partOf(search, nowMs()), rules, gaps),
  archivedMonths: (search) => readArchivedMonths(pool, partOf(search, nowMs())),
  droppedMonths: async (search) => (await readDroppedMonths(pool, partOf(search, nowMs()))).map(({ month }) => month),
  holes: (search, limit) => readSearchHoles(pool, partOf(search, nowMs()), rules, limit),
  explain: (search, given, nothing) =>
    explainEmpty(pool, queryOf(search, nowMs()), given, { totalMs: EXPLAIN_MS, nothing }),
  organization: (given) => lookUpOrganization(pool, given),
  account: (given) => lookUpAccount(pool, given),
  accounts: () => readAccountNames(pool, SUGGESTED_ORGANIZATIONS),
  organizations: () => readOrganizationNames(pool, SUGGESTED_ORGANIZATIONS),
  summary: async (search, depth, signal) => {
    if (search.archive === true) throw new SearchError('refused', NO_COUNTS);
    return await summarize(pool, queryOf(search, nowMs()), depth, nowMs(), signal);
  },
  entity: (search, signal) => readEntity(pool, queryOf(search, nowMs()), nowMs(), signal),
  event: async (key) =>
    (await readEvent(pool, key)) ??
    (archive && 'position' in key ? await readArchivedEvent({ pool, ...archive }, key.position) : undefined),
  bytesOf: (key) => readEventBytes(pool, key),
  history: (position, page) => readResourceHistory(pool, { position, ...page }),
  native: async function* (events, signal) {
    const { feedId } = await readFeedHead(pool);
    yield* nativeTexts({ pool, memory }, feedId, events, signal);
  },
  found: (search, signal) => foundPieces({ pool: exports, archive, memory }, queryOf(search, nowMs()), signal),
  export: (search, format, signal) =>
    exportPieces({ pool: exports, archive, memory }, queryOf(search, nowMs()), format, signal),
});

/** What history is read from. */
interface Parts {
  readonly pool: Pool;
  readonly archive: SearchedArchive | undefined;
  readonly memory: ReaderMemory;
}

/** A page of the database, and of the archive if the query asks for that. Throws SearchError `refused` if there is none. */
const readPage = async (
  { pool, archive }: Omit<Parts, 'memory'>,
  query: EventQuery,
  page: AskedPage,
  limit: SearchTimeLimit & { readonly archiveMs: number },
): Promise<SearchPage> => {
  if (query.archive === true && archive === undefined) throw new SearchError('refused', NO_ARCHIVE);
  const hot = await searchEvents(pool, query, page, limit);
  if (query.archive !== true || archive === undefined) return hot;
  return await withArchive({ pool, ...archive }, query, page, hot, archive.limitMs ?? limit.archiveMs);
};

/** What coverage is asked of. */
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

/** The envelopes of the feed's native format, in the order of the events, some at a time. */
async function* nativeTexts(
  parts: Pick<Parts, 'pool' | 'memory'>,
  feedId: string,
  events: readonly FoundEvent[],
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly string[], void, void> {
  yield* withTexts(parts, events, signal, (event, rawText) => formatNative({ ...event, feedId, rawText }));
}

/**
 * What is made of the events and their exact texts, some at a time. Waits for the memory of large ones, which others may have until their readers are
 * cut off.
 */
async function* withTexts<T>(
  { pool, memory }: Pick<Parts, 'pool' | 'memory'>,
  events: readonly FoundEvent[],
  signal: AbortSignal | undefined,
  make: (event: FoundEvent, rawText: string) => T,
): AsyncGenerator<readonly T[], void, void> {
  // While its reader takes what was made, nothing holds the texts.
  const made = async (batch: readonly FoundEvent[]): Promise<T[]> => {
    const stored = batch.filter((event) => archivedTextOf(event) === undefined);
    const raws = stored.length === 0 ? undefined : await readRawTexts(pool, stored, signal);
    return batch.map((event) => {
      const rawText = archivedTextOf(event) ?? raws?.get(event.position);
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
      // Generators on the way hold it until they have the next one.
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

/**
 * All events of a search, newest first, that were there when it began: a page of it at a time, read when the one before is
 * on its way. Never ends early: what cannot be read is thrown.
 */
async function* exportPieces(
  parts: Parts,
  query: EventQuery,
  format: ExportFormat,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportPiece, void, void> {
  const head = await readFeedHead(parts.pool);
  let isFirst = true;
  for await (const events of wholePages(parts, { ...query, untilPosition: head.position }, signal)) {
    // Behind the first page, so that a search that cannot begin gives nothing.
    if (isFirst && format === 'csv') yield { lines: Buffer.from(eventCsvHeader()) };
    isFirst = false;
    // Also with nothing in it: only by writing does it show that the reader has gone.
    if (events.length === 0) yield { lines: Buffer.alloc(0) };
    if (format === 'csv') yield* csvPieces(events);
    else {
      for await (const texts of nativeTexts(parts, head.feedId, events, signal)) {
        yield* onePiece(bytesOf(texts.flatMap((text) => [text, '\n'])), texts.length);
      }
    }
  }
}

/** The same with their texts. */
async function* foundPieces(
  parts: Parts,
  query: EventQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<FoundPiece, void, void> {
  const { feedId, position: untilPosition } = await readFeedHead(parts.pool);
  yield { feedId, untilPosition, events: [] };
  for await (const page of wholePages(parts, { ...query, untilPosition }, signal)) {
    for await (const events of withTexts(parts, page, signal, (event, rawText) => ({ event, rawText })))
      yield { feedId, untilPosition, events };
  }
}

/** The pages of an export. Throws if a month was dropped meanwhile: its events may be missing. */
async function* wholePages(
  parts: Parts,
  query: EventQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly FoundEvent[], void, void> {
  const before = await readArchivedMonths(parts.pool, query);
  const goneBefore = await readDroppedMonths(parts.pool, query);
  yield* exportPages(parts, query, signal);
  const gone = (await readDroppedMonths(parts.pool, query)).filter(
    ({ month, events }) => events !== goneBefore.find((one) => one.month === month)?.events,
  );
  if (gone.length > 0) {
    const names = gone.map(({ month }) => month).join(', ');
    throw new SearchError('timeout', `${names} was dropped without an archive while it was read: try again`);
  }
  if (query.archive === true) return;
  const dropped = (await readArchivedMonths(parts.pool, query)).filter((month) => !before.includes(month));
  if (dropped.length > 0)
    throw new SearchError('timeout', `${dropped.join(', ')} went into the archive while it was read: try again`);
}

/** Some may be empty. */
async function* exportPages(
  parts: Parts,
  query: EventQuery,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly FoundEvent[], void, void> {
  let cursor: SearchCursor | undefined;
  let limit = FIRST_EXPORT_EVENTS;
  do {
    const page: SearchPage = await readPage(parts, query, { cursor, limit, signal }, EXPORT_TIME_LIMIT);
    cursor = nextCursor(page);
    limit = fittingEvents(page.events) ?? limit;
    yield page.events;
  } while (cursor !== undefined);
}

function* csvPieces(events: readonly FoundEvent[]): Generator<ExportPiece, void, void> {
  for (let from = 0; from < events.length; from += PIECE_EVENTS) {
    const some = events.slice(from, from + PIECE_EVENTS);
    yield { lines: Buffer.from(some.map(eventCsvRecord).join('')), events: some.length };
  }
}

/** How many to read next, judged by those before: columns may be as large as their entries. */
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

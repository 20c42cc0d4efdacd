import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { DatabaseUrl } from './database-url.ts';
import { eventCsvHeader, eventCsvRecord } from './domain/event-csv.ts';
import { formatNative } from './domain/formats/native.ts';
import type { FoundEvent, SearchPage } from './domain/found-event.ts';
import { behindAfterSeconds, pausesOf } from './domain/health.ts';
import { instantOfBound, type Search } from './domain/search.ts';
import type { SearchCursor } from './domain/search-cursor.ts';
import type { ExportFormat, ExportPiece, SearchSource } from './http/search.ts';
import { logIdleError, logJump } from './log-database.ts';
import { explainEmpty } from './store/explain-empty.ts';
import { readFeedHead } from './store/feed.ts';
import { lookUpOrganization, readOrganizationNames } from './store/organization-lookup.ts';
import { readRawTexts } from './store/raw-texts.ts';
import { readEvent } from './store/read-event.ts';
import type { EventQuery } from './store/search-conditions.ts';
import { type CollectionRules, readSearchCoverage } from './store/search-coverage.ts';
import { type SearchPatience, searchEvents } from './store/search-events.ts';
import { createSharedPool } from './store/shared-pool.ts';

/** Searches may take seconds: with connections of their own, nothing else waits for them; nor do they wait for exports. */
const CONNECTIONS = 3;
const EXPORT_CONNECTIONS = 2;
/** People wait for a page. */
const PAGE_PATIENCE: SearchPatience = { firstMs: 800, totalMs: 4_000 };
/** Nobody waits for an export, and it has to be whole. */
const EXPORT_PATIENCE: SearchPatience = { firstMs: 2_000, totalMs: 30_000 };
const FIRST_EXPORT_EVENTS = 500;
const MOST_EXPORT_EVENTS = 1_000;
/** Formatted at once: meanwhile the process answers nobody. */
const PIECE_EVENTS = 250;
const EXPORT_PAGE_BYTES = 4_194_304;
/** Of entries that are in memory at once, but for a single larger one. */
const BATCH_BYTES = 524_288;
const SUGGESTED_ORGANIZATIONS = 1_000;
/** Of looking up why a search found nothing. */
const EXPLAIN_MS = 2_000;

export interface Explorer {
  readonly source: SearchSource;
  close(): Promise<void>;
}

/** What counts as collected where this configuration collects. */
export const collectionRulesOf = (config: Config): CollectionRules => ({
  organizationIds: config.organizationIds,
  behindAfterSeconds: (organizations) => behindAfterSeconds(pausesOf(config, organizations)),
});

/** Opens searching in a database, for `GET /v1/search` and the pages of the console. `nowMs` is the clock of relative times. */
export const openExplorer = (
  databaseUrl: DatabaseUrl,
  logger: Logger,
  nowMs: () => number,
  rules: CollectionRules,
): Explorer => {
  const open = (max: number, what: string) =>
    createSharedPool(databaseUrl, { max, what }, logIdleError(logger), logJump(logger));
  const pools = { pages: open(CONNECTIONS, 'searches'), exports: open(EXPORT_CONNECTIONS, 'exports') };
  return {
    source: createSearchSource(pools, nowMs, rules),
    // A connection attempt that hangs must not hold up a stop.
    close: async () => {
      const ended = Promise.all([pools.pages.end(), pools.exports.end()]);
      await Promise.race([ended, sleep(2_000, undefined, { ref: false })]);
    },
  };
};

const createSearchSource = (
  { pages: pool, exports }: { readonly pages: Pool; readonly exports: Pool },
  nowMs: () => number,
  rules: CollectionRules,
): SearchSource => ({
  search: (search, page) => searchEvents(pool, queryOf(search, nowMs()), page, PAGE_PATIENCE),
  coverage: (search) => {
    const { since, before, organization } = queryOf(search, nowMs());
    // The clock of the database may be a little ahead: now is no end.
    const isOpen = search.before?.kind === 'ago' && search.before.ms === 0;
    return readSearchCoverage(pool, { since, before: isOpen ? undefined : before, organization }, rules);
  },
  explain: (search, given, nothing) =>
    explainEmpty(pool, queryOf(search, nowMs()), given, { totalMs: EXPLAIN_MS, nothing }),
  organization: (given) => lookUpOrganization(pool, given),
  organizations: () => readOrganizationNames(pool, SUGGESTED_ORGANIZATIONS),
  event: (key) => readEvent(pool, key),
  native: async function* (events) {
    const { feedId } = await readFeedHead(pool);
    yield* nativeTexts(pool, feedId, events);
  },
  export: (search, format, signal) => exportPieces(exports, queryOf(search, nowMs()), format, signal),
});

const queryOf = ({ since, before, ...rest }: Search, nowMs: number): EventQuery => ({
  ...rest,
  since: since && instantOfBound(since, nowMs),
  before: before && instantOfBound(before, nowMs),
});

/** The envelopes of the feed's native format, in the order of the events, some at a time. */
async function* nativeTexts(
  pool: Pool,
  feedId: string,
  events: readonly FoundEvent[],
  signal?: AbortSignal,
): AsyncGenerator<readonly string[], void, void> {
  for (const batch of batchesOf(events)) {
    const raws = await readRawTexts(pool, batch, signal);
    yield batch.map((event) => {
      const rawText = raws.get(event.position);
      if (rawText === undefined) throw new Error(`event ${event.position} was removed while it was read`);
      return formatNative({ ...event, feedId, rawText });
    });
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
  pool: Pool,
  query: EventQuery,
  format: ExportFormat,
  signal: AbortSignal | undefined,
): AsyncGenerator<ExportPiece, void, void> {
  const { feedId, position } = await readFeedHead(pool);
  const frozen = { ...query, untilPosition: position };
  if (format === 'csv') yield { lines: Buffer.from(eventCsvHeader()) };
  let cursor: SearchCursor | undefined;
  let limit = FIRST_EXPORT_EVENTS;
  do {
    const page: SearchPage = await searchEvents(pool, frozen, { cursor, limit, signal }, EXPORT_PATIENCE);
    cursor = nextCursor(page);
    limit = fittingEvents(page.events) ?? limit;
    // Also with nothing in it: only by writing does it show that the reader has gone.
    if (page.events.length === 0) yield { lines: Buffer.alloc(0) };
    if (format === 'csv') yield* csvPieces(page.events);
    else {
      for await (const texts of nativeTexts(pool, feedId, page.events, signal)) {
        yield { lines: Buffer.from(texts.map((text) => `${text}\n`).join('')), events: texts.length };
      }
    }
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
  return Math.max(1, Math.min(MOST_EXPORT_EVENTS, Math.floor((EXPORT_PAGE_BYTES * events.length) / bytes)));
};

const nextCursor = ({ events, more, reached }: SearchPage): SearchCursor | undefined => {
  if (!more) return undefined;
  const last = events.at(-1);
  return reached ?? (last && { direction: 'older', time: last.sortTime, position: last.position });
};

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamLimits, StreamPlace } from '../../base/limits.ts';
import { bytesOf, onePiece } from '../../base/text.ts';
import type { EmptyReport, FoundEvent, SearchCoverage, SearchPage } from '../../search/answer.ts';
import {
  fixTimes,
  printCursor,
  readCursor,
  readSearch,
  type Search,
  type SearchCursor,
  type SearchReading,
} from '../../search/query/search.ts';
import { answerSearch, type SearchAnswer, withIds } from '../../search/run-search.ts';
import type { ExportFormat, ExportPiece, SearchSource } from '../../search/search-source.ts';
import { type FacetField, facetFields, type SearchSummary } from '../../search/summary/summary.ts';
import { beginsGiving, counted } from '../access-trail.ts';
import { goneSignal } from '../failure.ts';
import { withToken } from '../openapi.ts';
import { encodingFor, streamFeed } from '../stream.ts';
import {
  MAX_LIMIT,
  type SearchQuery,
  type SummaryQuery,
  searchQuerySchema,
  searchResponses,
  summaryQuerySchema,
  summaryResponses,
} from './schema.ts';

const DEFAULT_LIMIT = 50;

/** Where the pages beside this one begin; null if there is none. */
export interface PageCursors {
  /** Older events. */
  readonly next: string | null;
  /** Newer ones. */
  readonly previous: string | null;
}

export const cursorsOf = (page: SearchPage, cursor: SearchCursor | undefined): PageCursors => {
  const { events, more, reached } = page;
  const beside = (direction: SearchCursor['direction'], event: FoundEvent | undefined): string | null => {
    if (reached?.direction === direction) return printCursor(reached);
    if (event !== undefined) return printCursor({ direction, time: event.sortTime, position: event.position });
    return cursor === undefined ? null : printCursor(turned(cursor));
  };
  const newer = cursor?.direction === 'newer';
  return {
    next: newer || more ? beside('older', events.at(-1)) : null,
    previous: (newer && more) || cursor?.direction === 'older' ? beside('newer', events[0]) : null,
  };
};

/** The other way from there, with the event itself, which is on no page that the cursor leads to. A bare time divides as it is. */
const turned = ({ direction, time, position }: SearchCursor): SearchCursor =>
  direction === 'newer'
    ? { direction: 'older', time, position: position === 0 ? 0 : position + 1 }
    : { direction: 'newer', time, position: Math.max(0, position - 1) };

type Authorized = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/** `GET /v1/search`: pages as JSON, and exports of all events of a search. `authorized` is the hook that checks the token. */
export const searchRoutes = (
  server: FastifyInstance,
  source: SearchSource,
  streams: StreamLimits,
  authorized: Authorized,
): void => {
  server.get<{ Querystring: SearchQuery }>(
    '/v1/search',
    {
      onRequest: authorized,
      config: { trail: 'search' },
      schema: {
        ...withToken,
        tags: ['search'],
        summary: 'Search stored events, newest first',
        querystring: searchQuerySchema,
        response: searchResponses,
      },
    },
    async (request, reply) => {
      const { format = 'json', limit = DEFAULT_LIMIT, cursor: cursorText } = request.query;
      const reading = await withIds(source, readSearch(request.query, Date.now()));
      if (reading.faults.length > 0) return badRequest(reply, reading);
      const cursor = cursorText === undefined ? undefined : readCursor(cursorText);
      if (cursorText !== undefined && cursor === undefined) {
        return reply.code(400).send({ status: 'bad request', reason: 'cursor is not a cursor of a search' });
      }
      if (format !== 'json') {
        return await sendExport(request, reply, source, streams, { search: reading.search, format });
      }
      return await sendPage(request, reply, source, streams, { reading, cursor, limit });
    },
  );
};

/** All of them in one line, each with its field. */
export const faultsInWords = (faults: SearchReading['faults']): string =>
  faults.map(({ field, reason }) => `${field} ${reason}`).join('; ');

const badRequest = (reply: FastifyReply, { faults }: SearchReading) =>
  reply.code(400).send({
    status: 'bad request',
    reason: faultsInWords(faults),
    faults,
  });

const sendPage = async (
  request: FastifyRequest,
  reply: FastifyReply,
  source: SearchSource,
  streams: StreamLimits,
  asked: { readonly reading: SearchReading; readonly cursor: SearchCursor | undefined; readonly limit: number },
) => {
  const signal = goneSignal(reply);
  const place = await streams.enter('page', signal);
  try {
    const { cursor, limit } = asked;
    const answer = await answerSearch(source, asked.reading, { cursor, limit, signal });
    await sendPieces(request, reply, 'application/json; charset=utf-8', pageBody(source, answer.page.events, signal), {
      last: pageEnd(answer, cursor),
      place,
    });
  } finally {
    place.leave();
  }
};

/** All of the answer behind its events. */
export const pageEnd = (
  { page, coverage, empty, incomplete }: SearchAnswer,
  cursor: SearchCursor | undefined,
): string => {
  const { next, previous } = cursorsOf(page, cursor);
  const rest = {
    next,
    previous,
    complete: incomplete.length === 0,
    incomplete_because: incomplete,
    searched_to: page.reached === undefined ? null : page.reached.time.replace(' ', 'T').replace('+00', 'Z'),
    archived_months_read: page.archivedMonths ?? null,
    coverage: coverageBody(coverage),
    empty: empty === undefined ? null : emptyBody(empty),
  };
  return `],${JSON.stringify(rest).slice(1)}\n`;
};

export const coverageBody = (coverage: SearchCoverage) => ({
  organizations: coverage.organizations,
  accounts: coverage.accounts,
  incomplete: coverage.incomplete,
  not_collected_seconds: coverage.notCollectedSeconds,
  read_once_seconds: coverage.readOnceSeconds,
  read_until: coverage.collectedUntil,
  collected_since: coverage.collectedSince,
  filtered: coverage.filtered,
  archived_months: coverage.archivedMonths,
  dropped_months: coverage.droppedMonths,
});

const emptyBody = ({ anyInRange, filters }: EmptyReport) => ({
  any_in_range: anyInRange,
  filters: filters.map(({ field, value, occurs, occursInRange, near }) => ({
    field,
    value,
    occurs,
    occurs_in_range: occursInRange,
    near: near.map((one) => ({ value: one.value, events: one.events, at_least: one.atLeast })),
  })),
});

/** As a stream: 500 entries may be large ones. */
async function* pageBody(
  source: SearchSource,
  events: readonly FoundEvent[],
  signal: AbortSignal,
): AsyncGenerator<ExportPiece, void, void> {
  yield { lines: Buffer.from('{"events":[') };
  let separator = '\n';
  for await (const texts of source.native(events, signal)) {
    const parts = texts.flatMap((text, index) => [index === 0 ? separator : ',\n', text]);
    yield* onePiece(bytesOf(parts), texts.length);
    separator = ',\n';
  }
}

const contentTypes = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8; header=present',
} as const;

/**
 * The whole search as a download. What fails on the way cuts the connection: a file that ends is whole. Few are sent at a time:
 * throws BusyError before the head is written.
 */
export const sendExport = async (
  request: FastifyRequest,
  reply: FastifyReply,
  source: SearchSource,
  streams: StreamLimits,
  { search, format }: { readonly search: Search; readonly format: ExportFormat },
): Promise<void> => {
  const gone = goneSignal(reply);
  const place = await streams.enter('export', gone);
  try {
    const pieces = source.export(search, format, gone)[Symbol.asyncIterator]();
    // Before the head is written, so that a search that cannot begin is answered as such.
    const first = await pieces.next();
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '');
    await sendPieces(request, reply, contentTypes[format], resumed(first, pieces, streams), {
      disposition: `attachment; filename="orgtrail-events-${stamp}Z.${format}"`,
      place,
    });
  } finally {
    place.leave();
  }
};

async function* resumed(
  first: IteratorResult<ExportPiece, void>,
  rest: AsyncIterator<ExportPiece, void>,
  streams: StreamLimits,
): AsyncGenerator<ExportPiece, void, void> {
  try {
    for (let piece = first; piece.done !== true; piece = await rest.next()) {
      yield piece.value;
      await streams.afterPages();
    }
  } finally {
    await rest.return?.();
  }
}

/** Sends pieces as the body of an answer: `isPlain`: never packed on the way. The place is left by its owner. */
export const sendPieces = (
  request: FastifyRequest,
  reply: FastifyReply,
  contentType: string,
  pieces: AsyncIterable<ExportPiece>,
  answer: {
    readonly disposition?: string;
    readonly last?: string;
    readonly isPlain?: boolean;
    readonly place: StreamPlace;
  },
): Promise<void> => {
  const { disposition, last = '', isPlain = false, place } = answer;
  const encoding = isPlain ? undefined : encodingFor(request.headers['accept-encoding']);
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) reply.raw.setHeader(name, value);
  }
  beginsGiving(request);
  // From here on the answer is a stream of our own.
  reply.hijack();
  reply.raw.writeHead(200, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    vary: 'accept-encoding',
    ...(disposition !== undefined && { 'content-disposition': disposition }),
    ...(encoding !== undefined && { 'content-encoding': encoding }),
  });
  return streamFeed(reply.raw, encoding, counted(request, pieces), last, place);
};

type ArrivalsQuery = Omit<SearchQuery, 'cursor' | 'format'> & { readonly after?: number };

const { limit: _limit, cursor: _cursor, format: _format, ...fields } = searchQuerySchema.properties;

const arrivalsQuerySchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...fields,
    after: {
      type: 'integer',
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        '`next_position` of the last answer. Without it the answer has no events, and says where the end is.',
    },
    limit: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: MAX_LIMIT, description: 'Maximum events.' },
  },
};

const responses = {
  ...searchResponses,
  200: {
    description:
      'The events, one per line in the native format of the feed, in the order in which they were stored. The last line is {"next_position":…,"head":…,"feed_id":…}: continue with after=next_position; if that is below head, there is more to look at now.',
    content: { 'application/x-ndjson': { schema: { type: 'string' } } },
  },
};

/** `GET /v1/search/arrivals`: what a search finds of the events that were stored behind a position. */
export const arrivalsRoutes = (
  server: FastifyInstance,
  source: SearchSource,
  streams: StreamLimits,
  authorized: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void => {
  server.get<{ Querystring: ArrivalsQuery }>(
    '/v1/search/arrivals',
    {
      onRequest: authorized,
      config: { trail: 'search' },
      schema: {
        ...withToken,
        tags: ['search'],
        summary: 'Events of a search that were stored after a position',
        querystring: arrivalsQuerySchema,
        response: responses,
      },
    },
    async (request, reply) => {
      const { after, limit = MAX_LIMIT } = request.query;
      const nowMs = Date.now();
      const reading = await withIds(source, readSearch(request.query, nowMs));
      if (reading.faults.length > 0) return badRequest(reply, reading);
      const signal = goneSignal(reply);
      const place = await streams.enter('page', signal);
      try {
        const found = await source.arrivals(fixTimes(reading.search, nowMs), { after, limit, signal });
        const last = { next_position: found.until, head: found.head, feed_id: found.feedId };
        await sendPieces(request, reply, 'application/x-ndjson', linesOf(source, found.events, signal), {
          last: `${JSON.stringify(last)}\n`,
          place,
        });
      } finally {
        place.leave();
      }
      return reply;
    },
  );
};

async function* linesOf(
  source: SearchSource,
  events: readonly FoundEvent[],
  signal: AbortSignal,
): AsyncGenerator<ExportPiece, void, void> {
  for await (const texts of source.native(events, signal)) {
    yield* onePiece(bytesOf(texts.flatMap((text) => [text, '\n'])), texts.length);
  }
}

/** `GET /v1/search/summary`: how many events match a search, when they happened, and by whom. */
export const summaryRoutes = (
  server: FastifyInstance,
  source: SearchSource,
  streams: StreamLimits,
  authorized: Authorized,
): void => {
  server.get<{ Querystring: SummaryQuery }>(
    '/v1/search/summary',
    {
      onRequest: authorized,
      config: { trail: 'search' },
      schema: {
        ...withToken,
        tags: ['search'],
        summary: 'Count, histogram and top values of a search',
        querystring: summaryQuerySchema,
        response: summaryResponses,
      },
    },
    async (request, reply) => {
      const { exact = false } = request.query;
      const nowMs = Date.now();
      const reading = await withIds(source, readSearch(request.query, nowMs));
      if (reading.faults.length > 0) return badRequest(reply, reading);
      const signal = goneSignal(reply);
      const place = await streams.enter('page', signal);
      try {
        // All of the answer is about the same moments.
        const search = fixTimes(reading.search, nowMs);
        const coverage = await source.coverage(search);
        const summary = await source.summary(search, exact ? 'exact' : 'page', signal);
        return { ...summaryBody(summary), coverage: coverageBody(coverage) };
      } finally {
        place.leave();
      }
    },
  );
};

const instant = (ms: number): string => new Date(ms).toISOString();

/** The body of an answer, and what `orgtrail search --count --json` prints. `only`: these facets alone. */
export const summaryBody = ({ count, facets }: SearchSummary, only: readonly FacetField[] = facetFields) => ({
  events: count.events,
  at_least: count.isAtLeast,
  counted_since: count.countedSinceMs === null ? null : instant(count.countedSinceMs),
  untimed: count.untimed,
  bucket_seconds: count.bucketMs / 1_000,
  histogram: count.buckets.map(({ startMs, ...results }) => ({ start: instant(startMs), ...results })),
  facets:
    facets === undefined
      ? null
      : {
          events: facets.looked,
          sample: facets.isSample,
          fields: Object.fromEntries(
            facets.facets
              .filter(({ field }) => only.includes(field))
              .map(({ field, values, distinct, without }) => [field, { values, distinct, without }]),
          ),
        },
});

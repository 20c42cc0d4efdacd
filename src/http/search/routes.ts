import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamLimits, StreamPlace } from '../../base/limits.ts';
import { bytesOf, onePiece } from '../../base/text.ts';
import { coverageBody, type EmptyReport, type FoundEvent, type SearchPage } from '../../search/answer.ts';
import {
  fixTimes,
  printCursor,
  readCursor,
  readSearch,
  type Search,
  type SearchCursor,
  type SearchReading,
} from '../../search/query/search.ts';
import { answerSearch, resolveNames, type SearchAnswer } from '../../search/run-search.ts';
import type { ExportFormat, ExportPiece, SearchSource } from '../../search/search-source.ts';
import { type FacetField, facetFields, type SearchSummary } from '../../search/summary/summary.ts';
import { counted, startStreaming } from '../access-trail.ts';
import { goneSignal } from '../failure.ts';
import { integer, withToken } from '../openapi.ts';
import { encodingFor, streamFeed } from '../stream.ts';
import {
  DEFAULT_LIMIT,
  MAX_LIMIT,
  type SearchQuery,
  type SummaryQuery,
  searchQuerySchema,
  searchResponses,
  summaryQuerySchema,
  summaryResponses,
} from './schema.ts';

/** Null if there is none. */
export interface PageCursors {
  readonly next: string | null;
  readonly previous: string | null;
}

export const cursorsOf = (page: SearchPage, cursor: SearchCursor | undefined): PageCursors => {
  const { events, more, reached } = page;
  const beside = (direction: SearchCursor['direction'], event: FoundEvent | undefined): string | null => {
    if (reached?.direction === direction) return printCursor(reached);
    if (event !== undefined) return printCursor({ direction, time: event.sortTime, position: event.position });
    return cursor === undefined ? null : printCursor(reversed(cursor));
  };
  const newer = cursor?.direction === 'newer';
  return {
    next: newer || more ? beside('older', events.at(-1)) : null,
    previous: (newer && more) || cursor?.direction === 'older' ? beside('newer', events[0]) : null,
  };
};

/** With the event itself, which is on no page that the cursor leads to. A bare time divides as it is. */
const reversed = ({ direction, time, position }: SearchCursor): SearchCursor =>
  direction === 'newer'
    ? { direction: 'older', time, position: position === 0 ? 0 : position + 1 }
    : { direction: 'newer', time, position: Math.max(0, position - 1) };

/** `/v1/search`: pages as JSON, and exports of all events; its summary; and what was stored behind a position. */
export const searchRoutes = (
  server: FastifyInstance,
  source: SearchSource,
  streams: StreamLimits,
  onRequest: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void => {
  const about = (summary: string, querystring: object, response: object) => ({
    onRequest,
    config: { trail: 'search' } as const,
    schema: { ...withToken, tags: ['search'], summary, querystring, response },
  });
  server.get<{ Querystring: SearchQuery }>(
    '/v1/search',
    about('Search stored events, newest first', searchQuerySchema, searchResponses),
    async (request, reply) => {
      const { format = 'json', limit = DEFAULT_LIMIT, cursor: cursorText } = request.query;
      const reading = await resolveNames(source, readSearch(request.query, Date.now()));
      if (reading.faults.length > 0) return badRequest(reply, reading);
      const cursor = cursorText === undefined ? undefined : readCursor(cursorText);
      if (cursorText !== undefined && cursor === undefined) {
        return reply.code(400).send({ status: 'bad request', reason: 'cursor is not a cursor of a search' });
      }
      if (format !== 'json') {
        return await sendExport(request, reply, source, streams, { search: reading.search, format });
      }
      return await inPlaceOfPage(streams, reply, async (signal, place) => {
        const answer = await answerSearch(source, reading, { cursor, limit, signal });
        const body = pageBody(source, answer.page.events, signal);
        const last = pageEnd(answer, cursor);
        await sendPieces(request, reply, 'application/json; charset=utf-8', body, { last, place });
      });
    },
  );
  server.get<{ Querystring: SummaryQuery }>(
    '/v1/search/summary',
    about('Count, histogram and top values of a search', summaryQuerySchema, summaryResponses),
    ({ query }, reply) => sendSummary(source, streams, query, reply),
  );
  server.get<{ Querystring: ArrivalsQuery }>(
    '/v1/search/arrivals',
    about('Events of a search that were stored after a position', arrivalsQuerySchema, arrivalsResponses),
    (request, reply) => sendArrivals(source, streams, request, reply),
  );
};

/** The place is left when `work` is done. */
const inPlaceOfPage = async <T>(
  streams: StreamLimits,
  reply: FastifyReply,
  work: (signal: AbortSignal, place: StreamPlace) => Promise<T>,
): Promise<T> => {
  const signal = goneSignal(reply);
  const place = await streams.enter('page', signal);
  try {
    return await work(signal, place);
  } finally {
    place.leave();
  }
};

export const faultsInWords = (faults: SearchReading['faults']): string =>
  faults.map(({ field, reason }) => `${field} ${reason}`).join('; ');

const badRequest = (reply: FastifyReply, { faults }: SearchReading) =>
  reply.code(400).send({ status: 'bad request', reason: faultsInWords(faults), faults });

export const pageEnd = (
  { page, coverage, empty, incomplete, batchDeletions }: SearchAnswer,
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
    batch_deletions: batchDeletions ?? null,
  };
  return `],${JSON.stringify(rest).slice(1)}\n`;
};

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

/** What fails on the way cuts the connection: a file that ends is whole. Throws BusyError before the head is written. */
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

/** `isPlain`: never compressed. The place is left by its owner. */
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
  startStreaming(request);
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
    after: integer(
      '`next_position` of the last answer. Without it the answer has no events, and says where the end is.',
      0,
    ),
    limit: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: MAX_LIMIT, description: 'Maximum events.' },
  },
};

const arrivalsResponses = {
  ...searchResponses,
  200: {
    description:
      'The events, one per line in the native format of the feed, in the order in which they were stored. The last line is {"next_position":…,"head":…,"feed_id":…}: continue with after=next_position; if that is below head, there is more to look at now.',
    content: { 'application/x-ndjson': { schema: { type: 'string' } } },
  },
};

const sendArrivals = async (
  source: SearchSource,
  streams: StreamLimits,
  request: FastifyRequest<{ Querystring: ArrivalsQuery }>,
  reply: FastifyReply,
): Promise<FastifyReply> => {
  const { after, limit = MAX_LIMIT } = request.query;
  const nowMs = Date.now();
  const reading = await resolveNames(source, readSearch(request.query, nowMs));
  if (reading.faults.length > 0) return badRequest(reply, reading);
  await inPlaceOfPage(streams, reply, async (signal, place) => {
    const found = await source.arrivals(fixTimes(reading.search, nowMs), { after, limit, signal });
    const last = `${JSON.stringify({ next_position: found.until, head: found.head, feed_id: found.feedId })}\n`;
    const lines = linesOf(source, found.events, signal);
    await sendPieces(request, reply, 'application/x-ndjson', lines, { last, place });
  });
  return reply;
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

const sendSummary = async (source: SearchSource, streams: StreamLimits, query: SummaryQuery, reply: FastifyReply) => {
  const nowMs = Date.now();
  const reading = await resolveNames(source, readSearch(query, nowMs));
  if (reading.faults.length > 0) return badRequest(reply, reading);
  return await inPlaceOfPage(streams, reply, async (signal) => {
    // All of the answer is about the same moments.
    const search = fixTimes(reading.search, nowMs);
    const coverage = await source.coverage(search);
    const summary = await source.summary(search, query.exact === true ? 'exact' : 'page', signal);
    return { ...summaryBody(summary), coverage: coverageBody(coverage) };
  });
};

/** Also what `orgtrail search --count --json` prints. `only`: these facets alone. */
export const summaryBody = ({ count, facets }: SearchSummary, only: readonly FacetField[] = facetFields) => ({
  events: count.events,
  at_least: count.isAtLeast,
  counted_since: count.countedSinceMs === null ? null : new Date(count.countedSinceMs).toISOString(),
  untimed: count.untimed,
  bucket_seconds: count.bucketMs / 1_000,
  histogram: count.buckets.map(({ startMs, ...results }) => ({ start: new Date(startMs).toISOString(), ...results })),
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

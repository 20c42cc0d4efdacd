import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { EventDetail, EventKey, FoundEvent, SearchCoverage, SearchPage } from '../domain/found-event.ts';
import { readSearch, type Search, type SearchField, type SearchReading } from '../domain/search.ts';
import { printCursor, readCursor, type SearchCursor } from '../domain/search-cursor.ts';
import { SearchError } from '../errors.ts';
import { beginsGiving, counted } from './access-trail.ts';
import { withToken } from './openapi.ts';
import { type SearchQuery, searchQuerySchema, searchResponses } from './search-schema.ts';
import { encodingFor, streamFeed } from './stream-feed.ts';

const DEFAULT_LIMIT = 50;

export type ExportFormat = 'ndjson' | 'csv';

export interface ExportPiece {
  /** How many events; 0 without. */
  readonly events?: number;
  /** Whole lines. */
  readonly lines: Buffer;
}

/** What searching is served from. All reject with SearchError, or where the database does not answer. */
export interface SearchSource {
  search(
    search: Search,
    page: { readonly cursor: SearchCursor | undefined; readonly limit: number },
  ): Promise<SearchPage>;
  coverage(search: Search): Promise<SearchCoverage>;
  /** For suggestions: the first of them by name. */
  organizations(): Promise<readonly { readonly id: string; readonly name: string | null }[]>;
  event(key: EventKey): Promise<EventDetail | undefined>;
  /** The events in the feed's native format, some at a time. */
  native(events: readonly FoundEvent[]): AsyncIterable<readonly string[]>;
  /** All events of the search. Throws where it cannot go on: an export that ends is whole. */
  export(search: Search, format: ExportFormat): AsyncIterable<ExportPiece>;
}

/** Where the pages beside this one begin; null where there is none. */
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
export const searchRoutes = (server: FastifyInstance, source: SearchSource, authorized: Authorized): void => {
  server.get<{ Querystring: SearchQuery }>(
    '/v1/search',
    {
      onRequest: authorized,
      config: { trail: 'search' },
      schema: {
        ...withToken,
        tags: ['search'],
        summary: 'The events that meet a search, newest first',
        querystring: searchQuerySchema,
        response: searchResponses,
      },
    },
    async (request, reply) => {
      const { format = 'json', limit = DEFAULT_LIMIT, cursor: cursorText } = request.query;
      const reading = readSearch(request.query, Date.now());
      if (reading.faults.length > 0) return badRequest(reply, reading);
      const cursor = cursorText === undefined ? undefined : readCursor(cursorText);
      if (cursorText !== undefined && cursor === undefined) {
        return reply.code(400).send({ status: 'bad request', reason: 'cursor is none that a search has given' });
      }
      try {
        if (format !== 'json') return await sendExport(request, reply, source, reading.search, format);
        const page = await source.search(reading.search, { cursor, limit });
        const coverage = await source.coverage(reading.search);
        return await sendPage(request, reply, source, { page, cursor, coverage });
      } catch (error) {
        if (!(error instanceof SearchError)) throw error;
        const [code, status] = error.reason === 'refused' ? ([400, 'bad request'] as const) : ([503, 'slow'] as const);
        return reply.code(code).send({ status, reason: error.message });
      }
    },
  );
};

const badRequest = (reply: FastifyReply, { faults }: SearchReading) =>
  reply.code(400).send({
    status: 'bad request',
    reason: faults.map(({ field, reason }: { field: SearchField; reason: string }) => `${field} ${reason}`).join('; '),
    faults,
  });

const sendPage = async (
  request: FastifyRequest,
  reply: FastifyReply,
  source: SearchSource,
  answer: { readonly page: SearchPage; readonly cursor: SearchCursor | undefined; readonly coverage: SearchCoverage },
) => {
  const { page, cursor, coverage } = answer;
  const { next, previous } = cursorsOf(page, cursor);
  const rest = {
    ...{ next, previous, complete: page.reached === undefined },
    searched_to: page.reached === undefined ? null : page.reached.time.replace(' ', 'T').replace('+00', 'Z'),
    coverage: {
      organizations: coverage.organizations,
      incomplete: coverage.incomplete,
      read_until: coverage.readUntil,
      collected_since: coverage.collectedSince,
    },
  };
  await send(request, reply, 'application/json; charset=utf-8', pageBody(source, page.events), {
    last: `],${JSON.stringify(rest).slice(1)}\n`,
  });
};

/** As a stream: 500 entries may be large ones. */
async function* pageBody(source: SearchSource, events: readonly FoundEvent[]): AsyncGenerator<ExportPiece, void, void> {
  yield { lines: Buffer.from('{"events":[') };
  let separator = '\n';
  for await (const texts of source.native(events)) {
    yield { lines: Buffer.from(`${separator}${texts.join(',\n')}`), events: texts.length };
    separator = ',\n';
  }
}

const contentTypes = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8; header=present',
} as const;

/** The whole search as a download. What fails on the way cuts the connection: a file that ends is whole. */
export const sendExport = async (
  request: FastifyRequest,
  reply: FastifyReply,
  source: SearchSource,
  search: Search,
  format: ExportFormat,
): Promise<void> => {
  const pieces = source.export(search, format)[Symbol.asyncIterator]();
  // Before the head is written, so that a search that cannot begin is answered as such.
  const first = await pieces.next();
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '');
  await send(request, reply, contentTypes[format], resumed(first, pieces), {
    disposition: `attachment; filename="orgtrail-events-${stamp}Z.${format}"`,
  });
};

async function* resumed(
  first: IteratorResult<ExportPiece, void>,
  rest: AsyncIterator<ExportPiece, void>,
): AsyncGenerator<ExportPiece, void, void> {
  try {
    for (let piece = first; piece.done !== true; piece = await rest.next()) yield piece.value;
  } finally {
    await rest.return?.();
  }
}

const send = (
  request: FastifyRequest,
  reply: FastifyReply,
  contentType: string,
  pieces: AsyncIterable<ExportPiece>,
  { disposition, last = '' }: { readonly disposition?: string; readonly last?: string },
): Promise<void> => {
  const encoding = encodingFor(request.headers['accept-encoding']);
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
  return streamFeed(reply.raw, encoding, counted(request, pieces), last);
};

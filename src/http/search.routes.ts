import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { OrgtrailError } from '../base/errors.ts';
import type { StreamLimits, StreamPlace } from '../base/limits.ts';
import { bytesOf, onePiece } from '../base/text.ts';
import type { FoundEvent } from '../search/answer.ts';
import {
  arrivalsQuery,
  DEFAULT_LIMIT,
  historyPage,
  historyQuery,
  MAX_LIMIT,
  pageEnd,
  pageRest,
  searchPage,
  searchQuery,
  searchSummary,
  summaryQuery,
} from '../search/contract.ts';
import {
  faultsInWords,
  fixTimes,
  readCursor,
  readSearch,
  type Search,
  type SearchReading,
} from '../search/query/search.ts';
import { answerHistory, answerSearch, answerSummary, resolveNames } from '../search/run-search.ts';
import type { ExportFormat, ExportPiece, SearchSource } from '../search/search-source.ts';
import { counted, startStreaming } from './access-trail.ts';
import { goneSignal } from './failure.ts';
import { asked, jsonSchema, problem, refusals, withToken } from './openapi.ts';
import { encodingFor, streamFeed } from './stream.ts';

/** `/v1/search`: pages as JSON, and exports of all events; its summary; and what was stored behind a position. */
export const searchRoutes = (
  server: FastifyInstance,
  source: SearchSource,
  streams: StreamLimits,
  onRequest: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void => {
  const about = (summary: string, querystring: z.ZodObject, response: object) => {
    const { schema, validatorCompiler } = asked({ querystring });
    return {
      onRequest,
      config: { trail: 'search' } as const,
      schema: { ...withToken, tags: ['search'], summary, ...schema, response },
      validatorCompiler,
      serializerCompiler: () => JSON.stringify,
    };
  };
  server.get<{ Querystring: z.output<typeof searchQuery> }>(
    '/v1/search',
    about('Search stored events, newest first', searchQuery, responses),
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
        const last = pageEnd(pageRest(answer, cursor));
        await sendPieces(request, reply, 'application/json; charset=utf-8', body, { last, place });
      });
    },
  );
  server.get<{ Querystring: z.output<typeof summaryQuery> }>(
    '/v1/search/summary',
    about('Count, histogram and top values of a search', summaryQuery, summaryResponses),
    async ({ query: { exact, ...query } }, reply) => {
      const reading = await resolveNames(source, readSearch(query, Date.now()));
      if (reading.faults.length > 0) return badRequest(reply, reading);
      const depth = exact === true ? 'exact' : 'page';
      return await inPlaceOfPage(streams, reply, (signal) => answerSummary(source, reading.search, depth, signal));
    },
  );
  server.get<{ Querystring: z.output<typeof historyQuery> }>(
    '/v1/search/history',
    about('What became of the resource of one event', historyQuery, historyResponses),
    async (request, reply) => {
      const { position, limit = DEFAULT_LIMIT } = request.query;
      return await inPlaceOfPage(streams, reply, async (signal, place) => {
        const pieces = await answerHistory(source, position, { limit, signal });
        await sendPieces(request, reply, 'application/json; charset=utf-8', pieces, { place });
      }).catch((error: unknown) => {
        if (!(error instanceof OrgtrailError && error.code === 'usage')) throw error;
        const { message: reason, hint } = error;
        return reply.code(400).send({ status: 'bad request', reason, hint });
      });
    },
  );
  server.get<{ Querystring: ArrivalsQuery }>(
    '/v1/search/arrivals',
    about('Events of a search that were stored after a position', arrivalsQuery, arrivalsResponses),
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

const badRequest = (reply: FastifyReply, { faults }: SearchReading) =>
  reply.code(400).send({ status: 'bad request', reason: faultsInWords(faults), faults });

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

type ArrivalsQuery = z.output<typeof arrivalsQuery>;

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

const responses = {
  200: {
    description:
      'A page, or all events as a download. A body that does not end properly was cut off and is incomplete.',
    content: {
      'application/json': { schema: jsonSchema(searchPage) },
      'application/x-ndjson': { schema: { type: 'string' } },
      'text/csv': { schema: { type: 'string' } },
    },
  },
  400: problem('The search is not valid; `faults` names the fields.'),
  ...refusals,
  500: problem('Internal error; the log has the details under the request id in `reason`.'),
  503: problem('The database does not answer, the search takes too long, or too much is running (Retry-After).'),
};

const summaryResponses = {
  ...responses,
  200: { description: 'The summary.', content: { 'application/json': { schema: jsonSchema(searchSummary) } } },
};

const historyResponses = {
  ...responses,
  200: { description: 'The history.', content: { 'application/json': { schema: jsonSchema(historyPage) } } },
};

const arrivalsResponses = {
  ...responses,
  200: {
    description:
      'The events, one per line in the native format of the feed, in the order in which they were stored. The last line is {"next_position":…,"head":…,"feed_id":…}: continue with after=next_position; if that is below head, there is more to look at now.',
    content: { 'application/x-ndjson': { schema: { type: 'string' } } },
  },
};

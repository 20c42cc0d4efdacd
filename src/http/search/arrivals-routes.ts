import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamLimits } from '../../limits/stream-limits.ts';
import type { FoundEvent } from '../../search/found-event.ts';
import type { ExportPiece, SearchSource } from '../../search/ports.ts';
import { fixTimes, readSearch } from '../../search/search.ts';
import { bytesOf, onePiece } from '../../text/bytes-of.ts';
import { goneSignal } from '../gone-signal.ts';
import { withToken } from '../openapi.ts';
import { withIds } from './answer.ts';
import { badRequest, sendPieces } from './routes.ts';
import { MAX_LIMIT, type SearchQuery, searchQuerySchema, searchResponses } from './schema.ts';

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

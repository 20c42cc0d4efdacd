import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamLimits } from '../../limits/stream-limits.ts';
import type { SearchSource } from '../../search/ports.ts';
import { fixTimes, readSearch } from '../../search/search.ts';
import { type FacetField, facetFields, type SearchSummary } from '../../search/summary/summary.ts';
import { goneSignal } from '../gone-signal.ts';
import { withToken } from '../openapi.ts';
import { withIds } from './answer.ts';
import { badRequest, coverageBody } from './routes.ts';
import { type SummaryQuery, summaryQuerySchema, summaryResponses } from './summary-schema.ts';

type Authorized = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

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

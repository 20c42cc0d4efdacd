import { randomUUID } from 'node:crypto';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import Fastify from 'fastify';
import type { Logger } from 'pino';
import type { StreamLimits } from '../base/limits.ts';
import type { ShownEvidence } from '../evidence/shown-evidence.sql.ts';
import type { FeedSource } from '../feed/feed.ts';
import type { SavedSearches } from '../search/saved-searches.sql.ts';
import type { SearchSource } from '../search/search-source.ts';
import type { OverviewSource } from '../status/overview.sql.ts';
import { watchAnswers } from './access-trail.ts';
import { consoleRoutes } from './console/console.ts';
import type { Operations } from './console/operations.ts';
import { cutStalled, failureOf } from './failure.ts';
import { feedRoutes, recentlySigned } from './feed.routes.ts';
import { createGuard, type FeedToken, oneHost } from './guard.ts';
import { type HealthOptions, healthRoutes, readHealth } from './health.routes.ts';
import { describeApi } from './openapi.ts';
import { operationRoutes, type ServedOperation } from './operation.routes.ts';
import { searchRoutes } from './search.routes.ts';

/** From the first byte of a request to the last of its body. Node checks open requests at the second interval. */
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_CHECK_MS = 5_000;

export interface HttpOptions extends HealthOptions {
  readonly host: string;
  readonly port: number;
  /** Has every scope. Outside loopback this one or one of `access` is needed for everything but health and metrics. */
  readonly feedToken: FeedToken;
  readonly observer: Omit<Parameters<typeof watchAnswers>[1], 'note'>;
  /** Addresses and subnets whose X-Forwarded headers are believed. */
  readonly trustedProxies?: readonly string[];
  /** Until a request has arrived with its body. Milliseconds, default 30,000. */
  readonly requestTimeoutMs?: number;
  readonly version: string;
  /** For failures that the client is not told. */
  readonly logger: Logger;
  readonly feed: FeedSource;
  readonly search: SearchSource;
  readonly savedSearches: SavedSearches;
  readonly shownEvidence?: ShownEvidence | undefined;
  readonly streams: StreamLimits;
  readonly overview: OverviewSource;
  readonly operations: Operations;
  readonly served: readonly ServedOperation[];
}

export type HttpServer = Awaited<ReturnType<typeof startHttpServer>>;

/** Rejects if the port is taken. */
export const startHttpServer = async (options: HttpOptions) => {
  const server = Fastify({
    logger: false,
    genReqId: () => randomUUID(),
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    requestTimeout: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    http: {
      connectionsCheckingInterval: Math.min(CONNECTIONS_CHECK_MS, options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS),
    },
    ...(options.trustedProxies?.length && { trustProxy: [...options.trustedProxies] }),
  });
  // Routes of the API, `METHOD /path`, and those of the console, which its description leaves out.
  const [routes, hiddenRoutes]: [string[], string[]] = [[], []];
  server.addHook('onRoute', ({ method, url, schema }) => {
    if (method !== 'HEAD') (schema?.hide === true ? hiddenRoutes : routes).push(`${method} ${url}`);
  });
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { code, status, reason, retryAfterSeconds } = failureOf(error, request, options.logger);
    if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
    return reply.code(code).send({ status, reason });
  });
  const guard = createGuard(options);
  watchAnswers(server, { ...options.observer, note: options.access.note });
  cutStalled(server, options.streams);
  server.addHook('onRequest', oneHost);
  server.addHook('onRequest', refuseNul);
  await describeApi(server, options.version, guard.requireLocalOrToken);
  healthRoutes(server, options, guard, () => readHealth(options));
  feedRoutes(server, options.feed, options.streams, guard.requireScope('feed'), recentlySigned(options.shownEvidence));
  searchRoutes(server, options.search, options.streams, guard.requireScope('search'));
  const { operations, status, causes, access } = options;
  const source = () => ({
    ...operations,
    status,
    causes,
    hasArchive: operations.config.archive !== undefined,
    accessTrouble: access.trouble(),
  });
  operationRoutes(server, options.served, { ...options, source, guard });
  await consoleRoutes(server, { ...options, guard });
  const url = await server.listen({ host: options.host, port: options.port });
  return { url, routes, hiddenRoutes, close: (): Promise<void> => server.close() };
};

/** PostgreSQL cannot have NUL in a text, and no client sends it by accident. */
const refuseNul = async ({ raw }: FastifyRequest, reply: FastifyReply): Promise<void> => {
  if (!/%00/.test(raw.url ?? '')) return;
  await reply.code(400).send({ status: 'bad request', reason: 'the URL must not contain NUL (%00)' });
};

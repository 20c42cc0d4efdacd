import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { scopes } from '../access/access.ts';
import type { AccessSource } from '../access/ports.ts';
import { reasonOf } from '../errors.ts';
import type { FeedSource } from '../feed/feed.ts';
import type { StreamLimits } from '../limits/stream-limits.ts';
import { databaseTrouble } from '../postgres/database-trouble.ts';
import type { SearchSource } from '../search/ports.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { discoveryTooOldSeconds, type LaneTrouble } from '../status/health.ts';
import type { OverviewSource } from '../status/overview.ts';
import { sinkState, statesOf, withStates, worst } from '../status/source-state.ts';
import type { Status } from '../status/status.sql.ts';
import { watchAnswers } from './access-trail.ts';
import { consoleRoutes } from './console/console.ts';
import { failureOf } from './failure.ts';
import { feedRoutes } from './feed/routes.ts';
import { createGuard, type FeedToken, type Guard } from './guard.ts';
import { oneHost } from './local-requests.ts';
import { describeApi, jsonAnswer, withToken } from './openapi.ts';
import { schemaFault } from './schema-fault.ts';
import { searchRoutes } from './search/routes.ts';

/** From the first byte of a request to the last one of its body. Node looks at open requests as often as the second one says. */
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTIONS_CHECK_MS = 5_000;

/** A probe is answered by then, whatever the database does. */
const READINESS_TIMEOUT_MS = 3_000;

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  /** A token with every scope. Outside loopback this one or one of `access` is needed for everything but health and metrics. */
  readonly feedToken: FeedToken;
  /** `token`: health and metrics need one with the scope metrics, too. Default `open`. */
  readonly healthAccess?: 'open' | 'token';
  /** Tokens and sessions of the database, and the trail of access. */
  readonly access: AccessSource;
  /** Called for every answer and every failed attempt to sign in. */
  readonly observer: HttpObserver;
  /** Addresses and subnets of proxies whose X-Forwarded headers are believed. */
  readonly trustedProxies?: readonly string[];
  /** How long a request may take to arrive, with its body. Milliseconds, default 30,000. */
  readonly requestTimeoutMs?: number;
  readonly tickMs: number;
  /** Requests per 5 minutes: with the number of sources it says how often each is asked. */
  readonly apiBudget: number;
  readonly version: string;
  /** How things stand; rejects if the database does not answer. */
  readonly status: () => Promise<Status>;
  /** How the sinks stand; rejects as `status` does. */
  readonly sinks: () => Promise<readonly SinkStatus[]>;
  /** `current`, or what is wrong with the schema. */
  readonly schemaState: () => Promise<string>;
  /** What keeps syncing as a whole from going on, although the database may answer. */
  readonly trouble?: () => string | undefined;
  readonly metrics: () => Promise<string>;
  /** Called for requests that failed for reasons that the client is not told. */
  readonly logger: Logger;
  readonly feed: FeedSource;
  readonly search: SearchSource;
  /** How many answers of the feed and of searches are sent at once. */
  readonly streams: StreamLimits;
  /** What the console shows beside the status. */
  readonly overview: OverviewSource;
}

/** Declared here: edges do not import each other. */
interface HttpObserver {
  answered(route: string, status: string): void;
  signInFailed(): void;
}

export interface HttpServer {
  /** Where it listens. */
  readonly url: string;
  /** All of the API, `METHOD /path`. */
  readonly routes: readonly string[];
  /** Those that the API's description leaves out: the console's. */
  readonly hiddenRoutes: readonly string[];
  close(): Promise<void>;
}

/** Serves health, metrics, status and the feed. Called by the command `run`. Rejects if the port is taken. */
export const startHttpServer = async (options: HttpOptions): Promise<HttpServer> => {
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
    // A misspelt parameter is said, not dropped: `organisation=` would mean all of them.
    ajv: { customOptions: { removeAdditional: false, verbose: true } },
    schemaErrorFormatter: schemaFault,
  });
  const routes: string[] = [];
  const hiddenRoutes: string[] = [];
  server.addHook('onRoute', ({ method, url, schema }) => {
    (schema?.hide === true ? hiddenRoutes : routes).push(`${method} ${url}`);
  });
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { code, status, reason, retryAfterSeconds } = failureOf(error, request, options.logger);
    if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
    return reply.code(code).send({ status, reason });
  });
  const guard = createGuard(options);
  watchAnswers(server, { ...options.observer, note: options.access.note });
  server.addHook('onRequest', oneHost);
  refuseNul(server);
  await describeApi(server, options.version, guard.requireLocalOrToken);
  healthRoutes(server, options, guard);
  server.get(
    '/v1/status',
    {
      onRequest: guard.requireScope(...scopes),
      schema: { ...withToken, ...about('Collection status of all organizations', 'The whole status.') },
    },
    async () => ({
      version: options.version,
      ...withStates(await options.status(), options),
      sinks: await options.sinks(),
    }),
  );
  feedRoutes(server, options.feed, options.streams, guard.requireScope('feed'));
  searchRoutes(server, options.search, options.streams, guard.requireScope('search'));
  await consoleRoutes(server, { ...options, guard });
  const url = await server.listen({ host: options.host, port: options.port });
  return { url, routes, hiddenRoutes, close: () => server.close() };
};

/** PostgreSQL cannot have NUL in a text, and no client sends it by accident. Answers 400. */
const refuseNul = (server: FastifyInstance): void => {
  server.addHook('onRequest', async ({ raw }, reply) => {
    if (!/%00/.test(raw.url ?? '')) return;
    await reply.code(400).send({ status: 'bad request', reason: 'the URL must not contain NUL (%00)' });
  });
};

const about = (summary: string, answer: string) => ({ summary, tags: ['health'], response: jsonAnswer(answer) });

const healthRoutes = (server: FastifyInstance, options: HttpOptions, guard: Guard): void => {
  // Probes of Kubernetes cannot keep a secret: readiness names no organization.
  const local = guard.requireLocalOrToken;
  const onRequest = options.healthAccess === 'token' ? guard.requireScope('metrics') : local;
  const liveness = about('The process is alive', 'It is.');
  server.get('/livez', { schema: liveness }, () => ({ status: 'ok' }));
  const unreadyReasons = readiness(options);
  server.get(
    '/readyz',
    { onRequest: local, schema: about('It can serve', 'The database answers, and the schema is current.') },
    async (_request, reply) => {
      const reasons = await unreadyReasons();
      return reply
        .code(reasons.length === 0 ? 200 : 503)
        .send({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons });
    },
  );
  server.get(
    '/healthz',
    { onRequest, schema: about('Health of each organization', 'State, lag and gap of each.') },
    async () => healthOf(withStates(await options.status(), options), await options.sinks(), options.tickMs),
  );
  server.get('/metrics', { onRequest, schema: metricsAnswer }, async (_request, reply) =>
    reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await options.metrics()),
  );
};

const metricsAnswer = {
  summary: 'Metrics for Prometheus',
  tags: ['health'],
  response: {
    200: { description: 'The text format, version 0.0.4.', content: { 'text/plain': { schema: { type: 'string' } } } },
  },
};

const healthOf = (status: ReturnType<typeof withStates>, shownSinks: readonly SinkStatus[], tickMs: number) => {
  const sources = status.sources.map((source) => ({
    organization_id: source.organizationId,
    organization_name: source.organizationName,
    state: source.state,
    lag_seconds: source.lagSeconds,
    gap_seconds: source.gapSeconds,
    retention_slack_seconds: source.retentionSlackSeconds,
    holes: source.holes,
    unproven_seconds: source.unprovenSeconds,
    failures: source.failures,
    held_by: source.leaseOwner,
    ...(source.lastError === null ? {} : { last_failure: source.lastFailure, last_error: source.lastError }),
    ...(source.failingLanes.length === 0 ? {} : { failing_lanes: source.failingLanes.map(laneHealth) }),
    ...(source.holes === 0 ? {} : { first_holes: source.firstHoles }),
  }));
  const { ageSeconds, lastError, leaseOwner, organizations } = status.discovery;
  const listing = ageSeconds === null || ageSeconds > discoveryTooOldSeconds(tickMs) ? 'behind' : 'ok';
  const discovery = {
    state: listing,
    organizations,
    age_seconds: ageSeconds,
    last_error: lastError,
    held_by: leaseOwner,
  };
  const sinks = shownSinks.map(sinkHealth);
  const vanished = status.vanished.map(({ organizationId, organizationName, goneAt }) => ({
    organization_id: organizationId,
    organization_name: organizationName,
    gone_at: goneAt,
  }));
  const state = worst([...statesOf(status, shownSinks), listing]);
  const feed = { feed_position: status.position, position_jumps: status.positionJumps };
  return { status: state, ...feed, discovery, sources, vanished, sinks };
};

/**
 * Ready is what can serve and store: the database answers, takes writes and has the current schema. Whether Cloudflare answers is
 * not asked: without it, stored events can still be read. One look at the database at a time: probes of one that does not
 * answer must not use up the connections.
 */
const readiness = (options: HttpOptions): (() => Promise<readonly string[]>) => {
  let underWay: Promise<readonly string[]> | undefined;
  return async () => {
    underWay ??= reasonsByDatabase(options).finally(() => {
      underWay = undefined;
    });
    const timeout = new AbortController();
    const silence = sleep(READINESS_TIMEOUT_MS, ['the database does not answer'], { signal: timeout.signal });
    silence.catch(() => {});
    const reasons = await Promise.race([underWay, silence]);
    timeout.abort();
    const trouble = options.trouble?.();
    return trouble === undefined ? reasons : [...reasons, `syncing fails: ${trouble}`];
  };
};

const reasonsByDatabase = async (options: HttpOptions): Promise<string[]> => {
  try {
    const schema = await options.schemaState();
    return schema === 'current' ? [] : [`the schema is ${schema}`];
  } catch (error) {
    const is = databaseTrouble(error) === 'unreachable' ? 'the database does not answer' : 'the status cannot be read';
    return [`${is}: ${reasonOf(error)}`];
  }
};

const laneHealth = ({ lane, failures, lastFailure, lastError }: LaneTrouble) => ({
  lane,
  failures,
  last_failure: lastFailure,
  last_error: lastError,
});

const sinkHealth = (sink: SinkStatus) => ({
  name: sink.name,
  type: sink.type,
  target: sink.target,
  state: sinkState(sink),
  position: sink.position,
  lag_events: sink.lagEvents,
  lag_seconds: sink.lagSeconds,
  dead_letters: sink.deadLetters,
  failures: sink.failures,
  held_by: sink.heldBy,
  ...(sink.lastError === null ? {} : { last_error: sink.lastError }),
});

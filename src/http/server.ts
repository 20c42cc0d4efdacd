import { setTimeout as sleep } from 'node:timers/promises';
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify';
import { discoveryTooOldSeconds, type LaneTrouble } from '../domain/health.ts';
import { OrgtrailError, reasonOf } from '../errors.ts';
import { consoleRoutes } from './console/console.ts';
import type { OverviewSource } from './console/overview-source.ts';
import { type FeedSource, feedRoutes } from './feed.ts';
import { describeApi, jsonAnswer, withToken } from './openapi.ts';
import { type FeedToken, requireToken } from './require-token.ts';
import { type SearchSource, searchRoutes } from './search.ts';
import { type ShownSink, type ShownStatus, sinkState, statesOf, withStates, worst } from './shown-status.ts';

/** A probe is answered by then, whatever the database does. */
const READINESS_PATIENCE_MS = 3_000;

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  /** Needed, outside loopback, for everything but health and metrics. */
  readonly feedToken: FeedToken;
  /** Addresses and subnets of proxies whose X-Forwarded headers are believed. */
  readonly trustedProxies?: readonly string[];
  readonly tickMs: number;
  /** Requests per 5 minutes: with the number of sources it says how often each is asked. */
  readonly apiBudget: number;
  readonly version: string;
  /** How things stand; rejects where the database does not answer. */
  readonly status: () => Promise<ShownStatus>;
  /** How the sinks stand; rejects as `status` does. */
  readonly sinks: () => Promise<readonly ShownSink[]>;
  /** `current`, or what is wrong with the schema. */
  readonly schemaState: () => Promise<string>;
  /** What keeps syncing as a whole from going on, although the database may answer. */
  readonly trouble?: () => string | undefined;
  readonly metrics: () => Promise<string>;
  readonly feed: FeedSource;
  readonly search: SearchSource;
  /** What the console shows beside the status. */
  readonly overview: OverviewSource;
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

/** Serves health, metrics, status and the feed. Called by the verb `run`. Rejects where the port is taken. */
export const startHttpServer = async (options: HttpOptions): Promise<HttpServer> => {
  const server = Fastify({
    logger: false,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    ...(options.trustedProxies?.length && { trustProxy: [...options.trustedProxies] }),
    // A misspelt parameter is said, not dropped: `organisation=` would mean all of them.
    ajv: { customOptions: { removeAdditional: false } },
  });
  const routes: string[] = [];
  const hiddenRoutes: string[] = [];
  server.addHook('onRoute', ({ method, url, schema }) => {
    (schema?.hide === true ? hiddenRoutes : routes).push(`${method} ${url}`);
  });
  server.setErrorHandler((error: FastifyError, _request, reply) => {
    const mistake = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500;
    if (mistake) return reply.code(error.statusCode ?? 400).send({ status: 'bad request', reason: error.message });
    const known = error instanceof OrgtrailError && error.code === 'database_unreachable';
    const reason = known ? error.message : 'the database does not answer';
    return reply.code(503).send({ status: 'unavailable', reason });
  });
  await describeApi(server, options.version);
  healthRoutes(server, options);
  const authorized = requireToken(options);
  server.get(
    '/v1/status',
    { onRequest: authorized, schema: { ...withToken, ...about('How far everything is', 'All that is known.') } },
    async () => ({
      version: options.version,
      ...withStates(await options.status(), options),
      sinks: await options.sinks(),
    }),
  );
  feedRoutes(server, options.feed, authorized);
  searchRoutes(server, options.search, authorized);
  await consoleRoutes(server, options);
  const url = await server.listen({ host: options.host, port: options.port });
  return { url, routes, hiddenRoutes, close: () => server.close() };
};

const about = (summary: string, answer: string) => ({ summary, tags: ['health'], response: jsonAnswer(answer) });

const healthRoutes = (server: FastifyInstance, options: HttpOptions): void => {
  const liveness = about('The process turns', 'It does.');
  server.get('/livez', { schema: liveness }, () => ({ status: 'ok' }));
  const unreadyReasons = readiness(options);
  server.get('/readyz', { schema: about('Syncing goes on', 'Ready.') }, async (_request, reply) => {
    const reasons = await unreadyReasons();
    return reply
      .code(reasons.length === 0 ? 200 : 503)
      .send({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons });
  });
  server.get('/healthz', { schema: about('How each organization is', 'State, lag and gap of each.') }, async () =>
    healthOf(withStates(await options.status(), options), await options.sinks()),
  );
  server.get('/metrics', { schema: metricsAnswer }, async (_request, reply) =>
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

const healthOf = (status: ReturnType<typeof withStates>, shownSinks: readonly ShownSink[]) => {
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
  const discovery = { organizations, age_seconds: ageSeconds, last_error: lastError, held_by: leaseOwner };
  const sinks = shownSinks.map(sinkHealth);
  const vanished = status.vanished.map(({ organizationId, organizationName, goneAt }) => ({
    organization_id: organizationId,
    organization_name: organizationName,
    gone_at: goneAt,
  }));
  const state = worst(statesOf(status, shownSinks));
  const feed = { feed_position: status.position, position_jumps: status.positionJumps };
  return { status: state, ...feed, discovery, sources, vanished, sinks };
};

/**
 * Readiness is about freshness: a process that is up but has not seen its organizations for long is not ready. One look
 * at the database at a time: probes of one that does not answer must not use up the connections.
 */
const readiness = (options: HttpOptions): (() => Promise<readonly string[]>) => {
  let underWay: Promise<readonly string[]> | undefined;
  return async () => {
    underWay ??= reasonsByDatabase(options).finally(() => {
      underWay = undefined;
    });
    const patience = new AbortController();
    const silence = sleep(READINESS_PATIENCE_MS, ['the database does not answer'], { signal: patience.signal });
    silence.catch(() => {});
    const reasons = await Promise.race([underWay, silence]);
    patience.abort();
    const trouble = options.trouble?.();
    return trouble === undefined ? reasons : [...reasons, `syncing fails: ${trouble}`];
  };
};

const reasonsByDatabase = async (options: HttpOptions): Promise<string[]> => {
  try {
    const [schema, status] = await Promise.all([options.schemaState(), options.status()]);
    const reasons: string[] = [];
    if (schema !== 'current') reasons.push(`the schema is ${schema}`);
    const { ageSeconds, lastError } = status.discovery;
    const because = lastError === null ? '' : `: ${lastError}`;
    if (ageSeconds === null) reasons.push(`the organizations have not been listed yet${because}`);
    else if (ageSeconds > discoveryTooOldSeconds(options.tickMs)) {
      reasons.push(`the organizations were last listed ${Math.round(ageSeconds)} s ago${because}`);
    }
    return reasons;
  } catch (error) {
    return [`the database does not answer: ${reasonOf(error)}`];
  }
};

const laneHealth = ({ lane, failures, lastFailure, lastError }: LaneTrouble) => ({
  ...{ lane, failures, last_failure: lastFailure, last_error: lastError },
});

const sinkHealth = (sink: ShownSink) => ({
  ...{ name: sink.name, type: sink.type, target: sink.target, state: sinkState(sink) },
  ...{ position: sink.position, lag_events: sink.lagEvents, lag_seconds: sink.lagSeconds },
  ...{ dead_letters: sink.deadLetters, failures: sink.failures, held_by: sink.heldBy },
  ...(sink.lastError === null ? {} : { last_error: sink.lastError }),
});

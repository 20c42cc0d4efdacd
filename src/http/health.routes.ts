import { randomUUID } from 'node:crypto';
import type { FastifyError, FastifyInstance } from 'fastify';
import Fastify from 'fastify';
import type { Logger } from 'pino';
import { type EvidenceStatus, isStopped } from '../evidence/stored/evidence-status.sql.ts';
import type { AccessSource } from '../postgres/access/open-access.sql.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import type { Cause } from '../status/causes.ts';
import type { StatusWithStates } from '../status/source-state.ts';
import type { StatusReader } from '../status/status-reader.sql.ts';
import { failureOf } from './failure.ts';
import { createGuard, type FeedToken, type Guard } from './guard.ts';
import { evidenceHealth, healthOf, type ReadinessOptions, readiness, sendReadiness } from './health.ts';
import { jsonAnswer } from './openapi.ts';

export interface HealthOptions extends ReadinessOptions {
  /** `token`: health and metrics need one with the scope metrics, too. Default `open`. */
  readonly healthAccess?: 'open' | 'token';
  readonly tickMs: number;
  /** Requests per 5 minutes: with the number of sources, how often each is asked. */
  readonly apiBudget: number;
  /** Rejects if the database does not answer. */
  readonly status: StatusReader;
  /** Rejects as `status` does. */
  readonly sinks: () => Promise<readonly SinkStatus[]>;
  /** Undefined if there is none. Rejects as `status` does. */
  readonly evidence?: () => Promise<EvidenceStatus | undefined>;
  /** What is wrong. Rejects as `status` does. */
  readonly causes: (status: StatusWithStates, sinks: readonly SinkStatus[]) => Promise<readonly Cause[]>;
  readonly metrics: () => Promise<string>;
  readonly access: AccessSource;
}

const aboutHealth = (summary: string, answer: string) => ({
  summary,
  tags: ['health'],
  response: jsonAnswer(answer),
});

/** `/livez`, `/readyz`, `/healthz` and `/metrics`. */
export const healthRoutes = (
  server: FastifyInstance,
  options: ReadinessOptions & Pick<HealthOptions, 'healthAccess' | 'metrics'>,
  guard: Guard,
  health: () => Promise<unknown>,
): void => {
  // Probes of Kubernetes cannot keep a secret: readiness names no organization.
  const local = guard.requireLocalOrToken;
  const onRequest = options.healthAccess === 'token' ? guard.requireScope('metrics') : local;
  // What checks that a server is up may ask without wanting the answer.
  const exposeHeadRoute = true;
  const liveness = aboutHealth('The process is alive', 'It is.');
  server.get('/livez', { exposeHeadRoute, schema: liveness }, () => ({ status: 'ok' }));
  const unreadyReasons = readiness(options);
  server.get(
    '/readyz',
    {
      exposeHeadRoute,
      onRequest: local,
      schema: aboutHealth('It can serve', 'The database answers, and the schema is current.'),
    },
    async (_request, reply) => sendReadiness(reply, await unreadyReasons()),
  );
  server.get(
    '/healthz',
    {
      exposeHeadRoute,
      onRequest,
      schema: aboutHealth(
        'Health of each organization',
        'State, lag and gap of each; of more than 1,000 sources totals, and the worst.',
      ),
    },
    health,
  );
  server.get('/metrics', { onRequest, schema: metricsAnswer }, async (_request, reply) =>
    reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await options.metrics()),
  );
};

export const readHealth = async (options: HealthOptions) => {
  const status = await options.status.read(options);
  const sinks = await options.sinks();
  return healthOf(status, sinks, await options.causes(status, sinks), {
    tickMs: options.tickMs,
    evidence: await options.evidence?.(),
    accessTrouble: options.access.trouble(),
  });
};

const metricsAnswer = {
  summary: 'Metrics for Prometheus',
  tags: ['health'],
  response: {
    200: { description: 'The text format, version 0.0.4.', content: { 'text/plain': { schema: { type: 'string' } } } },
  },
};

const REQUEST_TIMEOUT_MS = 30_000;

interface BuilderServerOptions extends Pick<HealthOptions, 'metrics' | 'schemaState'> {
  readonly host: string;
  readonly port: number;
  readonly healthAccess: 'open' | 'token';
  readonly feedToken: FeedToken;
  readonly logger: Logger;
  readonly evidence: () => Promise<EvidenceStatus | undefined>;
}

/** The account of a builder may not read the tokens of the database. */
const noTokens: AccessSource = {
  tokenOf: async () => undefined,
  hasTokens: async () => false,
  sessions: { start: async () => {}, find: async () => undefined, end: async () => {} },
  note: () => {},
  trouble: () => undefined,
};

/** `/livez`, `/readyz`, `/healthz` and `/metrics` of a process that builds evidence alone. Rejects if the port is taken. */
export const serveBuilder = async (
  options: BuilderServerOptions,
): Promise<{ readonly url: string; close(): Promise<void> }> => {
  const server = Fastify({
    logger: false,
    genReqId: () => randomUUID(),
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
  });
  server.setErrorHandler((error: FastifyError, request, reply) => {
    const { code, status, reason } = failureOf(error, request, options.logger);
    return reply.code(code).send({ status, reason });
  });
  const guard = createGuard({ ...options, access: noTokens });
  healthRoutes(server, options, guard, async () => {
    const evidence = await options.evidence();
    const status = evidence === undefined || isStopped(evidence) ? 'failing' : 'ok';
    return { status, evidence: evidence === undefined ? null : evidenceHealth(evidence) };
  });
  const url = await server.listen({ host: options.host, port: options.port });
  return { url, close: () => server.close() };
};

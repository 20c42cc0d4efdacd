import { randomUUID } from 'node:crypto';
import type { FastifyError } from 'fastify';
import Fastify from 'fastify';
import type { EvidenceStatus } from '../evidence/stored/evidence-status.sql.ts';
import type { AccessSource } from './access/access.ts';
import { failureOf } from './failure.ts';
import { createGuard } from './guard.ts';
import { evidenceHealth, isStopped, readiness, sendReadiness } from './health.ts';
import type { HttpOptions } from './server.ts';

const REQUEST_TIMEOUT_MS = 30_000;

type BuilderServerOptions = Pick<
  HttpOptions,
  'host' | 'port' | 'feedToken' | 'healthAccess' | 'logger' | 'metrics' | 'schemaState'
> & { readonly evidence: () => Promise<EvidenceStatus | undefined> };

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
  const onRequest = options.healthAccess === 'token' ? guard.requireScope('metrics') : guard.requireLocalOrToken;
  const unreadyReasons = readiness(options);
  server.get('/livez', () => ({ status: 'ok' }));
  server.get('/readyz', { onRequest: guard.requireLocalOrToken }, async (_request, reply) =>
    sendReadiness(reply, await unreadyReasons()),
  );
  server.get('/healthz', { onRequest }, async () => {
    const evidence = await options.evidence();
    const status = evidence === undefined || isStopped(evidence) ? 'failing' : 'ok';
    return { status, evidence: evidence === undefined ? null : evidenceHealth(evidence) };
  });
  server.get('/metrics', { onRequest }, async (_request, reply) =>
    reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await options.metrics()),
  );
  const url = await server.listen({ host: options.host, port: options.port });
  return { url, close: () => server.close() };
};

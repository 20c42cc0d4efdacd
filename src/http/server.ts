import { createHash, timingSafeEqual } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { askedEveryMs, discoveryTooOldSeconds, sourceHealth } from '../domain/health.ts';
import { reasonOf } from '../errors.ts';

/** A probe is answered by then, whatever the database does. */
const READINESS_PATIENCE_MS = 3_000;

/** The parts of `Status` (store/status.ts) that are shown. Declared here: edges do not import each other. */
interface ShownSource {
  readonly organizationId: string;
  readonly organizationName: string | null;
  readonly refused: boolean;
  readonly failures: number;
  readonly lagSeconds: number;
  readonly gapSeconds: number;
  readonly retentionSlackSeconds: number;
  readonly sinceLastEventSeconds: number | null;
  readonly lastFailure: string | null;
  readonly lastError: string | null;
  readonly leaseOwner: string | null;
}

interface ShownStatus {
  readonly position: number;
  readonly feedId: string;
  readonly discovery: {
    readonly ageSeconds: number | null;
    readonly lastError: string | null;
    readonly leaseOwner: string | null;
    readonly organizations: number | null;
  };
  readonly sources: readonly ShownSource[];
}

/** The parts of `SinkStatus` (store/sink-status.ts) that are shown. */
interface ShownSink {
  readonly name: string;
  readonly type: string;
  readonly target: string;
  readonly position: number;
  readonly lagEvents: number;
  readonly lagSeconds: number;
  readonly failures: number;
  readonly lastError: string | null;
  readonly deadLetters: number;
  readonly heldBy: string | null;
}

export interface HttpOptions {
  readonly host: string;
  readonly port: number;
  /** Needed, outside loopback, for everything but health and metrics. */
  readonly feedToken: string | undefined;
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
}

export interface HttpServer {
  /** Where it listens. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves health, metrics and status. Called by the verb `run`. Rejects where the port is taken. */
export const startHttpServer = async (options: HttpOptions): Promise<HttpServer> => {
  const server = Fastify({ logger: false, forceCloseConnections: true });
  server.setErrorHandler((_error, _request, reply) => {
    reply.code(503).send({ status: 'unavailable', reason: 'the database does not answer' });
  });
  healthRoutes(server, options);
  const authorized = requireToken(options);
  server.get('/v1/status', { onRequest: authorized }, async () => ({
    version: options.version,
    ...withStates(await options.status(), options),
    sinks: await options.sinks(),
  }));
  const url = await server.listen({ host: options.host, port: options.port });
  return { url, close: () => server.close() };
};

const healthRoutes = (server: FastifyInstance, options: HttpOptions): void => {
  server.get('/livez', () => ({ status: 'ok' }));
  const unreadyReasons = readiness(options);
  server.get('/readyz', async (_request, reply) => {
    const reasons = await unreadyReasons();
    return reply
      .code(reasons.length === 0 ? 200 : 503)
      .send({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons });
  });
  server.get('/healthz', async () => {
    const status = withStates(await options.status(), options);
    const sources = status.sources.map((source) => ({
      organization_id: source.organizationId,
      organization_name: source.organizationName,
      state: source.state,
      lag_seconds: source.lagSeconds,
      gap_seconds: source.gapSeconds,
      retention_slack_seconds: source.retentionSlackSeconds,
      failures: source.failures,
      held_by: source.leaseOwner,
      ...(source.lastError === null ? {} : { last_failure: source.lastFailure, last_error: source.lastError }),
    }));
    const { ageSeconds, lastError, leaseOwner, organizations } = status.discovery;
    const discovery = { organizations, age_seconds: ageSeconds, last_error: lastError, held_by: leaseOwner };
    const sinks = (await options.sinks()).map(sinkHealth);
    const states = [...status.sources, ...sinks].map(({ state }) => state);
    return { status: worst(states), feed_position: status.position, discovery, sources, sinks };
  });
  server.get('/metrics', async (_request, reply) =>
    reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(await options.metrics()),
  );
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

const withStates = (status: ShownStatus, options: HttpOptions) => {
  const everyMs = askedEveryMs(options, status.sources.length);
  return { ...status, sources: status.sources.map((source) => ({ ...source, state: sourceHealth(source, everyMs) })) };
};

/** Seconds; the alert OrgtrailSinkBehind has the same. */
const SINK_BEHIND_SECONDS = 600;

const sinkState = ({ failures, lagSeconds }: ShownSink): string =>
  failures > 0 ? 'failing' : lagSeconds > SINK_BEHIND_SECONDS ? 'behind' : 'ok';

const sinkHealth = (sink: ShownSink) => ({
  ...{ name: sink.name, type: sink.type, target: sink.target, state: sinkState(sink) },
  ...{ position: sink.position, lag_events: sink.lagEvents, lag_seconds: sink.lagSeconds },
  ...{ dead_letters: sink.deadLetters, failures: sink.failures, held_by: sink.heldBy },
  ...(sink.lastError === null ? {} : { last_error: sink.lastError }),
});

/** The state that most needs somebody: one word for the whole. */
const worst = (states: readonly string[]): string =>
  ['failing', 'refused', 'behind'].find((state) => states.includes(state)) ?? 'ok';

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.');

const requireToken = (options: HttpOptions) => {
  const { feedToken, host } = options;
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (feedToken === undefined && isLoopback(host)) return;
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (feedToken !== undefined && sameSecret(given, feedToken)) return;
    const reason =
      feedToken === undefined ? 'set ORGTRAIL_FEED_TOKEN to open this outside loopback' : 'wants the feed token';
    await reply.code(401).header('www-authenticate', 'Bearer').send({ status: 'unauthorized', reason });
  };
};

/** Hashes first: then both have one length, and the time says nothing about either. */
const sameSecret = (given: string, expected: string): boolean => {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
};

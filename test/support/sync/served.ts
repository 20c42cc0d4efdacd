import { operations } from '../../../src/app/operations.ts';
import { createShownEvidence } from '../../../src/evidence/shown-evidence.sql.ts';
import { type HttpServer, startHttpServer } from '../../../src/http/server.ts';
import { readSchemaState } from '../../../src/postgres/schema/migrate.ts';
import { savedSearchesIn } from '../../../src/search/saved-searches.sql.ts';
import { readCauses } from '../../../src/status/causes.sql.ts';
import { createOverviewSource } from '../../../src/status/overview.sql.ts';
import { createStatusReader } from '../../../src/status/status-reader.sql.ts';
import { statusScopeOf } from '../../../src/status/status-scope.sql.ts';
import type { SyncRun } from './sync-world.ts';

interface Answer {
  readonly code: number;
  readonly body: unknown;
}

export interface Served extends AsyncDisposable {
  readonly server: HttpServer;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  text(path: string): Promise<string>;
}

/** Health, metrics and status of an opened application, as `run` serves them, on a free port. */
export const serve = async (
  run: SyncRun,
  options: {
    readonly host?: string;
    readonly feedToken?: string;
    readonly healthAccess?: 'open' | 'token';
    readonly tickMs?: number;
    readonly requestTimeoutMs?: number;
    readonly trustedProxies?: readonly string[];
    readonly mostEach?: number;
  } = {},
): Promise<Served> => {
  const server = await startHttpServer({
    host: options.host ?? '127.0.0.1',
    port: 0,
    feedToken: options.feedToken,
    healthAccess: options.healthAccess ?? 'open',
    ...(options.requestTimeoutMs !== undefined && { requestTimeoutMs: options.requestTimeoutMs }),
    ...(options.trustedProxies && { trustedProxies: options.trustedProxies }),
    tickMs: options.tickMs ?? 30_000,
    apiBudget: 1_000_000,
    version: '1.2.3',
    status: createStatusReader(run.app.database.pool, statusScopeOf(run.config), options.mostEach),
    sinks: run.app.sinks,
    causes: (status, sinks) =>
      // As a daemon, which notes every few seconds that it is at work.
      readCauses(run.app.database.pool, run.config, { ...status, aliveSecondsAgo: 0 }, sinks, {
        accessTrouble: run.app.access.trouble(),
      }),
    schemaState: async () => (await readSchemaState(run.app.database.pool)).state,
    logger: run.logger,
    metrics: () => run.metrics.scrape(run.app.metricsSource),
    feed: run.app.feed,
    search: run.app.search,
    savedSearches: savedSearchesIn(run.app.database.pool),
    streams: run.app.streams,
    access: run.app.access,
    operations: run.app.operations,
    served: operations,
    observer: run.metrics.http,
    evidence: run.app.metricsSource.evidence,
    shownEvidence: createShownEvidence(run.app.database.pool, run.config.evidence !== undefined),
    overview: createOverviewSource(run.app.database.pool, run.config, run.app.metricsSource, run.metrics),
  });
  const base = server.url.replace('0.0.0.0', '127.0.0.1');
  return {
    server,
    get: async (path, headers = {}) => {
      const response = await fetch(`${base}${path}`, { headers });
      return { code: response.status, body: await response.json() };
    },
    text: async (path) => await (await fetch(`${base}${path}`)).text(),
    [Symbol.asyncDispose]: () => server.close(),
  };
};

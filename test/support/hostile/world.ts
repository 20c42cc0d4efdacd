import { createServer } from 'node:http';
import { Writable } from 'node:stream';
import { apiObservers, requireCredential } from '../../../src/app/cloudflare-access.ts';
import { loadConfig } from '../../../src/app/config/config.ts';
import { openApp } from '../../../src/app/open-app.ts';
import { createLogger } from '../../../src/app/telemetry/log.ts';
import { createMetrics, type Metrics } from '../../../src/app/telemetry/metrics.ts';
import { version } from '../../../src/base/package-files.ts';
import { connectAuditApi } from '../../../src/ingest/cloudflare/audit-api.ts';
import { createServerClock } from '../../../src/ingest/cloudflare/wire/request.ts';
import { noIntervals } from '../../../src/ingest/planning/planner.ts';
import type { Lane } from '../../../src/ingest/planning/walk.ts';
import { recordListing } from '../../../src/ingest/sync/discovery/organizations.sql.ts';
import type { SyncContext } from '../../../src/ingest/sync/ports.ts';
import { type TurnResult, takeTurn } from '../../../src/ingest/sync/run/run-source.ts';
import { syncSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { listen } from '../network/listen.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';

/** An API that serves bodies as they are given, and the application's own path from there into PostgreSQL. */
export interface HostileWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly metrics: Metrics;
  /** Makes the sources known, some at once, since each takes a statement. */
  addSources(ids: readonly string[]): Promise<void>;
  /** What the audit log of an organization answers: the first request gets the first body, the cursor `page-1` the second. */
  serve(organizationId: string, bodies: readonly Buffer[]): void;
  /** How often the audit log of this organization was asked for. */
  requests(organizationId: string): number;
  /**
   * One turn after the other until the source is read, held or has failed, or until a window is given up: its parts would get the same answer
   * here, one second after the other.
   */
  sync(organizationId: string): Promise<TurnResult | { readonly kind: 'narrowed' }>;
}

export const HORIZON_MS = 3_600_000;
const NOTHING = Buffer.from('{"success":true,"result":[],"result_info":{"count":"0"}}');
const silent = new Writable({ write: (_chunk, _encoding, done) => done() });

export const openHostileWorld = async (): Promise<HostileWorld> => {
  const api = await startApi();
  const database = await createTestDatabase();
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: api.baseUrl,
    DATABASE_URL: database.daemonUrl,
    ORGTRAIL_LEASE: '10m', // Bodies of 10 MB take long on a busy machine.
  };
  const config = loadConfig({ ...env, ORGTRAIL_HISTORY: '1h' }, { needsCredential: true, interactive: false });
  const logger = createLogger({ level: 'silent', format: 'json', destination: silent, secrets: [] });
  const metrics = createMetrics(version);
  const app = await openApp(config, { logger, metrics });
  const clock = createServerClock(() => performance.now());
  // The same wire as the application's, but for pauses: thousands of bodies are asked for twice.
  const budget = { acquire: async () => {}, pause: async () => {} };
  const wire = connectAuditApi({
    baseUrl: config.baseUrl,
    credential: requireCredential(config),
    filtersOf: () => config.filters.organization,
    budget,
    clock,
    version,
    sleep: async () => {},
    ...apiObservers(metrics, logger),
  });
  const context: SyncContext = { ...app.sync, api: wire.api };
  return {
    database,
    metrics,
    addSources: async (ids) => {
      await recordListing(
        database.pool,
        ids.map((id) => ({ id, name: id })),
        { complete: false, within: undefined },
      );
      await syncSources(database.pool, context.kinds, Date.now(), HORIZON_MS);
    },
    serve: api.serve,
    requests: api.requests,
    sync: (organizationId) => syncSource(context, organizationId),
    [Symbol.asyncDispose]: async () => {
      await wire.close();
      await app.close();
      await database.close();
      await api.close();
    },
  };
};

const syncSource = async (app: SyncContext, id: string): Promise<TurnResult | { readonly kind: 'narrowed' }> => {
  let narrowed = false;
  const windowNarrowed = () => {
    narrowed = true;
  };
  const context = { ...app, observer: { ...app.observer, windowNarrowed } };
  const nowMs = Math.floor(Date.now() / 1_000) * 1_000;
  const policy = { horizonMs: nowMs - HORIZON_MS, settleDelaysMs: [], intervals: noIntervals };
  const source = { kind: 'organization', id } as const;
  const clock = { databaseMs: Date.now(), atMs: context.time.nowMs() };
  const options = { signal: new AbortController().signal, stopping: () => false };
  for (let lane: Lane = 'live'; ; ) {
    const result = await takeTurn(context, { source, lane, nowMs, clock, policy }, options);
    if (narrowed) return { kind: 'narrowed' };
    if (result.kind !== 'more') return result;
    lane = result.lanes[0] ?? 'live';
  }
};

const startApi = async () => {
  const served = new Map<string, readonly Buffer[]>();
  const asked = new Map<string, number>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    const id = decodeURIComponent(/\/organizations\/([^/]+)\/logs\/audit$/.exec(url.pathname)?.[1] ?? '');
    asked.set(id, (asked.get(id) ?? 0) + 1);
    const page = Number(url.searchParams.get('cursor')?.replace('page-', '') ?? 0);
    response.on('error', () => {});
    response.writeHead(200, { 'content-type': 'application/json' }).end(served.get(id)?.[page] ?? NOTHING);
  });
  const { port, stop } = await listen(server);
  return {
    baseUrl: `http://127.0.0.1:${port}/client/v4`,
    serve: (id: string, bodies: readonly Buffer[]) => void served.set(id, bodies),
    requests: (id: string) => asked.get(id) ?? 0,
    close: stop,
  };
};

import { Writable } from 'node:stream';
import type { Logger } from 'pino';
import { expect } from 'vitest';
import { type Config, loadConfig } from '../../../src/app/config/config.ts';
import { type App, type AppOptions, openApp } from '../../../src/app/open-app.ts';
import { createLogger } from '../../../src/app/telemetry/log.ts';
import { createMetrics, type Metrics } from '../../../src/app/telemetry/metrics.ts';
import { ApiError } from '../../../src/base/errors.ts';
import { version } from '../../../src/base/package-files.ts';
import { type Comparison, compareWithTruth } from '../../../src/cli/demo/verdict.sql.ts';
import { keyOf, type SourceKey } from '../../../src/ingest/planning/source.ts';
import { discover } from '../../../src/ingest/sync/discovery/discover.ts';
import { discoverAccounts } from '../../../src/ingest/sync/discovery/discover-accounts.ts';
import { planJobs } from '../../../src/ingest/sync/plan-jobs.ts';
import { planningTime, type SyncContext, type SyncObserver } from '../../../src/ingest/sync/ports.ts';
import { takeTurn } from '../../../src/ingest/sync/run/run-source.ts';
import { type SyncOnceOptions, type SyncReport, syncOnce } from '../../../src/ingest/sync/sync-once.ts';
import { type Job, type WorkLeft, WorkPool } from '../../../src/ingest/sync/work-pool.ts';
import type { RequestRecord } from '../../../src/simulator/api/api-front.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';
import { openDatabaseClock } from '../postgres/database-clock.ts';

type Env = Readonly<Record<string, string>>;

/** The application in this process, opened as `sync` and `run` open it. */
export interface SyncRun extends AsyncDisposable {
  readonly app: App;
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** What the log says so far. */
  log(): string;
  /** What `sync` does. */
  sync(options?: Partial<SyncOnceOptions>): Promise<SyncReport>;
  /** One tick; without options to its end, each source tried once. */
  cycle(options?: Partial<SyncOnceOptions>): Promise<SyncReport>;
  close(): Promise<void>;
}

/** A simulated Cloudflare and a database, and the application between them, as often as it is opened. */
export interface SyncWorld extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly database: TestDatabase;
  /** Of daemons and commands that have no more rights than `orgtrail migrate --roles` gives to `orgtrail_ingest`. */
  readonly env: Env;
  /** Of commands that an owner of the schema runs. */
  readonly ownerEnv: Env;
  open(
    env?: Env,
    observer?: SyncObserver,
    options?: Pick<AppOptions, 'timeouts' | 'steadyMs' | 'secrets'>,
  ): Promise<SyncRun>;
  /** Lets time pass for Cloudflare, and for the database as far as it has a clock of its own. */
  setClocks(offsetMs: number): Promise<void>;
  /** What lanes rest after a failure is over: their next attempt is due. */
  endRests(): Promise<void>;
  /** Lanes that rest after a failure go on resting, however long the test takes. */
  holdRests(): Promise<void>;
  /** What is refused has been so for a quarter of an hour. */
  ageRefusals(): Promise<void>;
  compare(): Promise<Comparison>;
  /** Complete, once each, to the byte, without a hole in the positions. */
  expectExactTruth(): Promise<Comparison>;
}

/** So young that the first look of the live lane, at an hour, reads all of it in one walk. */
export const youngHistory = { historyMs: 50 * 60_000 } as const;

/** As if a day had passed since all that has been read was read first: the scrub lane may read it again, and the live lane has looked far back. */
export const afterADay = async ({ database }: Pick<SyncWorld, 'database'>): Promise<void> => {
  await database.pool.query('update coverage set read_before = ranges where pass = 0');
  await database.pool.query(
    `update lanes set state = jsonb_set(state, '{lookBack}', jsonb_build_object('lastMs', ms, 'sinceMs', ms - 86400000))
     from (select extract(epoch from now()) * 1000 as ms) now where lane = 'live'`,
  );
};

/**
 * Three organizations with a history of two days that ends a minute ago, all of it within ORGTRAIL_HISTORY, in pages of 40: a walk of the
 * newest hour, and some of the rest. With a `clock` that stands still, time passes by `setClocks` alone, for the
 * application, too, however long a busy machine takes. `ownClock`: the database has a clock that `setClocks` moves, too; without it, a
 * Cloudflare that is further ahead than a minute is not believed.
 */
export const openWorld = async (
  { ownClock = false, ...options }: SimulatorOptions & { readonly ownClock?: boolean } = {},
  env: Env = {},
): Promise<SyncWorld> => {
  const simulator = await startSimulator({
    seed: 11,
    organizations: 3,
    entries: 600,
    distribution: 'uniform',
    pageCap: 40,
    budget: null,
    historyMs: 2 * 86_400_000,
    startMs: (options.clock?.() ?? Date.now()) + (options.clockOffsetMs ?? 0) - 60_000,
    ...options,
  });
  const database = await createTestDatabase();
  const setDatabaseClock = ownClock ? await openDatabaseClock(database.pool, options.clock?.()) : async () => {};
  const wholeEnv = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: database.daemonUrl,
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_HISTORY: '3d',
    ORGTRAIL_CONCURRENCY: '2',
    // Tests of other things count requests.
    ORGTRAIL_SCRUB_SHARE: '0',
    ORGTRAIL_FAST_PATH: process.env['TEST_FAST_PATH'] ?? 'on',
    ...env,
  };
  const compare = () => compareWithTruth(database.pool, simulator);
  const still = options.clock === undefined ? {} : { steadyMs: () => 0 };
  return {
    simulator,
    database,
    env: wholeEnv,
    ownerEnv: { ...wholeEnv, DATABASE_URL: database.url },
    open: (more = {}, observer = {}, options = {}) =>
      openRun({ ...wholeEnv, ...more }, observer, { ...still, ...options }),
    setClocks: async (offsetMs) => {
      simulator.setClockOffset(offsetMs);
      await setDatabaseClock(offsetMs);
    },
    endRests: async () => {
      await database.pool.query('update lanes set next_attempt_at = null');
    },
    holdRests: async () => {
      await database.pool.query("update lanes set next_attempt_at = next_attempt_at + interval '1 hour'");
    },
    ageRefusals: async () => {
      await database.pool.query(
        "update organization_changes set changed_at = changed_at - interval '15 minutes' where change = 'refused'",
      );
      await database.pool.query("update sources set refused_since = refused_since - interval '15 minutes'");
    },
    compare,
    expectExactTruth: async () => {
      const comparison = await compare();
      expect(comparison).toMatchObject({ missing: 0, extra: 0, duplicates: 0, positionsMissing: 0 });
      expect(comparison.stored).toBe(comparison.expected);
      expect(comparison.organizationsStored).toBe(comparison.organizationsExpected);
      return comparison;
    },
    [Symbol.asyncDispose]: async () => {
      await database.close();
      await simulator.close();
    },
  };
};

export const openRun = async (
  env: Env,
  observer: SyncObserver,
  options: Pick<AppOptions, 'timeouts' | 'steadyMs' | 'secrets'> = {},
): Promise<SyncRun> => {
  const config = loadConfig(env, { needsCredential: true, interactive: false });
  const lines: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString('utf8'));
      done();
    },
  });
  const logger = createLogger({ level: 'info', format: 'json', destination, secrets: [] });
  const metrics = createMetrics(version);
  const app = await openApp(config, { logger, metrics, observer, ...options });
  // As if an answer had taken this long: on a busy machine, too, wide windows and look backs are waited for.
  app.sync.windows.served(0, 15_000);
  let closed = false;
  const close = async () => {
    if (closed) return;
    closed = true;
    await app.close();
  };
  return {
    app,
    config,
    metrics,
    logger,
    log: () => lines.join(''),
    sync: (options = {}) => syncOnce(app.sync, { ...wholeCycle(), ...options }),
    cycle: (options = {}) => oneTick(app.sync, { ...wholeCycle(), ...options }),
    close,
    [Symbol.asyncDispose]: close,
  };
};

/** To its end, each lane tried once. */
export const wholeCycle = (): SyncOnceOptions => ({
  signal: new AbortController().signal,
  stopping: () => false,
  retries: 0,
});

/** What the daemon does at a tick, and its work to the end: sources that rest or are held elsewhere are left alone. */
const oneTick = async (context: SyncContext, options: SyncOnceOptions): Promise<SyncReport> => {
  const discoveryError = await discover(context, options.signal, { throwIfLost: () => {} }).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof ApiError) return error;
      throw error;
    },
  );
  await discoverAccounts(context, options.signal);
  const time = await planningTime(context);
  if (time === undefined) throw discoveryError;
  const resting = (await context.store.loadSources()).filter(({ restMs }) =>
    Object.values(restMs).some((ms) => ms > 0),
  );
  const { sources, jobs } = await planJobs(context, time, false);
  if (sources === 0 && discoveryError !== undefined) throw discoveryError;
  const { failed, held } = await workOffOnce(context, jobs, options);
  return { sources, failed: [...resting, ...failed], held, discoveryError, finished: !options.stopping() };
};

/** What was planned, and what is left of it, by the pool of the daemon. */
export const workOffOnce = async (
  context: SyncContext,
  jobs: readonly Job[],
  { signal, stopping }: SyncOnceOptions,
): Promise<Pick<SyncReport, 'failed' | 'held'>> => {
  const failed = new Map<string, SourceKey>();
  const held = new Map<string, SourceKey>();
  const faults: unknown[] = [];
  const work = async (job: Job): Promise<WorkLeft> => {
    if (stopping()) return { lanes: undefined, timedOut: false, requests: 0 };
    const result = await takeTurn(context, job, { signal, stopping });
    if (result.kind === 'failed') failed.set(keyOf(job.source), job.source);
    if (result.kind === 'held') held.set(keyOf(job.source), job.source);
    const lanes = result.kind === 'idle' ? [] : result.kind === 'held' ? undefined : result.lanes;
    return { lanes: stopping() ? undefined : lanes, timedOut: false, requests: result.requests };
  };
  const pool = new WorkPool(context.concurrency, work, (error) => faults.push(error));
  pool.refill(jobs);
  await pool.idle();
  if (faults.length > 0) throw faults[0];
  return { failed: [...failed.values()], held: [...held.values()] };
};

/** Cycles until one ends without a failure; what a failed source would rest is skipped. */
export const cycleUntilClean = async (world: SyncWorld, run: SyncRun, most = 6): Promise<readonly SyncReport[]> => {
  const reports: SyncReport[] = [];
  while (reports.length < most) {
    const report = await run.cycle();
    reports.push(report);
    if (report.failed.length === 0 && report.discoveryError === undefined && report.finished) return reports;
    await world.endRests();
  }
  throw new Error(`still failing after ${most} cycles: ${JSON.stringify(reports.at(-1))}`);
};

/** The clock of a world in which time passes by `setClocks` alone. */
export const stillClock = (): (() => number) => {
  const nowMs = Date.now();
  return () => nowMs;
};

/** A request for a page of an audit log, as the simulator saw it. */
export interface AuditRequest extends RequestRecord {
  readonly organizationId: string;
  readonly query: URLSearchParams;
  readonly sinceMs: number;
  readonly beforeMs: number;
  readonly cursor: string | null;
}

export const asAuditRequest = (record: RequestRecord): AuditRequest | undefined => {
  const url = new URL(record.path, 'http://localhost');
  const organizationId = /\/organizations\/([^/]+)\/logs\/audit$/.exec(url.pathname)?.[1];
  if (organizationId === undefined) return undefined;
  const query = url.searchParams;
  const time = (name: string) => Date.parse(query.get(name) ?? '');
  return {
    ...record,
    organizationId,
    query,
    sinceMs: time('since'),
    beforeMs: time('before'),
    cursor: query.get('cursor'),
  };
};

/** All of them so far, oldest first; `from` skips those of before: pass an earlier `simulator.requestCount`. */
export const auditRequests = (simulator: Simulator, from = 0): AuditRequest[] =>
  simulator
    .requests()
    .slice(from)
    .flatMap((record) => asAuditRequest(record) ?? []);

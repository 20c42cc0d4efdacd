import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { type Comparison, compareWithTruth } from '../../src/cli/demo/verdict.sql.ts';
import { formatNames } from '../../src/formats/registry.ts';
import { createPool } from '../../src/postgres/pool.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { prepareForDaemon } from '../../test/support/accounts/daemon-account.ts';
import { freePorts } from '../../test/support/network/free-ports.ts';
import { seededRandom } from '../../test/support/process/seeded-random.ts';
import { createAim } from './aim.ts';
import { caughtUp } from './catch-up.ts';
import type { ChaosOptions } from './chaos-options.ts';
import { type Battlefield, crashPostgres, killReplicas, stopReplicas } from './disruptions.ts';
import { Load } from './load.ts';
import { pause } from './pause.ts';
import { type PostgresCluster, startPostgresCluster } from './postgres-cluster.ts';
import { FeedReader } from './readers/feed-reader.ts';
import { HttpFeedReader } from './readers/http-feed-reader.ts';
import { Replica } from './replica.ts';
import { type ChaosResult, isSound, resultOf } from './report.ts';
import { newTally, type Tally } from './tally.ts';

const REPLICAS = 3;
const ORGANIZATIONS = 12;
const PAGE_CAP = 200;
const DAY_MS = 86_400_000;
/** Beside what the settle passes need: replicas have to start, and sources that failed rest for a while. */
const CATCH_UP_MS = 600_000;
/** To read what is left over HTTP, when nothing disturbs any more. */
const HTTP_END_MS = 600_000;
const PROGRESS_MS = 10_000;

type Say = (line: string) => void;

interface Scene {
  readonly evidence: { isWanted: boolean };
  readonly directory: string;
  readonly simulator: Simulator;
  readonly cluster: PostgresCluster;
  readonly pool: Pool;
  readonly replicas: readonly Replica[];
  readonly tally: Tally;
  readonly reader: FeedReader;
  readonly httpReader: HttpFeedReader;
}

/**
 * The whole run: builds everything, disrupts it for the time asked for, lets it catch up, compares it with what was served,
 * and takes everything down again. Undefined where the signal aborted. Called by the command `chaos`.
 */
export const runChaos = async (
  options: ChaosOptions,
  say: Say,
  signal: AbortSignal,
): Promise<ChaosResult | undefined> => {
  await using stack = new AsyncDisposableStack();
  const scene = await buildScene(options, stack);
  const startedAtMs = performance.now();
  const inHistory = scene.simulator.faults.fired();
  const reading = new AbortController();
  const followed = Promise.all([scene.reader, scene.httpReader].map((reader) => reader.follow(reading.signal)));
  stack.defer(async () => {
    reading.abort();
    await followed;
  });
  const progress = setInterval(() => say(progressLine(scene, performance.now() - startedAtMs)), PROGRESS_MS);
  stack.defer(() => clearInterval(progress));
  await disrupt(scene, options, signal);
  if (signal.aborted) return undefined;

  say('no more disruptions, faults or new entries; waiting until everything is read, the settle passes included');
  const complete = await catchUp(scene, options, say, signal);
  reading.abort();
  await followed;
  if (signal.aborted) return undefined;
  // While there are replicas to ask.
  await scene.httpReader.finish(HTTP_END_MS);
  await Promise.all(scene.replicas.map((replica) => replica.end()));
  await scene.reader.finish();
  scene.httpReader.compare(scene.reader.events);
  const comparison: Comparison = await compareWithTruth(scene.pool, scene.simulator);
  const durationMs = performance.now() - startedAtMs;
  const { reader, httpReader, tally, simulator, directory } = scene;
  const result = resultOf({
    options,
    durationMs,
    complete,
    comparison,
    reader,
    httpReader,
    tally,
    faults: firedSince(inHistory, simulator.faults.fired()),
  });
  scene.evidence.isWanted = !isSound(result);
  if (scene.evidence.isWanted) {
    await writeTruth(simulator, directory);
    say(`the logs of the replicas, the data of PostgreSQL and truth.ndjson are kept in ${directory}`);
  }
  return result;
};

const buildScene = async (options: ChaosOptions, stack: AsyncDisposableStack): Promise<Scene> => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-chaos-'));
  const evidence = { isWanted: false };
  stack.defer(async () => {
    if (!evidence.isWanted) await rm(directory, { recursive: true, force: true });
  });
  const lateDelayMs = Math.floor((options.settleDelaysMs.at(-1) ?? 0) * 0.75);
  const simulator = await startSimulator({
    seed: options.seed,
    organizations: ORGANIZATIONS,
    entries: options.entries,
    historyMs: 30 * DAY_MS,
    pageCap: PAGE_CAP,
    budget: null,
    faults: { ...options.faults, lateDelayMs },
  });
  stack.defer(() => simulator.close());
  const cluster = await startPostgresCluster(directory);
  stack.defer(() => cluster.stop());
  const pool = createPool(cluster.url, 4, () => {});
  stack.defer(() => pool.end());
  const tally = newTally();
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-chaos-run',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: await prepareForDaemon(cluster.url),
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_SCHEDULE: '*/2 * * * * *',
    ORGTRAIL_HISTORY: '40d',
    ORGTRAIL_SETTLE: options.settle,
    ORGTRAIL_LEASE: options.lease,
    // Replicas start some hundred times: this halves what a start costs, and leaves more of the time for work.
    NODE_COMPILE_CACHE: join(directory, 'compile-cache'),
  };
  // Fixed: a consumer knows where the replicas are, also when they have been restarted.
  const ports = await freePorts(REPLICAS);
  const replicas = ports.map((port, index) => {
    const name = String(index + 1);
    return new Replica(name, port, env, join(directory, `replica-${name}.log`), tally);
  });
  stack.defer(async () => {
    await Promise.all(replicas.map((replica) => replica.end()));
  });
  for (const replica of replicas) replica.start();
  const reader = new FeedReader(cluster.url, seededRandom(options.seed + 1));
  const random = seededRandom(options.seed + 6);
  const httpReader = new HttpFeedReader({ ports, random, formats: formatNames });
  return { evidence, directory, simulator, cluster, pool, replicas, tally, reader, httpReader };
};

type Fired = ReturnType<Simulator['faults']['fired']>;

const firedSince = (before: Fired, now: Fired): Fired =>
  Object.fromEntries(Object.entries(now).map(([name, count]) => [name, count - (before[name as keyof Fired] ?? 0)]));

/** What was served, as the simulator's control API shows it: to be compared with the data that are kept. */
const writeTruth = async (simulator: Simulator, directory: string): Promise<void> => {
  const response = await fetch(`${simulator.controlUrl}/truth`);
  await writeFile(join(directory, 'truth.ndjson'), await response.text());
};

/** New entries and trouble of all three kinds for the time asked for. Afterwards everything runs. */
const disrupt = async (scene: Scene, options: ChaosOptions, signal: AbortSignal): Promise<void> => {
  const { simulator, replicas, pool } = scene;
  const failure = new AbortController();
  const enough = new AbortController();
  const over = AbortSignal.any([signal, failure.signal, enough.signal]);
  const load = new Load(simulator, seededRandom(options.seed + 2));
  const aim = createAim(simulator, pool, replicas);
  const field: Battlefield = { ...scene, load, aim, leaseMs: options.leaseMs };
  await Promise.all(
    [
      untilEnough(scene, options, over).then(() => enough.abort()),
      load.stream(options.liveRate, over),
      killReplicas(field, seededRandom(options.seed + 3), over),
      stopReplicas(field, seededRandom(options.seed + 4), over),
      crashPostgres(field, seededRandom(options.seed + 5), over),
    ].map((work) => work.catch((error: unknown) => failure.abort(error))),
  );
  failure.signal.throwIfAborted();
};

/** Resolves when the time is up and as much has happened as was asked for, or when the signal aborts. */
const untilEnough = async ({ tally, httpReader }: Scene, options: ChaosOptions, signal: AbortSignal): Promise<void> => {
  const { durationMs, leastKills } = options;
  await pause(durationMs, signal);
  const isEnough = () =>
    tally.kills >= leastKills &&
    tally.stopsBeyondLease >= Math.floor(leastKills / 3) &&
    (leastKills === 0 || (tally.postgresRestarts > 0 && httpReader.counts.cut + httpReader.counts.left > 0));
  while (!signal.aborted && !isEnough()) await pause(100, signal);
};

const catchUp = async (scene: Scene, options: ChaosOptions, say: Say, signal: AbortSignal): Promise<boolean> => {
  const { simulator, replicas, pool } = scene;
  for (const replica of replicas) replica.start();
  simulator.faults.set({ preset: 'none' });
  const untilMs = simulator.summary().nowMs + 1_000;
  const settleMs = 2 * (options.settleDelaysMs.at(-1) ?? 0);
  const settlePasses = options.settleDelaysMs.length;
  const sources = simulator.summary().organizations.length;
  await pause(settleMs / 2, signal);
  const timeoutMs = settleMs + CATCH_UP_MS;
  const onProgress = (complete: number) => say(`${complete} of ${sources} organizations are read to the end`);
  return await caughtUp(pool, { sources, untilMs, settlePasses, timeoutMs, onProgress, signal });
};

const progressLine = ({ tally, reader, httpReader }: Scene, elapsedMs: number): string =>
  [
    `${Math.round(elapsedMs / 1_000)} s`,
    `${tally.kills} kills`,
    `${tally.stopsBeyondLease} stops beyond the lease`,
    `${tally.postgresRestarts} PostgreSQL restarts`,
    `${reader.rows} rows read from the feed, ${reader.violationCount} violations`,
    `${httpReader.events} events read over HTTP, ${httpReader.counts.violations} violations`,
    `${tally.fencedWrites} fenced writes`,
    `${tally.leasesLost} leases lost`,
  ].join(' · ');

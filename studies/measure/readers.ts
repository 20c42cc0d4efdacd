// Measures what many readers do to the real daemon (`orgtrail run` as a member of orgtrail_ingest), load by load and all at once:
// memory, the slowest probe and page of search, and the rate of collecting alone and beside them. Prints a table.
// Not a test: figures depend on the machine. `npm run lab readers -- --seconds 20 --only "stalled readers"`
import { request as ask, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { Pool } from 'pg';
import { createPool } from '../../src/postgres/pool.ts';
import { migrateDatabase } from '../../src/postgres/schema/migrate.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { multiplyEvents } from '../../test/support/feed/many-events.ts';
import { behaviours, type LoadCounts, type LoadName } from '../../test/support/feed/reader-loads.ts';
import { startCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { usageOf } from '../../test/support/process/process-usage.ts';
import { startDaemonProcess } from '../../test/support/process/running-daemon.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '220000' },
    seconds: { type: 'string', default: '20' },
    only: { type: 'string', multiple: true },
  },
});
const windowMs = Number(values.seconds) * 1_000;
/** An answer of Cloudflare takes about so long: with four workers, three to four pages of 1,000 a second, which is its limit. */
const API_LATENCY_MS = 1_000;
const WORKERS = 4;
const BACKLOG_ENTRIES = 250_000;
const MIB = 1_048_576;

/** The way to the simulator, as slow as Cloudflare. */
const slowApi = async (baseUrl: string): Promise<{ readonly url: string; close(): void }> => {
  const target = new URL(baseUrl);
  const server = createServer(async (incoming, outgoing) => {
    await sleep(API_LATENCY_MS);
    const { method, headers } = incoming;
    const passed = ask({ host: target.hostname, port: target.port, path: incoming.url, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${target.pathname}`;
  return { url, close: () => void server.close().closeAllConnections() };
};

/** Asks again and again; the slowest answer in milliseconds, and what came instead of a 200. */
const probe = (url: string, everyMs: number) => {
  let [slowestMs, stopped] = [0, false];
  const other: Record<string, number> = {};
  const looking = (async () => {
    while (!stopped) {
      const startedAt = performance.now();
      const status = await fetch(url)
        .then(
          (response) => response.arrayBuffer().then(() => response.status),
          () => 'failed',
        )
        .catch(() => 'cut');
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      if (status !== 200) other[status] = (other[status] ?? 0) + 1;
      await sleep(everyMs);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await looking;
      return { slowestMs, other };
    },
  };
};

const startWorker = (url: string, name: LoadName, loads: ReturnType<typeof behaviours>): Worker => {
  const { path, ...behaviour } = loads[name];
  const paths = Array.from({ length: behaviour.readers }, (_, reader) => path(reader));
  return new Worker(new URL('../../test/support/feed/reader-loads-worker.ts', import.meta.url), {
    workerData: { url, ...behaviour, paths },
  });
};

const stopWorker = (worker: Worker): Promise<LoadCounts> =>
  new Promise((resolve) => {
    worker.once('message', resolve);
    worker.postMessage('stop');
  });

const server = await startCluster({ settings: { shared_buffers: '512MB', max_connections: 200 } });
const filled = await server.createDatabase();
const filling = await startSimulator({ seed: 4, organizations: 20, entries: 5_000, budget: null });
const backlog = await startSimulator({
  seed: 5,
  organizations: 20,
  entries: BACKLOG_ENTRIES,
  budget: null,
  distribution: 'uniform',
  // So dense that every page is full.
  historyMs: 86_400_000,
});
const api = await slowApi(backlog.baseUrl);
const token = { CLOUDFLARE_API_TOKEN: 'token-of-the-measurement', ORGTRAIL_API_BUDGET: '1000000000' };

const fill = async () => {
  const url = server.url(filled.name);
  const admin = createPool(url, 2, () => {});
  await migrateDatabase(admin, { roles: true });
  await runOrgtrail(['sync'], { ...token, DATABASE_URL: url, CLOUDFLARE_BASE_URL: filling.baseUrl });
  await multiplyEvents(admin, Number(values.events));
  await admin.end();
  await server.sql('create role collector login');
  await server.sql('grant orgtrail_ingest to collector');
};

interface Measured {
  readonly load: string;
  readonly peakMb: number;
  readonly eventsPerSecond: number;
  readonly livez: Awaited<ReturnType<ReturnType<typeof probe>['stop']>>;
  readonly search: Measured['livez'];
  readonly counts: readonly LoadCounts[];
}

const measure = async (load: string, names: readonly LoadName[]): Promise<Measured> => {
  const database = `measured_${Math.random().toString(36).slice(2)}`;
  await server.sql(`create database ${database} template ${filled.name}`);
  const pool = new Pool({ connectionString: server.url(database), max: 1 });
  const position = async () => Number((await pool.query('select position from feed_head')).rows[0].position);
  const daemon = await startDaemonProcess({
    ...token,
    CLOUDFLARE_BASE_URL: api.url,
    DATABASE_URL: server.url(database, 'collector'),
    ORGTRAIL_CONCURRENCY: String(WORKERS),
    ORGTRAIL_SCRUB_SHARE: '0',
    ORGTRAIL_HISTORY: '2d',
  });
  const url = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
  const head = await position();
  while ((await position()) === head) await sleep(100);
  const { rows } = await pool.query<{ id: string }>("select id from organizations where state = 'active'");
  const loads = behaviours(
    await position(),
    rows.map(({ id }) => id),
  );
  const workers = names.map((name) => startWorker(url, name, loads));
  let peakMb = 0;
  const sampler = setInterval(async () => {
    const usage = await usageOf(daemon.process.child.pid ?? 0).catch(() => undefined);
    peakMb = Math.max(peakMb, (usage?.residentBytes ?? 0) / MIB);
  }, 100);
  await sleep(3_000);
  const livez = probe(`${url}/livez`, 50);
  const search = probe(`${url}/v1/search?limit=5`, 200);
  const [before, startedAt] = [await position(), performance.now()];
  await sleep(windowMs);
  const eventsPerSecond = ((await position()) - before) / ((performance.now() - startedAt) / 1_000);
  const measured = { livez: await livez.stop(), search: await search.stop() };
  const counts = await Promise.all(workers.map(stopWorker));
  clearInterval(sampler);
  const code = await daemon.stop();
  if (code !== 0 && code !== 143)
    console.error(
      `the daemon ended with ${code}:\n${daemon.process.stderr()}\n${daemon.process.stdout().slice(-2_000)}`,
    );
  await pool.end();
  await server.sql(`drop database ${database} with (force)`);
  return { load, peakMb, eventsPerSecond, ...measured, counts };
};

const inWords = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([status, count]) => `${count} × ${status}`)
    .join(', ');

const row = ({ load, peakMb, eventsPerSecond, livez, search, counts }: Measured, alone: number): string => {
  const answers = counts.map(({ statuses, whole, cut }) => `${inWords(statuses)} (${whole} whole, ${cut} cut)`);
  const seconds = ({ slowestMs, other }: Measured['livez']) =>
    `${(slowestMs / 1_000).toFixed(2)}${Object.keys(other).length === 0 ? '' : ` (${inWords(other)})`}`;
  const share = `${Math.round((100 * eventsPerSecond) / alone)} %`;
  return `| ${load} | ${peakMb.toFixed(0)} | ${seconds(livez)} | ${seconds(search)} | ${eventsPerSecond.toFixed(0)} (${share}) | ${answers.join('; ')} |`;
};

try {
  await fill();
  console.log(`Node.js ${process.version}; ${cpus().length} × ${cpus()[0]?.model}; ${values.events} events\n`);
  console.log('| load | peak RSS MB | slowest /livez s | slowest search s | events/s collected | answers |');
  console.log('|---|---|---|---|---|---|');
  const names = Object.keys(behaviours(0, [])) as LoadName[];
  const alone = await measure('none', []);
  console.log(row(alone, alone.eventsPerSecond));
  const wanted = [...names.map((name) => [name, [name]] as const), ['all together', names] as const];
  for (const [load, some] of wanted) {
    if (values.only?.includes(load) === false) continue;
    console.log(row(await measure(load, some), alone.eventsPerSecond));
  }
} finally {
  api.close();
  await backlog.close();
  await filling.close();
  await server[Symbol.asyncDispose]();
}

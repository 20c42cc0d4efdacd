// What the feed hands out a second, beside what PostgreSQL itself can: `COPY (select raw …) TO STDOUT` of the same rows, through
// the same driver, in the same run, in turn. The real daemon serves, this process reads. `npm run lab bench-feed -- --events 300000`
import { once } from 'node:events';
import { request } from 'node:http';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Client, Query } from 'pg';
import { createPool } from '../../src/postgres/pool.ts';
import { migrateDatabase } from '../../src/postgres/schema/migrate.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { multiplyEvents } from '../../test/support/feed/many-events.ts';
import { startCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { runOrgtrail, startOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { usageOf } from '../../test/support/process/process-usage.ts';
import { startDaemonProcess } from '../../test/support/process/running-daemon.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '300000' },
    synced: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '5' },
  },
});
const events = Number(values.events);

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;

/** Bytes that `COPY` gives, through the driver, nothing done with them. */
const copy = async (client: Client, query: string): Promise<number> => {
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    const copying = Object.assign(new Query(`copy (${query}) to stdout`), {
      callback: (error: Error | null) => (error === null ? resolve() : reject(error)),
      handleCopyData: ({ chunk }: { readonly chunk: Buffer }) => {
        bytes += chunk.length;
      },
    });
    client.query(copying);
  });
  return bytes;
};

/** Bytes of the body of an answer, nothing done with them. */
const read = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
  let bytes = 0;
  const [response] = await once(request(url, { headers }).end(), 'response');
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(response, 'end');
  return bytes;
};

const cluster = await startCluster({ settings: { shared_buffers: '512MB', fsync: 'on' } });
const database = await cluster.createDatabase();
const simulator = await startSimulator({
  seed: 4,
  organizations: 20,
  entries: Number(values.synced),
  budget: null,
  historyMs: 180 * 86_400_000,
});
const env = {
  CLOUDFLARE_API_TOKEN: 'token-of-the-benchmark',
  CLOUDFLARE_BASE_URL: simulator.baseUrl,
  DATABASE_URL: database.url,
  ORGTRAIL_API_BUDGET: '1000000000',
  // No tick while it is measured.
  ORGTRAIL_SCHEDULE: '0 0 0 1 1 *',
};
const pool = createPool(database.url, 2, () => {});
try {
  await migrateDatabase(pool);
  const synced = await runOrgtrail(['sync', '--json'], env);
  if (synced.code !== 0) throw new Error(`sync ended with ${synced.code}: ${synced.stderr}`);
  await multiplyEvents(pool, events);
  await using daemon = await startDaemonProcess(env);
  const base = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
  const client = new Client(database.url);
  await client.connect();
  const url = (more: string) => `${base}/v1/events?limit=${events}${more}`;
  const stdout = async () => {
    const running = startOrgtrail(['feed'], env);
    await running.ended;
    return running.stdout().length;
  };
  const contenders: Readonly<Record<string, { readonly events: number; readonly run: () => Promise<number> }>> = {
    'COPY (select raw …) TO STDOUT': { events, run: () => copy(client, 'select raw from audit_events') },
    'COPY (… order by position)': { events, run: () => copy(client, 'select raw from audit_events order by position') },
    'feed, native': { events, run: () => read(url('')) },
    'feed, native, zstd': { events, run: () => read(url(''), { 'accept-encoding': 'zstd' }) },
    'feed, native, gzip': { events, run: () => read(url(''), { 'accept-encoding': 'gzip' }) },
    'feed, ocsf': { events: 40_000, run: () => read(`${base}/v1/events?limit=40000&format=ocsf`) },
    'feed, ecs': { events: 40_000, run: () => read(`${base}/v1/events?limit=40000&format=ecs`) },
    'orgtrail feed, native': { events, run: stdout },
  };
  const seconds: Record<string, number[]> = {};
  const bytes: Record<string, number> = {};
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    for (const [name, { run }] of Object.entries(contenders)) {
      const startedAt = performance.now();
      bytes[name] = await run();
      // The first round warms up.
      if (round > 0) seconds[name] = [...(seconds[name] ?? []), (performance.now() - startedAt) / 1_000];
    }
  }
  const rate = (name: string) => (contenders[name]?.events ?? 0) / median(seconds[name] ?? []);
  const limit = rate('COPY (select raw …) TO STDOUT');
  const { peakResidentBytes } = await usageOf(daemon.process.child.pid ?? 0);
  console.log(`${events} events, ${cpus().length} × ${cpus()[0]?.model}, medians of ${values.rounds}; the first is 1.`);
  console.log('| way | of COPY | events/s | MB/s |\n|---|---|---|---|');
  for (const name of Object.keys(contenders)) {
    const megabytes = (bytes[name] ?? 0) / 1e6 / median(seconds[name] ?? []);
    console.log(
      `| ${name} | ${(rate(name) / limit).toFixed(2)} | ${Math.round(rate(name))} | ${megabytes.toFixed(0)} |`,
    );
  }
  console.log(`peak RSS of the daemon: ${(peakResidentBytes / 1e6).toFixed(0)} MB`);
  await client.end();
} finally {
  await pool.end();
  await simulator.close();
  await cluster[Symbol.asyncDispose]();
}

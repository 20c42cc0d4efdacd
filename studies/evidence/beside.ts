// What the builder of the evidence costs ingestion, in rounds with and without it in turn. `npm run lab evidence-beside -- --help`
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Lease } from '../../src/ingest/planning/source.ts';
import { createPool, type Pool } from '../../src/postgres/pool.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { asDaemon, prepareForDaemon } from '../../test/support/accounts/daemon-account.ts';
import { startCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { newSource } from '../../test/support/postgres/store-fixture.ts';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../test/support/process/running-daemon.ts';
import { until } from '../../test/support/process/until.ts';
import { API_PAGES_A_SECOND, commitPages, nextPage, PAGE } from '../bench/beside/paced-pages.ts';
import { pairsOf, quantile, type Round, summary } from '../bench/beside/paired-rounds.ts';
import { findPostmaster, measured } from '../bench/measure.ts';

const help = `npm run lab evidence-beside -- [--pairs 6] [--pages 8] [--json]

The real daemon builds, as an account with the two roles, while pages of 1,000 entries of 1.1 kB are committed as the daemon commits them:
as fast as two connections can (both cores full), and four in a second (what the API allows). A round with it and one without it, for
which it is stopped (SIGSTOP), in turn; before each round all is signed. Judge by the ratio: other things run beside it.`;

const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '6' },
    pages: { type: 'string', default: '8' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const CONNECTIONS = 2;
const API_ROUND_PAGES = 24;

const isSigned = async (pool: Pool): Promise<boolean> =>
  (
    await pool.query<{ done: boolean }>(
      'select l.signed_position = h.position as done from evidence_log l, feed_head h',
    )
  ).rows[0]?.done === true;

const untilSigned = async (pool: Pool): Promise<void> => await until('all is signed', () => isSigned(pool));

const run = async (stack: AsyncDisposableStack) => {
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-beside-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const simulator = await startSimulator({ seed: 1, organizations: 1, entries: 1 });
  stack.defer(() => simulator.close());
  // Durability as shipped.
  const cluster = stack.use(await startCluster({ settings: { fsync: 'on' } }));
  const { name, url } = await cluster.createDatabase();
  await cluster.sql('create role orgtrail_evidence nologin');
  await prepareForDaemon(url, cluster.url(name));
  await cluster.sql('grant orgtrail_evidence to orgtrail_test_daemon');
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-study',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: asDaemon(url),
    ORGTRAIL_SCHEDULE: '0 * * * * *',
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
  };
  await runOrgtrail(['evidence', 'init'], { ...env, DATABASE_URL: url });
  const daemon = stack.use(await startDaemonProcess(env));
  const pool = createPool(asDaemon(url), CONNECTIONS + 2, () => {});
  stack.defer(() => pool.end());
  const owner = createPool(url, 1, () => {});
  stack.defer(() => owner.end());
  const leases: Lease[] = [];
  for (let index = 0; index < CONNECTIONS; index += 1) leases.push(await newSource(owner, `source-${index}`));

  const admin = await owner.connect();
  stack.defer(() => admin.release());
  const postmaster = await findPostmaster(admin);
  // Of rounds with the builder less that of rounds without it: in both, as many pages are committed.
  const cpuMs = { process: 0, postgres: 0, events: 0 };

  const round = async (beside: boolean, connections: number, pages: number, pauseMs: number): Promise<Round> => {
    const { child } = daemon.process;
    child.kill('SIGCONT');
    await untilSigned(pool);
    const work = Array.from({ length: connections }, () => Array.from({ length: pages }, nextPage));
    if (!beside) child.kill('SIGSTOP');
    let seconds = 0;
    const { result: done, cost } = await measured({ admin, postmaster, pid: child.pid ?? 0 }, async () => {
      const beganAt = performance.now();
      const all = await Promise.all(work.map((own, index) => commitPages(pool, leases[index] as Lease, own, pauseMs)));
      seconds = (performance.now() - beganAt) / 1_000;
      if (beside) await untilSigned(pool);
      return all;
    });
    cpuMs.process += beside ? cost.processCpuMs : -cost.processCpuMs;
    cpuMs.postgres += (cost.postgresCpuMs ?? Number.NaN) * (beside ? 1 : -1);
    cpuMs.events += beside ? connections * pages * PAGE : 0;
    for (const [index, { lease }] of done.entries()) leases[index] = lease;
    return { entriesPerSecond: (connections * pages * PAGE) / seconds, tookMs: done.flatMap(({ tookMs }) => tookMs) };
  };
  return { pool, round, cpuMs };
};

/** From the moment that the newest event of a checkpoint was stored until the checkpoint was. */
const storedToSigned = async (pool: Pool, since: string) => {
  const { rows } = await pool.query<{ ms: number }>(
    `select (extract(epoch from c.made_at - e.received_at) * 1000)::float8 as ms from evidence_checkpoints c
     cross join lateral (select max(e.received_at) as received_at from audit_events e where e.received_at < c.made_at) e where c.made_at > $1`,
    [since],
  );
  const all = rows.map(({ ms }) => ms);
  return { checkpoints: all.length, p50: quantile(all, 0.5), p95: quantile(all, 0.95), most: Math.max(...all) };
};

if (values.help) console.log(help);
else {
  await using stack = new AsyncDisposableStack();
  const { pool, round, cpuMs } = await run(stack);
  const pages = Number(values.pages);
  const full = await pairsOf((beside) => round(beside, CONNECTIONS, pages, 0), Number(values.pairs));
  const { rows } = await pool.query<{ now: string }>('select clock_timestamp()::text as now');
  const pauseMs = 1_000 / API_PAGES_A_SECOND;
  const atTheApi = await pairsOf((beside) => round(beside, 1, API_ROUND_PAGES, pauseMs), Number(values.pairs));
  const signed = await storedToSigned(pool, rows[0]?.now ?? '');
  const usPerEvent = {
    process: (cpuMs.process / cpuMs.events) * 1_000,
    postgres: (cpuMs.postgres / cpuMs.events) * 1_000,
  };
  const result = {
    load: loadavg(),
    usPerEvent,
    full: summary(full),
    atTheApi: summary(atTheApi),
    storedToSignedMs: signed,
  };
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
}

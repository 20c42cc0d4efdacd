import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { compareWithTruth, isExact } from '../../src/cli/demo/verdict.sql.ts';
import { createPool } from '../../src/postgres/pool.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { documented, documentedSubscription } from '../support/deploy/documented-sql.ts';
import { type Prometheus, startPrometheus } from '../support/deploy/prometheus.ts';
import { startTcpProxy } from '../support/network/tcp-proxy.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { seededRandom } from '../support/process/seeded-random.ts';
import { until } from '../support/process/until.ts';
import { startDeliveringDaemons } from '../support/sinks/delivering-daemons.ts';
import { judgeReceived, readStore } from '../support/sinks/judge-received.ts';
import { startSinkReceivers } from '../support/sinks/sink-receivers.ts';
import { installSyslogReceivers } from '../support/sinks/syslog-receivers.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 1_124);

const noSyslog = await installSyslogReceivers();

test(`by the account that docs/operations says, every sink has every event of a run with restarts, cuts and kills (seed ${SEED})`, async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-all-sinks-'));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  if (noSyslog !== undefined) console.warn(`rsyslog and syslog-ng are left out: ${noSyslog}`);
  const [postgres, receivers, simulator] = await Promise.all([
    startPostgres(stack),
    startSinkReceivers(stack, { directory, seed: SEED, withSyslog: noSyslog === undefined }),
    startSimulator({
      seed: SEED,
      organizations: 5,
      entries: HISTORY,
      pageCap: 100,
      budget: null,
      historyMs: 2 * 86_400_000,
      faults: { equal_timestamps: 0.3, unknown_enums: 0.05, defectRate: 0.02 },
    }),
  ]);
  stack.defer(() => simulator.close());
  const { publisher, subscriber, proxy, pool, name } = postgres;
  const sinks = Object.fromEntries([...receivers].map(([sink, { settings }]) => [sink, settings]));
  const daemons = await startDeliveringDaemons(
    stack,
    {
      CLOUDFLARE_API_TOKEN: 'token-of-the-test',
      CLOUDFLARE_BASE_URL: simulator.baseUrl,
      DATABASE_URL: postgres.daemonUrl,
      ORGTRAIL_API_BUDGET: '1000000',
      ORGTRAIL_HISTORY: '3d',
      ORGTRAIL_SCHEDULE: '* * * * * *',
      ORGTRAIL_CONCURRENCY: '2',
      ORGTRAIL_LEASE: '3s',
      ORGTRAIL_SINKS: JSON.stringify(sinks),
    },
    { pool, seed: SEED + 1 },
  );
  const prometheus = await startPrometheus(daemons.url, directory, '1s');
  if (prometheus === undefined) console.warn('Prometheus is left out: it is not installed');
  else stack.use(prometheus);

  const endStream = stream(simulator);
  stack.defer(endStream);
  const random = seededRandom(SEED + 2);
  const restarts = [...receivers.values()].flatMap((receiver) =>
    RESTARTS.map((how) => () => receiver.restart(how, MIN_PAUSE_MS + random() * 500)),
  );
  const cutSubscriber = async () => {
    await proxy.cut();
    await sleep(random() * 500);
    await proxy.restore();
  };
  const crash = (cluster: PostgresCluster) => async () => {
    await cluster.stop('immediate');
    await cluster.start();
  };
  const kills = Array.from({ length: KILLS }, () => daemons.kill);
  const cuts = Array.from({ length: SUBSCRIBER_CUTS }, () => cutSubscriber);
  await daemons.untilDelivered(1);
  await Promise.all([
    carryOut([...kills, crash(publisher), crash(subscriber), ...cuts], SEED + 3, 1_000),
    carryOut(restarts, SEED + 4, 800),
  ]);
  endStream();

  const exact = async () => isExact(await compareWithTruth(pool, simulator));
  await until('exactly what was served is stored', exact);
  const store = await readStore(pool);
  const behind = 'select name, position::integer, failures, last_error from sinks where position < $1';
  await until('all is delivered', async () => (await pool.query(behind, [store.length])).rows.length === 0).catch(
    async (error: unknown) => {
      throw new Error(`${error}\n${JSON.stringify((await pool.query(behind, [store.length])).rows, null, 1)}`);
    },
  );
  const arrived = 'select count(*)::integer as count from audit_events';
  await until('all is replicated', async () => (await subscriber.sql(arrived))[0]?.['count'] === store.length);
  if (prometheus !== undefined) {
    console.log(`Prometheus: ${await expectScraped(prometheus, [...receivers.keys()], store.length)}`);
  }
  await daemons.stop();

  console.log(
    `${store.length} events; ${daemons.kills()} kills of daemons, which held ${daemons.turnsCut()} turns at sinks then; publisher crashed once`,
  );
  const deadLetters = await pool.query('select sink, position, reason from sink_dead_letters');
  expect(deadLetters.rows).toEqual([]);
  const wrong: Record<string, unknown> = {};
  let allRepeats = 0;
  for (const [sink, receiver] of receivers) {
    const found = await judgeReceived(receiver, store);
    // While one event is not taken alone, those behind it are tried (docs/sinks.md): a receiver that is slow or away may see it later.
    const mayBeLate = sink === 'file' ? 0 : RESTARTS.length + receiver.cuts();
    wrong[sink] = { ...found.wrong, outOfOrder: Math.max(0, found.wrong.outOfOrder - mayBeLate) };
    const { events, repeats } = found;
    const restarted = sink === 'file' ? 'times without its directory' : 'restarts';
    console.log(
      `${sink}: ${events} events, ${repeats} repeats, ${RESTARTS.length} ${restarted}, ${receiver.cuts()} cuts`,
    );
    allRepeats += repeats;
  }
  const none = { missing: 0, unknown: 0, changed: 0, outOfOrder: 0 };
  expect(wrong).toEqual(Object.fromEntries([...receivers.keys()].map((sink) => [sink, none])));
  // Otherwise nothing was under way in all that happened.
  expect([daemons.turnsCut() > KILLS, allRepeats > 0]).toEqual([true, true]);

  const [columns] = await subscriber.sql(
    "select string_agg(column_name, ', ' order by ordinal_position) as all from information_schema.columns where table_name = 'audit_events'",
  );
  const rows = await rowsOf(publisher, String(columns?.['all']), name);
  expect(rows).toHaveLength(store.length);
  expect(await rowsOf(subscriber, String(columns?.['all']))).toEqual(rows);
  console.log(`PostgreSQL subscriber: ${rows.length} events, each once; crashed once, ${SUBSCRIBER_CUTS} cuts`);
});

const HISTORY = 2_500;
const LIVE_PER_SECOND = 50;
const KILLS = 6;
/** What is done to each receiver, once each. */
const RESTARTS = ['stop', 'kill'] as const;
const SUBSCRIBER_CUTS = 2;
/** With gtls, a receiver that dies is found out if it takes no connections for 50 ms (docs/decisions/16). */
const MIN_PAUSE_MS = 100;

type Step = () => Promise<void>;

/** In an order that the seed decides, each after a pause that it decides. */
const carryOut = async (steps: readonly Step[], seed: number, longestPauseMs: number): Promise<void> => {
  const random = seededRandom(seed);
  const shuffled = steps
    .map((step) => ({ step, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ step }) => step);
  for (const step of shuffled) {
    await sleep(random() * longestPauseMs);
    await step();
  }
};

/** A source with the schema, and another PostgreSQL that follows it by way of a proxy, as documented. */
const startPostgres = async (stack: AsyncDisposableStack) => {
  const start = async (settings: Readonly<Record<string, string>>) => stack.use(await startCluster({ settings }));
  const [publisher, subscriber] = await Promise.all([
    start({ wal_level: 'logical' }),
    start({ wal_retrieve_retry_interval: '100ms' }),
  ]);
  const { name, url } = await publisher.createDatabase();
  for (const role of ['orgtrail_ingest', 'orgtrail_reader']) await publisher.sql(`create role ${role}`);
  expect(await runInProcess(['migrate', '--roles', '--publication'], { DATABASE_URL: url })).toMatchObject({ code: 0 });
  await publisher.sql(documented('at the source: account'), name);
  await subscriber.sql(documented('at the subscriber: tables'));
  const proxy = stack.use(await startTcpProxy(publisher));
  await subscriber.sql(documentedSubscription(proxy.port, name));
  const pool = createPool(url, 2, () => {});
  stack.defer(() => pool.end());
  const daemonUrl = await prepareForDaemon(url, publisher.url());
  return { publisher, subscriber, proxy, pool, name, daemonUrl };
};

/** New entries all the time, in all organizations by turns. Returns what ends that. */
const stream = (simulator: Simulator): (() => void) => {
  const ids = simulator.summary().organizations.map(({ id }) => id);
  let turn = 0;
  const timer = setInterval(() => simulator.generate(ids[turn++ % ids.length] ?? '', LIVE_PER_SECOND / 20), 50);
  return () => clearInterval(timer);
};

/** Every column that is published, to the byte. */
const rowsOf = async (cluster: PostgresCluster, columns: string, name?: string) =>
  await cluster.sql(`select position, row(${columns})::text as row from audit_events order by position`, name);

const expectScraped = async (prometheus: Prometheus, sinks: readonly string[], last: number): Promise<string> => {
  const each = (value: number) => new Map(sinks.map((sink) => [sink, value]));
  // Not one after the other: a scrape that a busy machine does not answer in time ends every series until the next one.
  await until('Prometheus has seen the end', async () => {
    const [feed, positions, lags] = await Promise.all(
      ['orgtrail_feed_position', 'orgtrail_sink_position', 'orgtrail_sink_lag_events'].map(prometheus.query),
    );
    return isDeepStrictEqual([feed, positions, lags], [new Map([['', last]]), each(last), each(0)]);
  });
  expect(await prometheus.query('resets(orgtrail_sink_position[10m])'), 'no position ever went back').toEqual(each(0));
  const [scrapes, failed] = await Promise.all(
    ['count_over_time(up[10m])', 'count_over_time(up[10m]) - sum_over_time(up[10m])'].map(
      async (expression) => (await prometheus.query(expression)).get('') ?? 0,
    ),
  );
  return `${scrapes} scrapes, ${failed} of them while the daemon was away; position ${last} of the feed and of each sink, lag 0`;
};

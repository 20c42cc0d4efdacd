import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { openFullWorld } from '../../support/feed/many-events.ts';
import { behaviours, type LoadName, type RunningLoad, startLoad } from '../../support/feed/reader-loads.ts';
import { idle } from '../../support/postgres/idle.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { type RunningDaemon, startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const world = ofAllTests(() => openFullWorld(EVENTS));
const login = ofAllTests(async () => {
  await migrateDatabase(world.database.pool, { roles: true });
  return await createLogin(world.database, ['orgtrail_ingest']);
});
afterEach(async () => {
  for (const { stop } of running.splice(0)) await stop();
});

test('a reader that stops reading grows no memory and holds nothing in the database, and can read on to the end', async () => {
  const { url, pid } = await openDaemon({ ORGTRAIL_STALL_TIMEOUT: '1h' });
  const read = async (response: IncomingMessage) => {
    let lines = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) for (const byte of chunk) if (byte === 10) lines += 1;
    return lines;
  };
  const ask = async () => {
    const [response] = (await once(get(`${url}/v1/events?limit=${EVENTS}`), 'response')) as [IncomingMessage];
    return response;
  };
  // What one that reads costs is no growth.
  expect(await read(await ask())).toBe(EVENTS);
  const before = await usageOf(pid);

  const stalled = await ask();
  await idle(pid);
  const halted = await usageOf(pid);
  expect(halted.residentBytes - before.residentBytes).toBeLessThan(ROOM_BYTES);
  // What the daemon does now and then, as to write its trail of access, is over in a moment.
  await until('nothing is held in the database', async () => {
    const { rowCount } = await world.database.pool.query(
      `select from pg_stat_activity
       where datname = current_database() and backend_type = 'client backend' and state <> 'idle' and pid <> pg_backend_pid()`,
    );
    return rowCount === 0;
  });
  // Others are served meanwhile.
  expect(await read(await ask())).toBe(EVENTS);
  expect(await read(stalled)).toBe(EVENTS);
  const after = await usageOf(pid);
  expect(after.peakResidentBytes - before.residentBytes).toBeLessThan(3 * ROOM_BYTES);
});

test('orgtrail feed into a pipe that is not read waits, grows no memory, and after SIGTERM leaves with the next write', async () => {
  const running = startOrgtrail(['feed', '--follow'], { DATABASE_URL: world.database.daemonUrl });
  const { child } = running;
  child.stdout?.removeAllListeners('data').pause();
  const pid = child.pid ?? 0;
  await until('it has begun', async () => (await usageOf(pid)).cpuMs > 300);
  await idle(pid);
  expect((await usageOf(pid)).residentBytes).toBeLessThan(200 * 1_048_576);
  child.kill('SIGTERM');
  child.stdout?.resume();
  expect(await running.ended).toBe(143);
});

test('50 readers and 50 exports that read nothing fit into 350 MB, and pages of search are served beside them', async () => {
  // A busy machine may take more than a minute for all this: none of them is to be cut meanwhile.
  const { start, pid, metric, expectHealthy } = await openDaemon({ ORGTRAIL_STALL_TIMEOUT: '1h' });
  const readers = start('stalled readers');
  await until('all are answered', async () => readers.counts().statuses[200] === 50);
  await idle(pid);
  await expectHealthy();
  expect(await metric('orgtrail_streams_open{kind="feed"}')).toBe(50);
  expect(await metric('orgtrail_stream_memory_bytes')).toBeLessThanOrEqual(64 * 1_048_576);
  const exports = start('stalled exports');
  await until('two run, the others are refused', async () => {
    const { statuses } = exports.counts();
    return statuses[200] === 2 && (statuses[503] ?? 0) >= 44;
  });
  await expectHealthy();
  expect(readers.counts()).toEqual({ statuses: { 200: 50 }, whole: 0, cut: 0 });
});

test('readers that take nothing for ORGTRAIL_STALL_TIMEOUT are cut off, and their memory is free again', async () => {
  const { start, metric } = await openDaemon({ ORGTRAIL_STALL_TIMEOUT: '2s' });
  const readers = start('stalled readers');
  await until('all are cut', async () => (await metric('orgtrail_streams_stalled_total{kind="feed"}')) >= 50);
  readers.stop();
  await until('nothing is lent', async () => (await metric('orgtrail_stream_memory_bytes')) === 0);
  await until('no stream is open', async () => (await metric('orgtrail_streams_open{kind="feed"}')) === 0);
});

test('50 fast readers fit into 350 MB, and each gets whole answers', async () => {
  const { start, expectHealthy } = await openDaemon();
  const readers = start('fast readers');
  await until('as many whole answers', async () => readers.counts().whole >= 50);
  await expectHealthy();
  expect(readers.counts().cut).toBe(0);
});

test('200 long polls are all answered when something comes', async () => {
  const { start, expectHealthy } = await openDaemon({ ORGTRAIL_SCHEDULE: '* * * * * *' });
  const polls = start('long polls');
  await until('some wait', async () => {
    const { rowCount } = await world.database.pool.query("select from pg_stat_activity where query like 'listen %'");
    return rowCount === 1;
  });
  for (const id of ids()) world.simulator.generate(id, 1);
  await until('all have their event', async () => polls.counts().whole >= 200);
  await expectHealthy();
  expect(Object.keys(polls.counts().statuses)).toEqual(['200']);
});

test('20 exports at once come one after the other, each whole, and pages are served beside them', async () => {
  const { start, expectHealthy } = await openDaemon();
  const exports = start('exports');
  await until('some are whole', async () => exports.counts().whole >= 4);
  await expectHealthy();
  expect(exports.counts().cut).toBe(0);
  expect(exports.counts().statuses[503]).toBeGreaterThanOrEqual(14);
});

const EVENTS = 60_000;
/** All manifests give the daemon 512 MB. */
const MAX_RESIDENT_BYTES = 350 * 1_048_576;
/** Two pieces of eight megabytes at most, what the kernel and the collector hold beside them, and some noise. */
const ROOM_BYTES = 40 * 1_048_576;
const NEVER = '0 0 0 1 1 *';
const running: { stop(): unknown }[] = [];
const ids = () => world.simulator.summary().organizations.map(({ id }) => id);

/** A daemon of the recommended account, and what its readers do. */
const openDaemon = async (env: Readonly<Record<string, string>> = {}) => {
  const daemon: RunningDaemon = await startDaemonProcess({
    ...world.env,
    DATABASE_URL: login.url,
    ORGTRAIL_SCHEDULE: NEVER,
    ...env,
  });
  running.push(daemon);
  const url = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
  const { rows } = await world.database.pool.query('select position::float8 as position from feed_head');
  const start = (name: LoadName): RunningLoad => {
    const load = startLoad(url, behaviours(rows[0]?.position, ids())[name]);
    running.unshift(load);
    return load;
  };
  const pid = daemon.process.child.pid ?? 0;
  return {
    url,
    start,
    pid,
    metric: async (name: string) => parseMetrics((await daemon.get('/metrics')).text).get(name) ?? Number.NaN,
    expectHealthy: async () => {
      expect((await daemon.get('/livez')).code).toBe(200);
      expect((await daemon.get('/v1/search?limit=5')).code).toBe(200);
      expect((await usageOf(pid)).peakResidentBytes).toBeLessThan(MAX_RESIDENT_BYTES);
    },
  };
};

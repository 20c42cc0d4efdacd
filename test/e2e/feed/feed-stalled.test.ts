import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { openFullWorld } from '../../support/feed/many-events.ts';
import { idle } from '../../support/postgres/idle.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';

const world = ofAllTests(() => openFullWorld(EVENTS));

test('a reader that stops reading grows no memory and holds nothing in the database, and can read on to the end', async () => {
  // No tick while it is measured; and a busy machine may take more than the minute after which a stalled reader is cut.
  const env = { ...world.env, ORGTRAIL_SCHEDULE: '0 0 0 1 1 *', ORGTRAIL_STALL_TIMEOUT: '1h' };
  await using daemon = await startDaemonProcess(env);
  const url = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
  const pid = daemon.process.child.pid ?? 0;
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
  expect((await usageOf(pid)).residentBytes).toBeLessThan(200 * MIB);
  child.kill('SIGTERM');
  child.stdout?.resume();
  expect(await running.ended).toBe(143);
});

const EVENTS = 120_000;
const MIB = 1_048_576;
/** Two pieces of eight megabytes at most, what the kernel and the collector hold beside them, and some noise. */
const ROOM_BYTES = 40 * MIB;

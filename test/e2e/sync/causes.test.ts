import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import type { Cause } from '../../../src/status/causes.ts';
import { listen } from '../../support/network/listen.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const HOUR_MS = 3_600_000;
const token = 'token-of-the-test';

test('what is wrong is named with what to do, one line for each cause: status, /healthz, console and log', async () => {
  const accepted = [{ token }];
  await using world = await openWorld({ entries: 60, clockOffsetMs: HOUR_MS, credentials: accepted });
  const [first] = world.simulator.summary().organizations;
  await using poisoned = await listen(createServer((_, response) => void response.writeHead(500).end('poison')));
  const siem = { type: 'http', url: `http://127.0.0.1:${poisoned.port}/`, gzip: false };
  const env = { ...world.env, ORGTRAIL_SINKS: JSON.stringify({ siem }) };
  await using daemon = await startDaemonProcess(env);
  // None while connections of the daemon have just been ended.
  const causes = async (): Promise<readonly Cause[]> => JSON.parse((await daemon.get('/healthz')).text).causes ?? [];
  const shown = () => runOrgtrail(['status', '--fail-on', 'failing'], env);
  const timesSaid = (name: string): number =>
    daemon.process.stdout().match(new RegExp(`"cause":"${name}[^\n]*"action":`, 'g'))?.length ?? 0;
  const named: string[] = [];
  /** Everywhere, in one line, however many logs have it. */
  const expectNamed = async (name: string, line: RegExp): Promise<void> => {
    const found = async () => (await causes()).filter(({ cause }) => cause === name);
    await until(`/healthz names ${name}`, async () => (await found()).length > 0);
    const seen = await found();
    expect(seen).toEqual([expect.objectContaining({ action: expect.any(String), since: expect.any(String) })]);
    const linesOf = ({ stdout }: { stdout: string }) => stdout.split('\n').filter((text) => line.test(text));
    let status = { stdout: '', code: 0 as number | string };
    await until(`status names ${name}`, async () => {
      status = await shown();
      return linesOf(status).length > 0;
    });
    expect(linesOf(status), status.stdout).toEqual([expect.stringMatching(/\. Try: ./)]);
    expect(status.code, status.stdout).toBe(1);
    expect((await daemon.get('/')).text).toContain(seen[0]?.action.slice(0, 12));
    await until(`the log names ${name}`, async () => timesSaid(name) > 0);
    named.push(name);
  };

  await until('something is stored', async () => (await world.compare()).stored > 0);
  world.simulator.setRefused(first?.id ?? '', true);
  await expectNamed('access_lost', /^refused: .*was answered with 403/);
  await expectNamed('clocks_differ', /^behind: clocks differ: the database is (1h|59m .*) behind Cloudflare/);
  await expectNamed('sink_failing', /^failing: the sink siem is stuck after position \d+, /);

  world.simulator.setRefused(first?.id ?? '', false);
  accepted.splice(0);
  await expectNamed('credential_refused', /^refused: the credential is refused everywhere, for all 3 logs: /);
  accepted.push({ token });
  await world.endRests();
  await until('the log says that it is over', async () => daemon.process.stdout().includes('over: the credential is'));

  world.simulator.faults.set({ throttled: { probability: 1 }, retryAfterSeconds: 600 });
  await expectNamed('requests_wait', /^behind: requests wait: .* more, because Cloudflare limits them .*, until 20/);

  await setReadOnly(world, true);
  await expectNamed('database_read_only', /^failing: the database is read-only/);
  expect((await runOrgtrail(['check'], env)).stdout).toMatch(
    /^FAIL {2}writing +the database is read-only: .*\n +Try: lead DATABASE_URL to the primary/m,
  );
  await setReadOnly(world, false);

  daemon.process.child.kill('SIGKILL');
  await daemon.process.ended;
  await letMinutesPass(world);
  const { stdout, code } = await shown();
  expect(stdout).toMatch(/^failing: no daemon has written for 9m .*: is it running\? \(since .*\)\. Try: start it/m);
  expect(code).toBe(1);
  for (const name of named) expect(timesSaid(name), name).toBe(1);
});

/** For sessions that begin, and those of the daemon are ended. */
const setReadOnly = async ({ database }: SyncWorld, isOn: boolean): Promise<void> => {
  const client = await database.pool.connect();
  const name = new URL(database.url).pathname.slice(1);
  const change = isOn ? 'set default_transaction_read_only = on' : 'reset default_transaction_read_only';
  try {
    await client.query('set default_transaction_read_only = off');
    await client.query(`alter database "${name}" ${change}`);
    const others = 'pid <> pg_backend_pid() and datname = current_database() and usename <> current_user';
    await client.query(`select pg_terminate_backend(pid) from pg_stat_activity where ${others}`);
  } finally {
    client.release();
  }
};

/** As if the last note were nine minutes old; a trigger would write that of now. */
const letMinutesPass = async ({ database }: SyncWorld): Promise<void> => {
  await database.pool.query(
    `set session_replication_role = replica; update feed_head set alive_at = now() - interval '9 minutes 5 seconds';
     reset session_replication_role`,
  );
};

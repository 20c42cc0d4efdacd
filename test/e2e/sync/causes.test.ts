import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import type { Cause } from '../../../src/status/causes.ts';
import { openSigningWorld } from '../../support/evidence/signing-world.ts';
import { listen } from '../../support/network/listen.ts';
import { addressOf, byWayOf, startTcpProxy } from '../../support/network/tcp-proxy.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { type RunningDaemon, startDaemonProcess } from '../../support/process/running-daemon.ts';
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
  const { expectNamed, shown, timesSaid, named } = watching(daemon, env);

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

test('so are a copy of the database, a month that stays, a listing that fails, evidence without its key, and a database that is away', async () => {
  await using signing = await openSigningWorld({ organizations: 2, entries: 50 });
  const { world, login } = signing;
  expect(await runOrgtrail(['evidence', 'init'], signing.env)).toMatchObject({ code: 0 });
  {
    await using _ = await startDaemonProcess(signing.env);
    await signing.untilSigned({ atLeast: 50 });
    const known = 'select from feed_head where database_oid is not null';
    await until('it knows its server', async () => (await world.database.pool.query(known)).rowCount === 1);
  }
  const copy = await createTestDatabase({ copyOf: world.database });
  await using _copy = { [Symbol.asyncDispose]: () => copy.close() };
  const old = "audit_events_2020_01 partition of audit_events for values from ('2020-01-01Z') to ('2020-02-01Z')";
  await copy.pool.query(`create table ${old}`);
  await using proxy = await startTcpProxy(addressOf(copy.url));
  const url = new URL(login.url);
  url.pathname = new URL(copy.url).pathname;
  const env = { ...signing.env, DATABASE_URL: byWayOf(proxy, url.href), ORGTRAIL_RETENTION: '400d' };
  await using daemon = await startDaemonProcess(env);
  const { expectNamed, shown, timesSaid, named } = watching(daemon, env);

  await expectNamed('retention_waits', /^note: retention drops nothing before .*: the database is a copy/, 0);
  await expectNamed('retention_held_up', /^note: months that have been older .* in the database: 1\b/, 0);
  world.simulator.faults.set({ listing_away: { status: 503 } });
  await expectNamed('listing_fails', /^(note|behind): the listing of organizations fails: .*503/);
  world.simulator.faults.set({ listing_away: null });
  await until('the log says that it is over', async () => daemon.process.stdout().includes('over: the listing of'));
  await copy.pool.query("select orgtrail_order_evidence_key('compromised', $1, 604800000, 'an operator')", [
    randomBytes(32),
  ]);
  await expectNamed('evidence_no_key', /^failing: evidence is no longer signed \(no key\): /);

  await proxy.cut();
  const action = 'Try: check DATABASE_URL, that the server runs';
  for (const path of ['/healthz', '/'])
    await until(`${path} says what to do`, async () => (await daemon.get(path)).text.includes(action));
  expect(await shown()).toMatchObject({ code: 4, stderr: expect.stringContaining('Try: ') });
  await until('the log names it', async () => timesSaid('database_unreachable') > 0);
  await proxy.restore();
  await until('it is over', async () => daemon.process.stdout().includes('over: the database does not answer'));
  for (const name of [...named, 'database_unreachable']) expect(timesSaid(name), name).toBe(1);
});

/** What a daemon names, where a person looks. */
const watching = (daemon: RunningDaemon, env: Readonly<Record<string, string>>) => {
  // None while connections of the daemon have just been ended.
  const causes = async (): Promise<readonly Cause[]> => JSON.parse((await daemon.get('/healthz')).text).causes ?? [];
  const shown = () => runOrgtrail(['status', '--fail-on', 'failing'], env);
  const timesSaid = (name: string): number =>
    daemon.process.stdout().match(new RegExp(`"cause":"${name}[^\n]*"action":`, 'g'))?.length ?? 0;
  const named: string[] = [];
  /** Everywhere, in one line, however many logs have it. */
  const expectNamed = async (name: string, line: RegExp, code = 1): Promise<void> => {
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
    expect(status.code, status.stdout).toBe(code);
    expect((await daemon.get('/')).text.replaceAll(/<.?code>/g, '`')).toContain(seen[0]?.action.slice(0, 12));
    await until(`the log names ${name}`, async () => timesSaid(name) > 0);
    named.push(name);
  };
  return { expectNamed, shown, timesSaid, named };
};

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

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startSimulator } from '../../src/simulator/simulator.ts';
import type { Simulator } from '../../src/simulator/simulator-interface.ts';
import { asDaemon, prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import { takeBaseBackup } from '../support/postgres/base-backup.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { type PostgresProxy, startPostgresProxy } from '../support/postgres/wire/postgres-proxy.ts';
import { runOrgtrail } from '../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../support/process/running-daemon.ts';
import { until } from '../support/process/until.ts';

/** New entries of each organization, so often, all the time. */
const EACH = 3;
const EVERY_MS = 100;

let stack: AsyncDisposableStack;
let server: PostgresCluster;
let proxy: PostgresProxy;
let simulator: Simulator;
let name: string;
let worm: string;
let env: Readonly<Record<string, string>>;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-evidence-backup-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  worm = join(folder, 'worm');
  await mkdir(worm);
  server = stack.use(await startCluster());
  proxy = stack.use(await startPostgresProxy(server));
  const created = await server.createDatabase();
  name = created.name;
  await server.sql('create role orgtrail_evidence nologin');
  await prepareForDaemon(created.url, server.url(name));
  await server.sql('grant orgtrail_evidence to orgtrail_test_daemon');
  simulator = await startSimulator({ seed: 31, organizations: 3, entries: 600, budget: null });
  stack.defer(() => simulator.close());
  const load = setInterval(() => {
    for (const { id } of simulator.summary().organizations) simulator.generate(id, EACH);
  }, EVERY_MS);
  stack.defer(() => clearInterval(load));
  env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-backup-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: asDaemon(byWayOf(proxy, created.url)),
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_SCHEDULE: '* * * * * *',
    ORGTRAIL_SETTLE: 'none',
    ORGTRAIL_LEASE: '5s',
    ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
    ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    ORGTRAIL_EVIDENCE_INTERVAL: '1s',
  };
  await runOrgtrail(['evidence', 'init'], { ...env, DATABASE_URL: byWayOf(proxy, created.url) });
});

afterEach(async () => {
  await stack.disposeAsync();
});

const signedOn = async (one: PostgresCluster): Promise<readonly string[]> =>
  (await one.sql(`select log || ' ' || size as signed from evidence_checkpoints`, name)).map((row) =>
    String(row['signed']),
  );

const largest = (signed: readonly string[]): number =>
  Math.max(0, ...signed.flatMap((each) => (each.startsWith('events ') ? Number(each.slice(7)) : [])));

const untilSigned = async (beyond: number): Promise<void> =>
  await until(`more than ${beyond} events are signed`, async () => largest(await signedOn(server)) > beyond);

/** The restored server takes over; resolves when the process has said that nothing is signed, after nothing was. */
const expectNoticed = async (
  restored: PostgresCluster,
  daemon: { readonly process: { waitFor(text: string): Promise<void>; stdout(): string } },
  state: RegExp,
  before: readonly string[],
) => {
  await daemon.process.waitFor('nothing is signed');
  expect(daemon.process.stdout()).toMatch(state);
  expect(await signedOn(restored)).toEqual(before);
  const [row] = await restored.sql(`select count(*)::integer as events from audit_events`, name);
  await until('entries are still stored', async () => {
    const [now] = await restored.sql(`select count(*)::integer as events from audit_events`, name);
    return Number(now?.['events']) > Number(row?.['events']);
  });
  expect(await signedOn(restored)).toEqual(before);
};

test('a base backup, restored as a copy beside a daemon that goes on: it knows what it has signed', async () => {
  await using daemon = await startDaemonProcess(env);
  await untilSigned(0);
  const backup = await takeBaseBackup(server);
  await untilSigned(largest(await signedOn(server)) + 20);
  await using restored = await backup.restore({ newTimeline: false });
  const before = await signedOn(restored);
  await server.stop('immediate');
  proxy.pointTo(restored);
  await expectNoticed(restored, daemon, /evidence is (behind|forked)/, before);
});

test('a base backup, restored as a copy when no daemon was left: the anchor knows', async () => {
  const anchored = { ...env, ORGTRAIL_EVIDENCE_ANCHORS: `file:${worm}` };
  const backup = await (async () => {
    await using _ = await startDaemonProcess(anchored);
    await untilSigned(0);
    return await takeBaseBackup(server);
  })();
  await using restored = await backup.restore({ newTimeline: false });
  const before = await signedOn(restored);
  {
    await using _ = await startDaemonProcess(anchored);
    await untilSigned(largest(before));
  }
  {
    // An anchor is given what is signed at a start, and then every five minutes.
    await using _ = await startDaemonProcess(anchored);
    await until('a checkpoint is anchored that the backup lacks', async () => {
      const kept = await readdir(join(worm, 'events/checkpoints')).catch(() => []);
      return Math.max(0, ...kept.map(Number).filter(Number.isFinite)) > largest(before);
    });
  }
  await server.stop('immediate');
  proxy.pointTo(restored);
  await using daemon = await startDaemonProcess(anchored);
  await expectNoticed(restored, daemon, /evidence is (behind|forked)/, before);
});

test('a base backup, recovered to its end when no daemon was left, without an anchor: the timeline tells', async () => {
  const backup = await (async () => {
    await using _ = await startDaemonProcess(env);
    await untilSigned(0);
    const taken = await takeBaseBackup(server);
    await untilSigned(largest(await signedOn(server)) + 20);
    return taken;
  })();
  await using restored = await backup.restore({ newTimeline: true });
  const before = await signedOn(restored);
  await server.stop('immediate');
  proxy.pointTo(restored);
  await using daemon = await startDaemonProcess(env);
  await expectNoticed(restored, daemon, /evidence is forked/, before);
});

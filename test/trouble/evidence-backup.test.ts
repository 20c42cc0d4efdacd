import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { setRetentionPolicy } from '../../src/archive/retention.sql.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { asDaemon, prepareForDaemon } from '../support/accounts/daemon-account.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import { takeBaseBackup } from '../support/postgres/base-backup.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { commit, entryText, newSource } from '../support/postgres/store-fixture.ts';
import { startPostgresProxy } from '../support/postgres/wire/postgres-proxy.ts';
import { ofEachTest } from '../support/process/of-tests.ts';
import { runOrgtrail } from '../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../support/process/running-daemon.ts';
import { until } from '../support/process/until.ts';

const server = ofEachTest(startCluster);
const proxy = ofEachTest(() => startPostgresProxy(server));
const simulator = ofEachTest(() => startSimulator({ seed: 31, organizations: 3, entries: 600, budget: null }));
// Declared last, so that it is closed first.
const stack = ofEachTest(() => new AsyncDisposableStack());
let name: string;
let worm: string;
let env: Readonly<Record<string, string>>;
beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-evidence-backup-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  worm = join(folder, 'worm');
  await mkdir(worm);
  const created = await createPrepared(server);
  name = created.name;
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

test('a base backup, restored as a copy beside a daemon that goes on: it knows what it has signed (invariant 15)', async () => {
  await using daemon = await startDaemonProcess(env);
  await untilSigned(0);
  const backup = await takeBaseBackup(server);
  await untilSigned(largest(await signedOn(server)) + 20);
  await using restored = await backup.restore({ newTimeline: false });
  const before = await signedOn(restored);
  await server.stop('immediate');
  proxy.pointTo(restored);
  await expectNoticed(restored, daemon, /evidence is behind/, before);
});

test('a base backup, restored as a copy when no daemon was left: the anchor knows (invariant 15)', async () => {
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
      const kept = await readdir(join(worm, 'log-1/checkpoints')).catch(() => []);
      return Math.max(0, ...kept.map(Number).filter(Number.isFinite)) > largest(before);
    });
  }
  await server.stop('immediate');
  proxy.pointTo(restored);
  await using daemon = await startDaemonProcess(anchored);
  await expectNoticed(restored, daemon, /evidence is behind/, before);
});

test('a base backup, recovered to its end when no daemon was left, without an anchor: the timeline tells (invariant 15)', async () => {
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
  await expectNoticed(restored, daemon, /evidence is behind/, before);
});

const eventsOn = async (one: PostgresCluster, database: string): Promise<readonly string[]> =>
  (await one.sql(`select position || ' ' || id as event from audit_events order by position`, database)).map((row) =>
    String(row['event']),
  );

/** What `pg_dump` and `pg_restore` do with the rows; those of the tests are older than the server. */
const copyRows = async (other: PostgresCluster, database: string): Promise<void> => {
  const tables = await server.sql(
    `select c.oid::regclass::text as name, string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition group by c.oid`,
    name,
  );
  const file = `${server.directory}/rows`;
  await other.sql(`truncate ${tables.map((table) => table['name']).join(', ')}`, database);
  for (const { name: table, columns } of tables) {
    await server.sql(`copy (select ${columns} from ${table}) to '${file}'`, name);
    await other.sql(`set session_replication_role = replica; copy ${table} (${columns}) from '${file}'`, database);
  }
};

test('a dump, restored on a new server where each object has the oid that it had: positions jump, and no month is dropped (invariant 15)', async () => {
  const old = `select count(*)::integer as old from audit_events where action_time < '2024-02-01'`;
  const oids = `select 'feed_head'::regclass::oid as head, oid from pg_database where datname = current_database()`;
  const pool = stack.adopt(
    createPool(server.url(name), 2, () => {}),
    (each) => each.end(),
  );
  await setRetentionPolicy(pool, 365 * 86_400_000);
  const january = `select orgtrail_create_partitions('2024-01-01', '2024-01-02')`;
  await pool.query(january);
  await commit(pool, await newSource(pool, 'o'), [entryText('old', Date.UTC(2024, 0, 15))]);
  {
    await using _ = await startDaemonProcess(env);
    await untilSigned(0);
  }
  await using other = await startCluster();
  const restored = await createPrepared(other);
  expect(await other.sql(oids, restored.name)).toEqual(await server.sql(oids, name));
  await other.sql(january, restored.name);
  await copyRows(other, restored.name);
  const dumped = await eventsOn(server, name);
  {
    await using _ = await startDaemonProcess(env);
    await until('more is stored', async () => (await eventsOn(server, name)).length > dumped.length + 20);
  }
  const lost = new Map((await eventsOn(server, name)).map((event) => event.split(' ') as [string, string]));

  await using daemon = await startDaemonProcess({
    ...env,
    DATABASE_URL: asDaemon(restored.url),
    ORGTRAIL_RETENTION: '365d',
  });
  await until('retention has looked', async () => /(kept|dropped) a month/.test(daemon.process.stdout()));
  expect(await other.sql(old, restored.name)).toEqual([{ old: 1 }]);
  expect(daemon.process.stdout()).toContain(': the database failed over or was restored; `orgtrail hold confirm`');
  await daemon.process.waitFor('nothing is signed');
  await until('entries are stored', async () => (await eventsOn(other, restored.name)).length > dumped.length + 20);
  const twice = (await eventsOn(other, restored.name)).filter((event) => {
    const [position = '', id] = event.split(' ');
    return lost.has(position) && lost.get(position) !== id;
  });
  expect(twice).toEqual([]);
});

/** New entries of each organization, so often, all the time. */
const EACH = 3;
const EVERY_MS = 100;

/** Always by the same statements: on two new servers each object gets the same oid. */
const createPrepared = async (one: PostgresCluster): Promise<{ readonly name: string; readonly url: string }> => {
  const created = await one.createDatabase();
  await one.sql('create role orgtrail_evidence nologin');
  await prepareForDaemon(created.url, one.url(created.name));
  await one.sql('grant orgtrail_evidence to orgtrail_test_daemon');
  return created;
};

/** The sizes that were signed, in order. */
const signedOn = async (one: PostgresCluster): Promise<readonly number[]> =>
  (await one.sql(`select size from evidence_checkpoints order by size`, name)).map(({ size }) => Number(size));

const largest = (signed: readonly number[]): number => signed.at(-1) ?? 0;

const untilSigned = async (beyond: number): Promise<void> =>
  await until(`more than ${beyond} leaves are signed`, async () => largest(await signedOn(server)) > beyond);

/** The restored server takes over; resolves when the process has said that nothing is signed, after nothing was. */
const expectNoticed = async (
  restored: PostgresCluster,
  daemon: { readonly process: { waitFor(text: string): Promise<void>; stdout(): string } },
  state: RegExp,
  before: readonly number[],
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

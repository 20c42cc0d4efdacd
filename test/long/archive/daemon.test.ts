import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { findState } from '../../../src/archive/restore/state-object.ts';
import { setRetentionPolicy } from '../../../src/archive/retention.sql.ts';
import { openObjectStore } from '../../../src/archive/store.ts';
import { january } from '../../support/archive/archive-world.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import {
  commit,
  entryText,
  newSource,
  RETENTION_DAYS,
  RETENTION_MS,
  T0,
} from '../../support/postgres/store-fixture.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type RunningDaemon, startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** Every third is young, and one is held. */
const EVENTS = 40;
const texts = Array.from({ length: EVENTS }, (_, n) =>
  entryText(`e-${n}`, n % 3 === 0 ? T0 + n : january + n, { request: `\n${n}` }),
);
const held = entryText('held', january + 31 * 86_400_000);
let env: Readonly<Record<string, string>>;
let archiving: Readonly<Record<string, string>>;
/** Which drops nothing. */
let reading: Readonly<Record<string, string>>;
const { folder: directory } = temporaryFolder();
const world = forAllTests(() => openWorld({ organizations: 1, entries: 0 }));
const pool = poolOfWorld(world);
beforeAll(async () => {
  await setRetentionPolicy(pool, RETENTION_MS);
  await pool.query('update discovery set server_time = clock_timestamp()');
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-02-02')");
  await commit(pool, await newSource(pool, 'o'), [...texts, held]);
  await pool.query("insert into holds (organization_id, since, reason) values ('o', '2024-02-01', 'case 7')");
  env = {
    ...world.env,
    DATABASE_URL: world.database.daemonUrl,
    ORGTRAIL_SINKS: JSON.stringify({ disk: { type: 'file', path: join(directory, 'out') } }),
  };
  archiving = { ...env, ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`, ORGTRAIL_ARCHIVE: `file://${directory}` };
  reading = { ...archiving, ORGTRAIL_RETENTION: '' };
});
test('a daemon archives and drops by itself, holds back replicas without an archive, and shows how it stands; all readers get what they got before', async () => {
  const before = await (async () => {
    await using daemon = await startDaemonProcess(env);
    await expect.poll(sinkPosition).toBe(EVENTS + 1);
    return await read(daemon, '', env);
  })();
  expect(before.ids).toHaveLength(EVENTS + 1);
  expect(before.feed.map(([code]) => code)).toEqual([200, 200, 200, 200]);
  const lines = await delivered();

  await using daemon = await startDaemonProcess(archiving);
  await daemon.process.waitFor('hold 1 covers events in it');
  expect(daemon.process.stdout()).toContain('wrote an object of the archive, and read it back');
  expect(daemon.process.stdout()).toContain('dropped a month of events older than ORGTRAIL_RETENTION');
  expect(await readCatalogue(pool)).toMatchObject([{ month: '2024-01', events: 26, droppedAt: expect.any(Date) }]);
  expect(await readdir(join(directory, 'v1/manifest'))).toEqual([`feed=${await readFeedId(pool)}.json`]);
  const { text } = await daemon.get('/metrics');
  expect(text).toMatch(/^orgtrail_archive_waiting_months 1$/m);
  expect(text).toMatch(/^orgtrail_archive_faulty_objects 0$/m);
  expect(text).toMatch(/^orgtrail_archive_written_age_seconds [\d.]+$/m);
  expect(text).toMatch(/^orgtrail_archive_failures_total 0$/m);
  const dropFebruary = "select orgtrail_drop_month('2024-02-01', '365 days') as obstacle";
  expect((await pool.query(dropFebruary)).rows[0].obstacle).toBe('hold 1 covers events in it: case 7');
  await pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
  expect((await pool.query(dropFebruary)).rows[0].obstacle).toMatch(/^the archive has its events up to position 0/);

  expect((await read(daemon, '', archiving)).feed).toEqual(before.feed);
  expect((await replay()).stdout).toBe('disk continues after 0: of 41 events to send, 41 will be sent again\n');
  await expect.poll(async () => (await delivered()).length).toBe(2 * lines.length);
  expect(await delivered()).toBe(lines + lines);
});

test('a daemon says which archived months it did not search, and how to', async () => {
  await using daemon = await startDaemonProcess(reading);
  const without = await json(daemon, '/v1/search');
  expect(without.body).toMatchObject({
    complete: false,
    incomplete_because: expect.arrayContaining(['archive_not_searched']),
    coverage: { archived_months: ['2024-01'] },
  });
  expect(without.body.events).toHaveLength(15);
  for (const query of [
    'search?archive=true',
    'search?archive=true&format=csv',
    'search?q=archive:true',
    'search/summary?archive=true',
  ])
    expect(await json(daemon, `/v1/${query}`)).toMatchObject({
      code: 400,
      body: {
        reason: expect.stringMatching(/`orgtrail archive thaw` brings one back, `orgtrail query` asks the archive/),
      },
    });
  expect(await searchCommand('--archive')).toMatchObject({ code: 2, stdout: '' });
  const words = 'The archived month 2024-01 was not searched: `orgtrail archive thaw 2024-01` brings it back';
  expect((await searchCommand()).stdout).toContain(words);
  expect((await daemon.get('/events')).text).toContain(`<strong>${words}`);
});

test('a daemon whose archive is away, and then has other bytes, says so to every reader of it, and goes on', async () => {
  const events = join(directory, 'v1/events');
  const away = { code: 503, body: { status: 'archive' } };
  {
    // What was read before is remembered by a process.
    await using daemon = await startDaemonProcess(reading);
    await rename(events, `${events}-away`);
    expect(await json(daemon, '/v1/events?limit=7')).toMatchObject(away);
    expect((await daemon.get('/v1/search')).code).toBe(200);
    await rename(`${events}-away`, events);
    expect((await daemon.get('/v1/events?limit=7')).code).toBe(200);
  }
  const name = (await readdir(directory, { recursive: true })).find((file) => file.endsWith('.parquet')) ?? '';
  await writeFile(join(directory, name), (await readFile(join(directory, name))).fill(7, 100, 200));
  await using fresh = await startDaemonProcess(reading);
  await replay();
  await fresh.process.waitFor('an object of the archive cannot be believed');
  expect(await sinkPosition()).toBe(0);
  const { code, text, headers: sent } = await fresh.get('/v1/events?limit=7');
  expect([code, sent.get('retry-after')]).toEqual([503, '60']);
  expect(JSON.parse(text)).toEqual({
    status: 'archive',
    reason: expect.stringMatching(/^an object of the archive cannot be believed: v1\/events\/.*: it has other bytes/),
  });
  const unbelieved = { code: 4, stdout: '', stderr: expect.stringContaining('cannot be believed') };
  expect(await feedCommand()).toMatchObject(unbelieved);
  expect(await feedCommand(env)).toMatchObject(exits(2, 'retention dropped 2024-01'));
});

test('a daemon without a retention archives a closed month that has settled, and drops nothing', async () => {
  await pool.query("update audit_events set received_at = received_at - interval '8 days'");
  await using daemon = await startDaemonProcess(reading);
  await daemon.process.waitFor('wrote an object of the archive, and read it back');
  await until('the month is archived', async () =>
    (await readCatalogue(pool, '2024-02')).some(({ droppedAt }) => droppedAt === null),
  );
  await until('the state is written', async () => {
    const latest = await readFile(join(directory, 'v1/state/latest.json'), 'utf8').catch(() => '');
    return latest.includes(`v1/state/feed=${await readFeedId(pool)}/`);
  });
  expect((await pool.query("select from audit_events where id = 'held'")).rowCount).toBe(1);
});

test('a hold is in the bucket within a minute, also if the daemon is killed right after it', async () => {
  const add = (reason: string) => pool.query('insert into holds (reason) values ($1)', [reason]);
  const stated = async () =>
    await findState(openStore(), {}).then(
      ({ lines }) => lines.toString(),
      () => '',
    );
  const isThere = (reason: string) =>
    until(`${reason} is in the bucket`, async () => (await stated()).includes(reason));
  {
    await using daemon = await startDaemonProcess(reading);
    await until('it is at work', async () => (await stated()).includes('"holds"'));
    await add('case 8');
    await isThere('case 8');
    await add('case 8 b');
    await isThere('case 8 b');
    await add('case 9');
    daemon.process.child.kill('SIGKILL');
    await daemon.process.ended;
  }
  expect(await stated()).not.toContain('case 9');
  await using _ = await startDaemonProcess(reading);
  await isThere('case 9');
});

const openStore = () =>
  openObjectStore(
    { kind: 'file', name: `file://${directory}`, directory },
    { accessKey: undefined, secretKey: undefined, environment: {} },
  );

const json = async (daemon: RunningDaemon, path: string) => {
  const { code, text } = await daemon.get(path);
  return { code, body: JSON.parse(text) };
};

const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id);

/** The ids of all pages of a search. */
const walk = async (daemon: RunningDaemon, query: string) => {
  const found: string[] = [];
  for (let cursor = ''; ; ) {
    const { code, body } = await json(daemon, `/v1/search?limit=7&${query}${cursor}`);
    expect(code).toBe(200);
    found.push(...idsOf(body.events));
    if (body.next === null) return found;
    cursor = `&cursor=${body.next}`;
  }
};

const headers = ['orgtrail-next-cursor', 'orgtrail-next-position', 'orgtrail-next-check'];

const feedOf = async (daemon: RunningDaemon) => {
  const queries = ['limit=7', 'after=20&limit=11&format=ocsf', 'after=0&last_line=true', 'after=31&organization=o'];
  const answers = await Promise.all(queries.map((query) => daemon.get(`/v1/events?${query}`)));
  return answers.map((answer) => [answer.code, answer.text, headers.map((name) => answer.headers.get(name))]);
};

const feedCommand = (settings = archiving) => runInProcess(['feed', '--after', '3', '--last-line'], settings);
const searchCommand = (...args: string[]) => runInProcess(['search', ...args], archiving);

/** What a reader of history got. */
const read = async (daemon: RunningDaemon, search: string, settings: typeof env) => ({
  ids: await walk(daemon, search),
  csv: (await daemon.get(`/v1/search?format=csv&${search}`)).text,
  feed: await feedOf(daemon),
  command: await feedCommand(settings),
});

const delivered = () => readFile(join(directory, 'out'), 'utf8');

const replay = () =>
  runInProcess(['sink', 'replay', 'disk', '--after', '0'], { ...archiving, DATABASE_URL: world.database.url });

const sinkPosition = async () =>
  (await pool.query("select position::float8 as at from sinks where name = 'disk'")).rows[0]?.at;

import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { type ArchiveWorld, openArchiveWorld, openFileArchive } from '../../support/archive/archive-world.ts';
import { asRead, withoutNulls } from '../../support/archive/lake-rows.ts';
import { commit, entryText, newSource, RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { storages, testBucket } from '../../support/s3/storages.ts';

let world: ArchiveWorld;
let lake: string;
let whole: Readonly<Record<string, string>>;

beforeAll(async () => {
  world = await openFileArchive();
  lake = await mkdtemp(join(tmpdir(), 'orgtrail-test-lake-'));
  const ofDay = (day: number) => {
    const resource = { id: `m${day}`, type: 'member', product: 'members', response: { result: { user: { id: 'u' } } } };
    return entryText(`member-${day}`, Date.UTC(2024, 0, 10 + day, 23, 59, 59, 999), { resource });
  };
  await commit(world.owner, await newSource(world.owner, 'lake'), [
    '{"id":"timeless"}',
    ...Array.from({ length: members }, (_, day) => ofDay(day)),
  ]);
  expect(await exportTo('whole')).toMatchObject({ code: 0 });
  whole = await hashesOf('whole');
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(lake, { recursive: true, force: true });
});
/** Today included, when the events were received. */
const untilNow = ['--before', new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)];
describe('orgtrail archive security-lake', () => {
  test('has every event once in its class, as the format ocsf gives it', async () => {
    const { stdout } = await runInProcess(['feed', '--format', 'ocsf'], world.env);
    const expected = stdout.split('\n').slice(0, -1);
    for (const classUid of [3001, 3004, 6003]) {
      const own = expected.map((line) => JSON.parse(line)).filter((event) => event.class_uid === classUid);
      expect({ classUid, isThere: own.length > 0 }).toEqual({ classUid, isThere: classUid !== 3004 });
      if (own.length === 0) continue;
      const rows = await rowsOf(`whole-${classUid}`, 'to_json(t)::varchar', 'order by t.metadata.sequence');
      const read = rows.map(([row]) => {
        const { region, accountId, eventDay, ...event } = JSON.parse(String(row));
        expect([region, accountId]).toEqual(['eu-central-1', 'external']);
        expect(String(eventDay)).toBe(new Date(event.time).toISOString().slice(0, 10).replaceAll('-', ''));
        return withoutNulls(event);
      });
      expect(read).toEqual(expected.filter((line) => JSON.parse(line).class_uid === classUid).map(asRead));
    }
    expect(Object.keys(whole).length).toBeGreaterThan(members);
  });

  test('has its layout: one object a day, in order of time, with typed columns; events without a time by their receipt', async () => {
    const { stdout } = await exportTo('cf', '--account-id', 'external_acme', '--json');
    const { classes, objects, skipped } = JSON.parse(stdout);
    expect(skipped).toEqual([]);
    expect(classes).toMatchObject([{ class_uid: 3001 }, { class_uid: 3004 }, { class_uid: 6003 }]);
    const feedId = await readFeedId(world.owner);
    const keys = objects.map(({ key }: { key: string }) => key);
    expect(keys).toContain(
      `region=eu-central-1/accountId=external_acme/eventDay=20240115/orgtrail-${feedId}-0000.parquet`,
    );
    expect(keys.filter((key: string) => key.includes('undated'))).toHaveLength(1);
    expect(await rowsOf('cf-6003', 'count(*)', "where filename like '%undated%'")).toEqual([['1']]);
    const file = join(lake, `cf-6003/${keys.find((key: string) => key.includes('eventDay=20240115/'))}`);
    const ordered = `select list(time), list_sort(list(time)) from read_parquet(${quoted(file)})`;
    const [[times, sorted] = []] = await inDuck(ordered);
    expect(times).toEqual(sorted);
    const columns = await inDuck(`describe from read_parquet(${quoted(file)}, hive_partitioning = false)`);
    expect(columns.map(([name, type]) => `${name} ${type}`)).toMatchSnapshot();
    const compression = `select distinct compression from parquet_metadata(${quoted(file)})`;
    expect(await inDuck(compression)).toEqual([['ZSTD']]);
  });

  test('writes the days and the classes that are asked for', async () => {
    const days = ['--since', '2024-01-11', '--before', '2024-01-13'];
    const one = await runInProcess(args(...to('part'), '--class', '6003', ...days, '--json'), world.env);
    const { objects } = JSON.parse(one.stdout);
    const found = objects.map(({ key }: { key: string }) => /eventDay=(\d+)/.exec(key)?.[1]);
    expect(found.every((day: string) => day === '20240111' || day === '20240112')).toBe(true);
    expect((await readdir(lake)).filter((name) => name.startsWith('part'))).toEqual(['part-6003']);
    const wrong: readonly (readonly [readonly string[], string])[] = [
      [[...to('wrong'), '--since', '2024-01-11T12:00Z'], '--since: it must be a whole day of UTC'],
      [[...to('wrong'), '--since', '2024-01-11', '--before', '2024-01-11'], '--before must be later than --since'],
      [[...to('wrong'), '--class', '3002'], 'It must be one of 3001, 3004, 6003.'],
      [[...to('wrong'), '--account-id', 'a/b'], 'It must have 1 to 64 letters'],
      [['--to', `file://${lake}/all`], '--to must have {class} in it'],
      [['--to', `file://${lake}/not/mounted-{class}`], 'cannot be made'],
      [['--to', 'lake/{class}'], '--to must be like s3://'],
    ];
    for (const [more, says] of wrong) {
      const { code, stderr } = await runInProcess(args(...more), world.env);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(says) });
    }
  });

  test('killed in the middle it leaves whole objects alone, and is the same after another run', async () => {
    const process = startOrgtrail(args(...to('killed'), ...untilNow), world.env);
    await until('a first object', async () => Object.keys(await hashesOf('killed')).length > 0);
    process.child.kill('SIGKILL');
    await process.ended;
    const left = await hashesOf('killed');
    expect(Object.keys(left).length).toBeGreaterThan(0);
    expect(whole).toMatchObject(left);
    await exportTo('killed');
    expect(await hashesOf('killed')).toEqual(whole);
  });
});

describe.each(storages)('on $name', ({ missing, start }) => {
  test.skipIf(missing !== undefined)('a lake has the same bytes as in a directory', async () => {
    const storage = await start();
    const bucket = await testBucket(storage, 'lake');
    try {
      const address = `s3://lake/prefix/ext/cf-{class}?endpoint=${storage.endpoint}`;
      const keys = { AWS_ACCESS_KEY_ID: storage.accessKey, AWS_SECRET_ACCESS_KEY: storage.secretKey };
      const run = (more: Readonly<Record<string, string>>) =>
        runInProcess(args('--to', address, ...untilNow), { ...world.env, ...more });
      expect(await run(keys)).toMatchObject({ code: 0 });
      for (const [file, sha256] of Object.entries(whole)) {
        const stored = await bucket.get(`ext/cf${file}`);
        expect(
          createHash('sha256')
            .update(stored?.bytes ?? '')
            .digest('hex'),
        ).toBe(sha256);
      }
      const none = `s3://no-such-bucket/ext/cf-{class}?endpoint=${storage.endpoint}`;
      const refused = await runInProcess(args('--to', none), { ...world.env, ...keys });
      expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('no-such-bucket') });
    } finally {
      await bucket.close();
      await storage.stop();
    }
  });
});

test('a lake is the same once its months are dropped, and again; it leaves out a month that was dropped without an archive, so that no object of a day gets less', async () => {
  expect((await world.drop({ maxRows: 1_000 })).dropped).toHaveLength(2);
  for (const _ of ['first', 'second']) {
    expect(await exportTo('dropped')).toMatchObject({ code: 0 });
    expect(await hashesOf('dropped')).toEqual(whole);
  }
  await using other = await openArchiveWorld(3);
  const exportOther = () => runInProcess(args(...to('kept')), other.env);
  await exportOther();
  const before = await hashesOf('kept');
  expect(Object.keys(before).length).toBeGreaterThan(0);
  expect((await dropOldMonths(other.daemon, RETENTION_MS)).dropped).toHaveLength(2);
  await other.owner.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
  await other.addLate(1, 'late');
  expect(await exportOther()).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/^2024-01 is left out: \d+ events of it were/m),
  });
  expect(await hashesOf('kept')).toEqual(before);
});

const members = 12;

const args = (...more: readonly string[]) => ['archive', 'security-lake', '--region', 'eu-central-1', ...more];

const to = (name: string) => ['--to', `file://${join(lake, name)}-{class}`];

/** By the account of the daemon, which may do the least. */
const exportTo = (name: string, ...more: readonly string[]) =>
  runInProcess(args(...to(name), ...untilNow, ...more), world.env);

/** SHA-256 of every file, by its name below the lake. */
const hashesOf = async (name: string): Promise<Readonly<Record<string, string>>> => {
  const files = (await readdir(lake, { recursive: true })).filter((file) => file.startsWith(`${name}-`));
  const parquet = files.filter((file) => file.endsWith('.parquet')).sort();
  const hashes = parquet.map(async (file): Promise<[string, string]> => {
    const bytes = await readFile(join(lake, file));
    return [file.slice(name.length), createHash('sha256').update(bytes).digest('hex')];
  });
  return Object.fromEntries(await Promise.all(hashes));
};

const inDuck = (sql: string) =>
  withDuck({ memoryMb: 200, directory: lake }, async (connection) => {
    await connection.run("set timezone = 'UTC'");
    return (await connection.runAndReadAll(sql)).getRowsJson();
  });

const rowsOf = (name: string, select: string, more = '') =>
  inDuck(
    `select ${select} from read_parquet(${quoted(join(lake, name, '**/*.parquet'))}, hive_partitioning = true) as t ${more}`,
  );

import { createHash } from 'node:crypto';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { type CataloguedObject, readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { columnsOf, FEED_ID } from '../../../src/archive/columns.ts';
import { readManifest, writeManifest } from '../../../src/archive/manifest.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/parquet.ts';
import { S3Fault } from '../../../src/base/s3/errors.ts';
import { openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { bytesOfParquet } from '../../support/archive/read-objects.ts';
import { sqlBlock, statementsOf } from '../../support/documents/page-sql.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

let folder: string;
let file: string;

/** Each test begins with what those before it have left. */
const world = forAllTests(() => openFileArchive());
beforeAll(async () => {
  folder = join(world.directory, 'v1/manifest');
  file = join(folder, `feed=${await readFeedId(world.daemon)}.json`);
});

/** In the order of a file. */
const columns: readonly Column[] = columnsOf.events.flatMap(({ name, type, isTime }, index): Column[] => {
  const column: Column = { name, type: isTime === true ? 'TIME' : type };
  return index === 0 ? [column, { name: FEED_ID, type: 'VARCHAR' }] : [column];
});

let object: CataloguedObject;

/** The objects of the two months. */
let january: string;
let february: string;

const lake = forAllTests(() => openFileArchive(EVENTS));
beforeAll(async () => {
  for (const month of ['2024-01', '2024-02']) await lake.archive(month, { maxRows: 1_000_000 });
  await writeManifest({ pool: lake.daemon, store: lake.store });
  [object] = (await readCatalogue(lake.daemon)) as [CataloguedObject];
  [january, february] = (await lake.objects()) as [string, string];
});

test('lists the objects that count at the end, also if that changes while it is written, in order, and is the same for the same catalogue', async () => {
  expect(await write()).toMatchObject({ isWritten: false });
  expect(await state()).toBe('none');
  await world.archive('2024-02');
  expect(await state()).toBe('missing');
  let puts = 0;
  const meanwhile = storeWith(world.store, {
    put: async (key, bytes, signal) => {
      puts += 1;
      if (puts === 1) await world.archive('2024-01');
      return await world.store.put(key, bytes, signal);
    },
  });
  expect(await write(meanwhile)).toMatchObject({ isWritten: true, keptAs: undefined });
  expect(puts).toBe(2);
  expect(await state()).toBe('current');
  const text = await readFile(file, 'utf8');
  const catalogue = await readCatalogue(world.owner);
  expect(catalogue).toHaveLength(3);
  expect(JSON.parse(text)).toEqual({
    version: 1,
    feed_id: await readFeedId(world.owner),
    objects: catalogue.map((object) => ({
      key: object.key,
      kind: 'events',
      month: object.month,
      first_position: object.firstPosition,
      last_position: object.lastPosition,
      rows: object.events,
      bytes: object.bytes,
      sha256: object.sha256,
      ids_sha256: object.idsSha256,
      raw_sha256: object.rawSha256,
      columns_sha256: object.columnsSha256,
    })),
  });
  expect(await write()).toMatchObject({ isWritten: false });
  await rm(file);
  await write();
  expect(await readFile(file, 'utf8')).toBe(text);
});

test('fails if the storage gives back something else; is missing for a key that may not list the bucket, which Amazon refuses what is not there', async () => {
  await rm(file);
  const forgetful = storeWith(world.store, { get: async () => Buffer.from('{}') });
  await expect(write(forgetful)).rejects.toThrow('which gives other bytes');
  await rm(file);
  const denying = storeWith(world.store, {
    get: async (key, signal) => {
      const found = await world.store.get(key, signal);
      if (found === undefined) throw new S3Fault('denied', 'AccessDenied');
      return found;
    },
  });
  expect(await state(denying)).toBe('missing');
  expect(await write(denying)).toMatchObject({ isWritten: true });
  expect(await state()).toBe('current');
});

test('of a newer database is kept under another name', async () => {
  const newer = JSON.parse(await readFile(file, 'utf8'));
  newer.objects.push({ ...newer.objects[0], key: 'v1/events/feed=x/month=2024-03/1-2-abc.parquet' });
  const text = JSON.stringify(newer);
  await writeFile(file, text);
  expect(await readManifest(world.daemon, world.store)).toMatchObject({
    state: 'unknown',
    unknownKeys: ['v1/events/feed=x/month=2024-03/1-2-abc.parquet'],
  });
  const verified = await orgtrail('verify');
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining('this database may be older') });
  const { stdout } = await orgtrail('run', '--month', '2024-01');
  const keptAs = /it is kept as (\S+)/.exec(stdout)?.[1] ?? '';
  expect(await readFile(join(world.directory, keptAs), 'utf8')).toBe(text);
  expect(await state()).toBe('current');
  // An object that lost its place is one that the catalogue had.
  await world.owner.query("update archive_objects set superseded_at = clock_timestamp() where month = '2024-01-01'");
  expect(await write()).toMatchObject({ isWritten: true, keptAs: undefined });
  expect(await readdir(folder)).toHaveLength(2);
});

test('is written by run, and verify says that it is missing or stale; that it cannot be written is said, beside what was archived', async () => {
  await rm(folder, { recursive: true });
  expect((await orgtrail('run')).stdout).toMatch(/^the manifest is written: v1\/manifest\/feed=\S+\.json$/m);
  expect((await orgtrail('run')).stdout).not.toContain('manifest');
  expect(JSON.parse((await orgtrail('verify', '--json')).stdout)).toMatchObject({ manifest: { state: 'current' } });
  for (const text of ['not JSON', '[]', '{"objects":[null, 1, {"key":2}]}']) {
    await writeFile(file, text);
    expect(await orgtrail('verify')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is not that of the catalogue: `orgtrail archive run` writes it again\n'),
    });
  }
  await rm(file);
  expect((await orgtrail('verify')).stdout).toMatch(/^the manifest v1\/manifest\/feed=\S+ is not there/m);
  await rm(folder, { recursive: true });
  await writeFile(folder, 'a file in its place');
  const { code, stdout } = await orgtrail('run', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    archived: [{ month: '2024-01' }, { month: '2024-02' }],
    manifest: { fault: expect.stringMatching(/EEXIST|ENOTDIR/) },
  });
  await rm(folder);
});

test('is never believed: objects that it names and the bucket does not have are written again before their month is dropped', async () => {
  await orgtrail('run');
  expect(JSON.parse(await readFile(file, 'utf8')).objects).toHaveLength(2);
  await rm(join(world.directory, 'v1/events'), { recursive: true });
  expect(JSON.parse((await orgtrail('run', '--drop', '--json')).stdout).archived).toMatchObject([
    { month: '2024-01', written: 1, proven: 0 },
    { month: '2024-02', written: 1, proven: 0 },
  ]);
});

test('is there before a month leaves the database, and so is a state', async () => {
  await using fresh = await openFileArchive(3);
  await fresh.owner.query(`create function die() returns trigger language plpgsql as $$ begin raise 'killed'; end $$;
    create trigger die before insert on retention_drops for each row execute function die()`);
  const args = ['archive', 'run', '--drop'];
  expect(await runInProcess(args, fresh.env)).not.toMatchObject({ code: 0 });
  const [name = ''] = await readdir(join(fresh.directory, 'v1/manifest'));
  const months = JSON.parse(await readFile(join(fresh.directory, 'v1/manifest', name), 'utf8')).objects;
  expect(months).toMatchObject([{ month: '2024-01' }]);
  expect(await readdir(join(fresh.directory, 'v1/state'))).toContain('latest.json');
  await fresh.owner.query('drop trigger die on retention_drops');
  await rm(join(fresh.directory, 'v1/manifest', name));
  const { stdout } = await runInProcess([...args, '--json'], fresh.env);
  expect(JSON.parse(stdout)).toMatchObject({ manifest: { isWritten: true } });
});

test('two readers agree on all rows to the byte', async () => {
  const others = await bytesOfParquet(await readFile(january));
  const hexOf = ({ name, type }: Column) => {
    if (type === 'VARCHAR') return `hex(encode("${name}"))`;
    return type === 'TIME' ? `epoch_us("${name}")::varchar` : `"${name}"::varchar`;
  };
  const own = await rowsOf([`select ${columns.map(hexOf).join(', ')} from read_parquet(${quoted(january)})`]);
  const textOf = (value: unknown) => {
    if (value === null || value === undefined) return null;
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex').toUpperCase() : String(value);
  };
  expect(own).toHaveLength(EVENTS + 1);
  expect(others.map((row) => columns.map(({ name }) => textOf(row[name])))).toEqual(own);
});

test('the lines of docs/archive.md read an archive, and give the hashes of the catalogue and the keys of sinks', async () => {
  const lines = sqlBlock('docs/archive.md', "'january/*.parquet'").split('\n');
  const run = (sql = '') => rowsOf([sql.replace("'january/*.parquet'", quoted(january))]);
  const [events, ids, raws, keys] = lines.filter((line) => line.startsWith('select'));
  expect(await run(events?.replace('mira@example.com', 'someone@example.com'))).toHaveLength(EVENTS + 1);
  expect(await run(ids)).toEqual([[object.idsSha256]]);
  expect(await run(raws)).toEqual([[object.rawSha256]]);
  const keyOf = (id: string) => createHash('sha256').update(`organization\0o\0${id}`).digest('base64url');
  expect(await run(keys)).toContainEqual([expect.anything(), keyOf('january-7')]);
  const footer = `select value::varchar from parquet_kv_metadata(${quoted(january)}) where key::varchar = 'last_position'`;
  expect(await run(footer)).toEqual([[String(object.lastPosition)]]);
});

test('those for the manifest read it, without one that was kept of a newer database', async () => {
  const feedId = await readFeedId(lake.owner);
  const path = (name: string) => join(lake.directory, `v1/manifest/feed=${name}.json`);
  await copyFile(path(feedId), path(`${feedId}-before-0123456789ab`));
  const [listed, ...read] = statementsOf(sqlBlock('docs/archive.md', '-- what the bucket holds')).map((sql) =>
    sql
      .replace(/'manifest\/feed=(.*)\.json'/, (_, feed) => quoted(path(feed === 'FEED_ID' ? feedId : feed)))
      .replace('s3://audit-archive/orgtrail', lake.directory),
  );
  expect(await rowsOf([listed ?? ''])).toEqual([
    ['2024-01', 'events', String(EVENTS + 1), expect.anything(), expect.anything()],
    ['2024-02', 'events', '1', expect.anything(), expect.anything()],
  ]);
  expect(await rowsOf(read)).toEqual([[String(EVENTS + 2), String(EVENTS + 2)]]);
});

test('the lines for DuckDB read what is catalogued, whatever else is in the bucket; those with a glob have no event twice', async () => {
  await copyFile(january, january.replace('.parquet', '-again.parquet'));
  const { stdout } = await runInProcess(['archive', 'list', '--addresses'], { DATABASE_URL: lake.database.daemonUrl });
  expect(stdout).toBe(`${january}\n${february}\n`);
  const list = join(lake.directory, 'objects.txt');
  await writeFile(list, stdout);
  const byList = statementsOf(blockWith('set variable')).map((sql) => sql.replace("'objects.txt'", quoted(list)));
  expect(await rowsOf(byList)).toEqual([
    ['2024-01', String(EVENTS + 1), expect.any(String)],
    ['2024-02', '1', expect.any(String)],
  ]);
  const [view = ''] = statementsOf(blockWith('audit_events_of_bucket'));
  const byGlob = [
    view.replace('s3://audit-archive/orgtrail', lake.directory),
    'select count(*), count(distinct position), list_sort(list(distinct month)) from audit_events_of_bucket',
  ];
  expect(await rowsOf(byGlob)).toEqual([[String(EVENTS + 2), String(EVENTS + 2), ['2024-01', '2024-02']]]);
});

/** With the rights of a daemon. */
const write = (into = world.store) => writeManifest({ pool: world.daemon, store: into });
const state = async (of = world.store) => (await readManifest(world.daemon, of)).state;
const orgtrail = (...args: readonly string[]) => runInProcess(['archive', ...args], world.env);

const EVENTS = 300;

const blockWith = (words: string): string => sqlBlock('docs/query.md', words);

type Kind = 'BIGINT' | 'INTEGER' | 'VARCHAR' | 'TIME';

interface Column {
  readonly name: string;
  readonly type: Kind;
}

const rowsOf = (sql: readonly string[]) =>
  withDuck({ memoryMb: 300, directory: lake.directory }, async (connection) => {
    for (const statement of sql.slice(0, -1)) await connection.run(statement);
    return (await connection.runAndReadAll(sql.at(-1) ?? '')).getRowsJson();
  });

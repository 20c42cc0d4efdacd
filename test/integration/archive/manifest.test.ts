import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { readCatalogue, readFeedId, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { readManifest, writeManifest } from '../../../src/archive/manifest.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { S3Fault } from '../../../src/s3/s3-fault.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects, storeWith } from '../../support/archive/archive-world.ts';
import { RETENTION_DAYS } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

let world: ArchiveWorld;
let store: ObjectStore;

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
});
afterEach(() => world[Symbol.asyncDispose]());

/** With the rights of a daemon. */
const archive = (month: string) => archiveMonth({ pool: world.daemon, store, limits: smallObjects }, month);
const write = (into = store) => writeManifest({ pool: world.daemon, store: into });
const state = async () => (await readManifest(world.daemon, store)).state;
const orgtrail = (...args: readonly string[]) =>
  runInProcess(['archive', ...args], {
    DATABASE_URL: world.database.daemonUrl,
    ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`,
    ORGTRAIL_ARCHIVE: store.name,
  });
const folder = () => join(world.directory, 'v1/manifest');
const fileOfManifest = async () => join(folder(), `feed=${await readFeedId(world.daemon)}.json`);

test('lists the objects that count, in order, and is the same for the same catalogue', async () => {
  expect(await write()).toMatchObject({ isWritten: false });
  expect(await state()).toBe('none');
  await archive('2024-02');
  await archive('2024-01');
  expect(await state()).toBe('missing');
  expect(await write()).toMatchObject({ isWritten: true, keptAs: undefined });
  const text = await readFile(await fileOfManifest(), 'utf8');
  const catalogue = await readCatalogue(world.owner);
  expect(catalogue).toHaveLength(4);
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
  await rm(await fileOfManifest());
  await write();
  expect(await readFile(await fileOfManifest(), 'utf8')).toBe(text);
});

test('is what the catalogue has at the end, also if that changes while it is written', async () => {
  await archive('2024-02');
  let puts = 0;
  const meanwhile = storeWith(store, {
    put: async (key, bytes, signal) => {
      puts += 1;
      if (puts === 1) await archive('2024-01');
      return await store.put(key, bytes, signal);
    },
  });
  expect(await write(meanwhile)).toMatchObject({ isWritten: true });
  expect(puts).toBe(2);
  expect(await state()).toBe('current');
});

test('fails if the storage gives back something else', async () => {
  await archive('2024-02');
  const forgetful = storeWith(store, { get: async () => Buffer.from('{}') });
  await expect(write(forgetful)).rejects.toThrow('which gives other bytes');
});

test('is missing for a key that may not list the bucket, which Amazon refuses what is not there', async () => {
  await archive('2024-02');
  const denying = storeWith(store, {
    get: async (key, signal) => {
      const found = await store.get(key, signal);
      if (found === undefined) throw new S3Fault('denied', 'AccessDenied');
      return found;
    },
  });
  expect(await readManifest(world.daemon, denying)).toMatchObject({ state: 'missing' });
  expect(await write(denying)).toMatchObject({ isWritten: true });
  expect(await state()).toBe('current');
});

test('that cannot be written is said, beside what was archived', async () => {
  await orgtrail('run');
  await rm(folder(), { recursive: true });
  await writeFile(folder(), 'a file in its place');
  const { code, stdout } = await orgtrail('run', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    archived: [{ month: '2024-01' }, { month: '2024-02' }],
    manifest: { fault: expect.stringMatching(/EEXIST|ENOTDIR/) },
  });
});

test('of a newer database is kept under another name', async () => {
  await archive('2024-01');
  const file = await fileOfManifest();
  await write();
  const newer = JSON.parse(await readFile(file, 'utf8'));
  newer.objects.push({ ...newer.objects[0], key: 'v1/events/feed=x/month=2024-03/1-2-abc.parquet' });
  const text = JSON.stringify(newer);
  await writeFile(file, text);
  expect(await readManifest(world.daemon, store)).toMatchObject({
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
  await archive('2024-02');
  expect(await write()).toMatchObject({ isWritten: true, keptAs: undefined });
  expect(await readdir(folder())).toHaveLength(2);
});

test('is written by run, and verify says that it is missing or stale; what it says is never believed', async () => {
  const { stdout } = await orgtrail('run');
  const file = await fileOfManifest();
  expect(stdout).toMatch(/^the manifest is written: v1\/manifest\/feed=\S+\.json$/m);
  expect((await orgtrail('run')).stdout).not.toContain('manifest');
  const objects = JSON.parse(await readFile(file, 'utf8')).objects;
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
  // It names objects that are not in the bucket: the month stays.
  await orgtrail('run');
  await rm(join(world.directory, 'v1/events'), { recursive: true });
  const dropped = JSON.parse((await orgtrail('run', '--drop', '--json')).stdout);
  expect(dropped.archived).toMatchObject([
    { month: '2024-01', written: 1, proven: 0 },
    { month: '2024-02', written: 1, proven: 0 },
  ]);
  expect(objects).toHaveLength(2);
});

test('is read by the lines of docs/archive.md, without those that were kept of a newer database', async () => {
  await archive('2024-01');
  await write();
  const feedId = await readFeedId(world.owner);
  await copyFile(join(folder(), `feed=${feedId}.json`), join(folder(), `feed=${feedId}-before-0123456789ab.json`));
  const page = await readFile(new URL('../../../docs/archive.md', import.meta.url), 'utf8');
  const sql = /```sql\n(-- what the bucket holds[^`]+)```/.exec(page)?.[1] ?? expect.fail('no such lines');
  const statements = sql
    .replaceAll(/^--.*$/gm, '')
    .split(';')
    .slice(0, -1);
  const rows = await withDuck({ memoryMb: 200, directory: world.directory }, async (connection) => {
    const results = [];
    for (const statement of statements) {
      const here = statement
        .replace(/'manifest\/feed=(.*)\.json'/, (_, feed) =>
          quoted(join(folder(), `feed=${feed === 'FEED_ID' ? feedId : feed}.json`)),
        )
        .replace('s3://audit-archive/orgtrail', world.directory);
      results.push((await connection.runAndReadAll(here)).getRowsJson());
    }
    return results;
  });
  expect(rows[0]).toEqual([['2024-01', 'events', '101', expect.anything(), expect.anything()]]);
  expect(rows.at(-1)).toEqual([['101', '101']]);
});

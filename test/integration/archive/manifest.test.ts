import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { readManifest, writeManifest } from '../../../src/archive/manifest.ts';
import { S3Fault } from '../../../src/s3/s3-fault.ts';
import { type ArchiveWorld, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

/** Each test begins with what those before it have left. */
let world: ArchiveWorld;
let folder: string;
let file: string;
beforeAll(async () => {
  world = await openFileArchive();
  folder = join(world.directory, 'v1/manifest');
  file = join(folder, `feed=${await readFeedId(world.daemon)}.json`);
});
afterAll(() => world[Symbol.asyncDispose]());

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

/** With the rights of a daemon. */
const write = (into = world.store) => writeManifest({ pool: world.daemon, store: into });

const state = async (of = world.store) => (await readManifest(world.daemon, of)).state;

const orgtrail = (...args: readonly string[]) => runInProcess(['archive', ...args], world.env);

import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { keyOfManifest } from '../../../src/archive/manifest.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import type { S3Bucket } from '../../../src/s3/s3-bucket.ts';
import { type ArchiveWorld, openArchiveWorld } from '../../support/archive/archive-world.ts';
import { rowsOfParquet } from '../../support/archive/read-objects.ts';
import { queryWith, storedEvents } from '../../support/archive/run-query.ts';
import { RETENTION_DAYS } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type Storage, storages, testBucket } from '../../support/s3/storages.ts';

const DAY_MS = 86_400_000;
const EVENTS = 1_500;

describe.each(storages)('an archive on $name', ({ name: kind, missing, start }) => {
  describe.skipIf(missing !== undefined)('that is there', () => {
    let storage: Storage;
    let bucket: S3Bucket;
    let world: ArchiveWorld;
    let buckets = 0;
    beforeAll(async () => {
      storage = await start();
    });
    afterAll(async () => storage?.stop());
    beforeEach(async () => {
      buckets += 1;
      const canLock = kind === 'moto';
      bucket = await testBucket(storage, `archive-${buckets}`, { canLock, parameters: canLock ? '&lock=400d' : '' });
      world = await openArchiveWorld(EVENTS);
    });
    afterEach(async () => {
      await bucket?.close();
      await world?.[Symbol.asyncDispose]();
    });

    const address = () =>
      `s3://${bucket.address.bucket}/prefix?endpoint=${storage.endpoint}${kind === 'moto' ? '&lock=400d' : ''}`;
    /** With the rights of a daemon. */
    const orgtrail = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
      runInProcess(['archive', ...args], {
        DATABASE_URL: world.database.daemonUrl,
        ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`,
        ORGTRAIL_ARCHIVE: address(),
        ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
        ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
        ...more,
      });

    test('has what was dropped: run, list, verify and restore', async () => {
      const before = await world.rowsOf('2024-01');
      await world.change('january-7');
      expect((await orgtrail(['run'])).code).toBe(0);
      const result = await orgtrail(['run', '--drop', '--json']);
      expect(result).toMatchObject({ code: 0, stderr: expect.stringContaining('2024-01: read back v1/events/') });
      expect(JSON.parse(result.stdout)).toMatchObject({
        archived: [
          { month: '2024-01', written: 0, proven: 2 },
          { month: '2024-02', written: 0, proven: 1 },
        ],
        dropped: [{ month: '2024-01', events: EVENTS + 1, changes: 1 }, { month: '2024-02' }],
        failed: [],
      });
      const listed = JSON.parse((await orgtrail(['list', '--json'])).stdout);
      expect(listed.archive).toBe(bucket.address.name);
      expect(listed.objects).toMatchObject([
        { kind: 'events', events: EVENTS + 1, droppedAt: expect.any(String), fault: null },
        { kind: 'changes', events: 1 },
        { month: '2024-02', events: 1 },
      ]);
      expect((await orgtrail(['list'])).stdout).toContain('in the archive alone');
      const manifest = await bucket.get(keyOfManifest(await readFeedId(world.owner)));
      expect(JSON.parse(String(manifest?.bytes)).objects).toHaveLength(3);
      expect(await orgtrail(['verify', '--contents'])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/3 objects, [\d,]+ bytes read: all as they were written/),
      });
      const restored = (await orgtrail(['restore', '2024-01'])).stdout.split('\n').slice(0, -1);
      const lines = restored.map((line) => JSON.parse(line));
      expect(lines.map(({ position, id }) => ({ position, id }))).toEqual(
        before.map(({ position, id }) => ({ position, id })),
      );
      const rawOf = (line: string, rawText: unknown) => rawText ?? line.slice(line.indexOf(',"raw":') + 7, -1);
      expect(lines.map(({ raw_text }, index) => rawOf(restored[index] ?? '', raw_text))).toEqual(
        before.map(({ raw }) => raw),
      );
      const changes = (await orgtrail(['restore', '2024-01', '--changes'])).stdout;
      expect(JSON.parse(changes)).toMatchObject({
        event_id: 'january-7',
        raw_text: expect.stringContaining('"other"'),
      });
    });

    test('is the feed to the byte, by the reader of another author as well', async () => {
      const feed = await runInProcess(['feed', '--after', '0'], { DATABASE_URL: world.database.url });
      const expected = feed.stdout.split('\n').filter((line) => line.includes('"action_time":"2024-01'));
      await orgtrail(['run', '--drop']);
      expect((await orgtrail(['restore', '2024-01'])).stdout.split('\n').slice(0, -1)).toEqual(expected);
      const [object] = await readCatalogue(world.owner, '2024-01');
      const bytes = (await bucket.get(object?.key ?? ''))?.bytes ?? Buffer.alloc(0);
      const rows = await rowsOfParquet(bytes);
      expect(rows.length).toBe(EVENTS + 1);
      const byPosition = new Map(expected.map((line) => [Number(/"position":(\d+)/.exec(line)?.[1]), line]));
      for (const row of rows) {
        const line = byPosition.get(Number(row['position'])) ?? '';
        const { raw_text } = JSON.parse(line);
        expect(row['raw']).toBe(raw_text ?? line.slice(line.indexOf(',"raw":') + 7, -1));
        expect(JSON.parse(line)).toMatchObject({ id: row['id'], organization_name: row['organization_name'] });
      }
    });

    test('is queried together with the database, and not with a wrong key', async () => {
      const before = await storedEvents(world.owner);
      await orgtrail(['run', '--drop']);
      const env = {
        DATABASE_URL: world.database.daemonUrl,
        ORGTRAIL_ARCHIVE: address(),
        ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
        ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
      };
      const { rows, read } = await queryWith(env)('from audit_events order by position');
      expect(rows).toEqual(before);
      expect(read).toMatchObject({ archived_months: ['2024-01', '2024-02'], stored_events: 1 });
      const elsewhere = { ...env, ORGTRAIL_ARCHIVE: address().replace('/prefix', '/other') };
      expect(await queryWith(elsewhere)('select 1')).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`2024-01 is in the archive ${bucket.address.name}`),
      });
      // moto lets every key in.
      if (kind === 'moto') return;
      expect(await queryWith({ ...env, ORGTRAIL_ARCHIVE_S3_SECRET_KEY: 'wrong' })('select 1')).toMatchObject({
        code: 4,
        stderr: expect.stringContaining('the archive cannot be read: v1/events/'),
      });
    });

    test('is read by orgtrail feed as it was before the drop', async () => {
      const feed = (more: Readonly<Record<string, string>> = {}) =>
        runInProcess(['feed', '--last-line'], {
          DATABASE_URL: world.database.daemonUrl,
          ORGTRAIL_ARCHIVE: address(),
          ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
          ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
          ...more,
        });
      const before = await feed();
      await orgtrail(['run', '--drop']);
      expect(await feed()).toEqual(before);
      const none = await feed({ ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: 'another-key' });
      if (kind === 'radosgw')
        expect(none).toMatchObject({ code: 4, stderr: expect.stringContaining('the archive cannot be read') });
      const [january] = await readCatalogue(world.owner);
      await bucket.put(january?.key ?? '', Buffer.from('PAR1 of another PAR1'));
      expect(await feed()).toMatchObject({
        code: 4,
        stdout: '',
        stderr: expect.stringContaining('it has other bytes (20 of them)'),
      });
    });

    test('shows what was lost or altered outside, and restores none of it', async () => {
      await orgtrail(['run', '--drop']);
      const [january, february] = await readCatalogue(world.owner);
      await bucket.put(january?.key ?? '', Buffer.from('PAR1 of another PAR1'));
      const verified = await orgtrail(['verify', '--json']);
      expect(verified.code).toBe(1);
      const fault = 'it has other bytes (20 of them)';
      expect(JSON.parse(verified.stdout)).toMatchObject({ objects: 2, faults: [{ month: '2024-01', fault }] });
      expect((await readCatalogue(world.owner)).map((object) => object.fault)).toEqual([fault, null]);
      expect(await orgtrail(['restore', '2024-01'])).toMatchObject({ code: 1, stdout: '' });
      expect(february?.events).toBe(1);
    });

    test.runIf(kind === 'moto')('locks its objects if the address says so', async () => {
      await orgtrail(['run']);
      for (const { key, lockedUntil, versionId } of await readCatalogue(world.owner)) {
        const head = await bucket.head(key);
        expect(versionId).toBe(head?.versionId);
        expect(Math.abs(Date.parse(head?.lockedUntil ?? '') - (lockedUntil?.getTime() ?? 0))).toBeLessThan(1_000);
        expect(lockedUntil?.getTime()).toBeGreaterThan(Date.now() + 399 * DAY_MS);
      }
    });

    test.runIf(kind === 'radosgw')('says which secret or bucket is wrong, and nothing is dropped', async () => {
      const wrong = await orgtrail(['run', '--drop'], { ORGTRAIL_ARCHIVE_S3_SECRET_KEY: 'another-secret' });
      expect(wrong.code).toBe(1);
      expect(wrong.stdout).toMatch(/2024-01 was kept: archiving it failed: .*secret/);
      const none = await orgtrail(['run'], { ORGTRAIL_ARCHIVE: `s3://no-such-bucket?endpoint=${storage.endpoint}` });
      expect(none).toMatchObject({ code: 4, stderr: expect.stringContaining('no-such-bucket') });
      expect(await world.rowsOf('2024-01')).toHaveLength(EVENTS + 1);
    });
  });
});

/** The lines of SQL that docs/archive.md has. */
const documented = async (): Promise<readonly string[]> => {
  const page = await readFile(new URL('../../../docs/archive.md', import.meta.url), 'utf8');
  const block = /```sql\n([^`]+)```/.exec(page)?.[1] ?? '';
  return block.split('\n').filter((line) => line.startsWith('select'));
};

test('the lines of docs/archive.md read an archive, and give the hashes of the catalogue and the keys of sinks', async () => {
  await using world = await openArchiveWorld(EVENTS);
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-stranger-'));
  try {
    const env = { DATABASE_URL: world.database.daemonUrl, ORGTRAIL_ARCHIVE: `file://${world.directory}` };
    expect((await runInProcess(['archive', 'run', '--month', '2024-01'], env)).code).toBe(0);
    const [object] = await readCatalogue(world.owner);
    const copy = join(directory, 'january/object.parquet');
    await mkdir(dirname(copy));
    await writeFile(copy, await readFile(join(world.directory, object?.key ?? '')));
    const [events = '', ids = '', raws = '', keys = ''] = await documented();
    await withDuck({ memoryMb: 200, directory }, async (connection) => {
      const run = async (sql: string) =>
        (
          await connection.runAndReadAll(
            sql.replace("'january/*.parquet'", quoted(join(directory, 'january/*.parquet'))),
          )
        ).getRowsJson();
      expect(await run(events.replace('mira@example.com', 'someone@example.com'))).toHaveLength(EVENTS + 1);
      expect(await run(ids)).toEqual([[object?.idsSha256]]);
      expect(await run(raws)).toEqual([[object?.rawSha256]]);
      const keyOf = (id: string) => createHash('sha256').update(`organization\0o\0${id}`).digest('base64url');
      expect(await run(keys)).toContainEqual([expect.anything(), keyOf('january-7')]);
      const footer = `select value::varchar from parquet_kv_metadata(${quoted(copy)}) where key::varchar = 'last_position'`;
      expect(await run(footer)).toEqual([[String(object?.lastPosition)]]);
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

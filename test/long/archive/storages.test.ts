import { beforeAll, describe, expect, test } from 'vitest';
import { readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { keyOfManifest } from '../../../src/archive/manifest.ts';
import { openArchiveWorld } from '../../support/archive/archive-world.ts';
import { rowsOfParquet } from '../../support/archive/read-objects.ts';
import { queryWith, storedEvents } from '../../support/archive/run-query.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { storages, testBucket } from '../../support/s3/storages.ts';

describe.each(storages)('an archive on $name', ({ name: kind, missing, start }) => {
  describe.skipIf(missing !== undefined)('that is there', () => {
    const lock = kind === 'moto' ? '&lock=400d' : '';
    const storage = forAllTests(start);
    const bucket = forAllTests(() => testBucket(storage, 'archive', { canLock: kind === 'moto', parameters: lock }));
    const world = forAllTests(() => openArchiveWorld(EVENTS));
    let env: Readonly<Record<string, string>>;
    beforeAll(async () => {
      env = {
        ...world.env,
        ORGTRAIL_ARCHIVE: `s3://${bucket.address.bucket}/prefix?endpoint=${storage.endpoint}${lock}`,
        ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: storage.accessKey,
        ORGTRAIL_ARCHIVE_S3_SECRET_KEY: storage.secretKey,
      };
    });

    type More = Readonly<Record<string, string>>;
    /** With the rights of a daemon. */
    const orgtrail = (args: readonly string[], more: More = {}) => runInProcess(args, { ...env, ...more });
    const archive = (...args: readonly string[]) => orgtrail(['archive', ...args]);
    const feed = (more: More = {}) => orgtrail(['feed', '--last-line'], more);

    test.runIf(kind === 'radosgw')('says which secret or bucket is wrong, and nothing is dropped', async () => {
      const wrong = await orgtrail(['archive', 'run', '--drop'], { ORGTRAIL_ARCHIVE_S3_SECRET_KEY: 'another-secret' });
      expect(wrong.code).toBe(1);
      expect(wrong.stdout).toMatch(/2024-01 was kept: archiving it failed: .*secret/);
      const elsewhere = { ORGTRAIL_ARCHIVE: `s3://no-such-bucket?endpoint=${storage.endpoint}` };
      const none = await orgtrail(['archive', 'run'], elsewhere);
      expect(none).toMatchObject(exits(4, 'no-such-bucket'));
      expect(await world.rowsOf('2024-01')).toHaveLength(EVENTS + 1);
    });

    test('has what was dropped (run, list, verify and restore): it is the feed to the byte, by the reader of another author as well, and what queries and the feed give', async () => {
      const before = { feed: await feed(), rows: await storedEvents(world.owner) };
      const expected = linesOf(before.feed.stdout).filter((line) => line.includes('"action_time":"2024-01'));
      expect(expected).toHaveLength(EVENTS + 1);
      await world.change('january-7');
      expect((await archive('run')).code).toBe(0);
      const result = await archive('run', '--drop', '--json');
      expect(result).toMatchObject(exits(0, '2024-01: read back v1/events/'));
      expect(JSON.parse(result.stdout)).toMatchObject({
        archived: [
          { month: '2024-01', written: 0, proven: 2 },
          { month: '2024-02', written: 0, proven: 1 },
        ],
        dropped: [{ month: '2024-01', events: EVENTS + 1, changes: 1 }, { month: '2024-02' }],
        failed: [],
      });
      const listed = JSON.parse((await archive('list', '--json')).stdout);
      expect(listed.archive).toBe(bucket.address.name);
      expect(listed.objects).toMatchObject([
        { kind: 'events', events: EVENTS + 1, droppedAt: expect.any(String), fault: null },
        { kind: 'changes', events: 1 },
        { month: '2024-02', events: 1 },
      ]);
      expect((await archive('list')).stdout).toContain('in the archive alone');
      const manifest = await bucket.get(keyOfManifest(await readFeedId(world.owner)));
      expect(JSON.parse(String(manifest?.bytes)).objects).toHaveLength(3);
      expect(await archive('verify', '--contents')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/3 objects, [\d,]+ bytes read: all as they were written/),
      });
      expect(linesOf((await archive('restore', '2024-01')).stdout)).toEqual(expected);
      expect(JSON.parse((await archive('restore', '2024-01', '--changes')).stdout)).toMatchObject({
        event_id: 'january-7',
        raw_text: expect.stringContaining('"other"'),
      });

      const [object] = await readCatalogue(world.owner, '2024-01');
      const rows = await rowsOfParquet((await bucket.get(object?.key ?? ''))?.bytes ?? Buffer.alloc(0));
      expect(rows.map(({ raw }) => raw)).toEqual(expected.map(rawOf));
      for (const [index, line] of expected.entries()) {
        const { id, organization_name, position } = rows[index] ?? {};
        expect(JSON.parse(line)).toMatchObject({ id, organization_name, position: Number(position) });
      }

      expect(await feed()).toEqual(before.feed);
      const queried = await queryWith(env)('from audit_events order by position');
      expect(queried.rows).toEqual(before.rows);
      expect(queried.read).toMatchObject({ archived_months: ['2024-01', '2024-02'], stored_events: 1 });
    });

    test('is not read with a wrong key, or below another prefix', async () => {
      const prefixed = { ...env, ORGTRAIL_ARCHIVE: env['ORGTRAIL_ARCHIVE']?.replace('/prefix', '/other') ?? '' };
      expect(await queryWith(prefixed)('select 1')).toMatchObject(
        exits(2, `2024-01 is in the archive ${bucket.address.name}`),
      );
      // moto lets every key in.
      if (kind === 'moto') return;
      const unreadable = (what: string) => exits(4, what);
      expect(await queryWith({ ...env, ORGTRAIL_ARCHIVE_S3_SECRET_KEY: 'wrong' })('select 1')).toMatchObject(
        unreadable('the archive cannot be read: v1/events/'),
      );
      expect(await feed({ ORGTRAIL_ARCHIVE_S3_ACCESS_KEY: 'another-key' })).toMatchObject(
        unreadable('the archive cannot be read'),
      );
    });

    test.runIf(kind === 'moto')('locks its objects if the address says so', async () => {
      const catalogue = await readCatalogue(world.owner);
      expect(catalogue).toHaveLength(3);
      for (const { key, lockedUntil, versionId } of catalogue) {
        const head = await bucket.head(key);
        expect(versionId).toBe(head?.versionId);
        expect(Math.abs(Date.parse(head?.lockedUntil ?? '') - (lockedUntil?.getTime() ?? 0))).toBeLessThan(1_000);
        expect(lockedUntil?.getTime()).toBeGreaterThan(Date.now() + 399 * DAY_MS);
      }
    });

    test('shows what was lost or altered outside, and gives none of it', async () => {
      const january = (await readCatalogue(world.owner)).find(
        ({ month, kind: of }) => `${month} ${of}` === '2024-01 events',
      );
      await bucket.put(january?.key ?? '', Buffer.from('PAR1 of another PAR1'));
      const fault = 'it has other bytes (20 of them)';
      expect(await feed()).toMatchObject({ code: 4, stdout: '', stderr: expect.stringContaining(fault) });
      const verified = await archive('verify', '--json');
      expect(verified.code).toBe(1);
      expect(JSON.parse(verified.stdout)).toMatchObject({ objects: 3, faults: [{ month: '2024-01', fault }] });
      expect((await readCatalogue(world.owner)).map((object) => object.fault)).toEqual([fault, null, null]);
      expect(await archive('restore', '2024-01')).toMatchObject({ code: 1, stdout: '' });
    });
  });
});

const DAY_MS = 86_400_000;
const EVENTS = 300;

const linesOf = (stdout: string) => stdout.split('\n').slice(0, -1);
const rawOf = (line: string): unknown => JSON.parse(line).raw_text ?? line.slice(line.indexOf(',"raw":') + 7, -1);

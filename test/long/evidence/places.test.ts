import { afterAll, describe, expect, test } from 'vitest';
import type { S3Bucket } from '../../../src/base/s3/bucket.ts';
import { mirrorTo, objectsIn } from '../../../src/evidence/anchors/mirror.ts';
import { openAnchors } from '../../../src/evidence/anchors/open-anchors.ts';
import { isUnanchored } from '../../../src/evidence/stored/evidence-status.sql.ts';
import { openAnchoringBuilder } from '../../support/evidence/anchors/anchoring-builder.ts';
import { type Place, placeKinds } from '../../support/evidence/anchors/places.ts';
import { worldOfAllTests } from '../../support/evidence/evidence-world.ts';
import { rememberForRewind } from '../../support/evidence/rewind.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { type Storage, testBucket } from '../../support/s3/storages.ts';

describe.each(placeKinds)('an anchor that is $name', ({ missing, storageName, open: openKind }) => {
  describe.skipIf(missing !== undefined)('and is there', () => {
    const kind = forAllTests(() => openKind());

    // What every anchor promises that keeps files, wherever these are.
    describe('and has files', () => {
      let place: Place;
      const world = worldOfAllTests(async () => {
        place = await kind.place();
      });
      afterAll(() => place?.[Symbol.asyncDispose]());
      const open = (owner?: string) => openAnchoringBuilder(world.pool, world.signer, [place.anchor], owner);
      const openOther = async () => {
        await world.pool.query('update evidence_log set lease_until = null');
        return open('other-host/2/y');
      };

      test('has checkpoints, full tiles of all levels and the statements; they are those of the database', async () => {
        const builder = open();
        await world.addEvents(700, 'first');
        await builder.build();
        await builder.anchor();
        expect(isUnanchored(await world.status())).toBe(false);
        expect((await world.status()).anchors).toMatchObject([
          { anchor: place.anchor.name, isConfigured: true, size: 702, error: null },
        ]);
        expect(await place.names('log-1/tile/0')).toEqual(['000', '001']);
        const { rows } = await world.pool.query<{ text: string }>(
          'select text from evidence_statements order by index',
        );
        const texts = rows.map(({ text }) => `${text}\n`).join('');
        expect(String(await place.read(`log-1/statements/${sized(702)}`))).toBe(texts);

        await world.addEvents(400, 'second');
        await builder.build();
        await builder.anchor();
        expect(await place.names('log-1/checkpoints')).toEqual([702, 1_102].map(sized));
        expect(await place.names('log-1/tile/0')).toEqual(['000', '001', '002', '003']);
        const stored = await world.pool.query('select hashes from evidence_tiles where level = 0 and n = 3');
        expect(await place.read('log-1/tile/0/003')).toEqual(stored.rows[0]?.hashes);
        const note = await place.read(`log-1/checkpoints/${sized(702)}`);
        await world.verified([{ name: 'kept', note }]);
        expect(builder.failures).toEqual([]);
      });

      test('and has what is there already, is seen to have it again, by another process too', async () => {
        const before = await place.names('log-1/checkpoints');
        await world.pool.query(`update evidence_anchors set at = at - interval '1 hour'`);
        const other = await openOther();
        await other.build();
        await other.anchor();
        expect(await place.names('log-1/checkpoints')).toEqual(before);
        expect((await world.status()).anchors[0]?.secondsAgo).toBeLessThan(1_800);
      });

      test('stops nothing by what is written to it without the key', async () => {
        const { rows } = await world.pool.query<{ origin: string }>(
          `select base || '/' || feed_id || '.' || number as origin from evidence_log`,
        );
        const signature = Buffer.alloc(68).toString('base64');
        const text = `${rows[0]?.origin}\n1900\n${Buffer.alloc(32).toString('base64')}\n\n— ${rows[0]?.origin} ${signature}\n`;
        await place.write(`log-1/checkpoints/${sized(1_900)}`, Buffer.from(text));
        await place.write(`log-1/checkpoints/${sized(1_901)}`, Buffer.from('no note'));
        const other = await openOther();
        await world.addEvents(1, 'more');
        expect(await other.build()).toMatchObject({ kind: 'done', size: 1_103 });
        expect(other.stops).toEqual([]);
      });

      test('never overwrites: another checkpoint of this size is a failure that is shown', async () => {
        const path = `log-1/checkpoints/${sized(1_104)}`;
        await place.write(path, Buffer.from('something else'));
        const builder = await openOther();
        await world.addEvents(1, 'last');
        await builder.build();
        await builder.anchor();
        expect(builder.failures).toEqual([`${path} is another checkpoint of 1104 leaves`]);
        expect((await place.read(path)).toString()).toBe('something else');
        expect((await world.status()).anchors).toMatchObject([
          { anchor: place.anchor.name, size: 1_102, error: `${path} is another checkpoint of 1104 leaves` },
        ]);
      });
    });

    describe('and knows more than the database', () => {
      let place: Place;
      let rewind: () => Promise<void>;
      /** 300 events and 300 more are signed and anchored; then the database goes back to the first. */
      const world = worldOfAllTests(async () => {
        place = await kind.place();
        const first = openAnchoringBuilder(world.pool, world.signer, [place.anchor]);
        await world.addEvents(300, 'first');
        await first.build();
        rewind = await rememberForRewind(world.pool);
        await world.addEvents(300, 'second');
        await first.build();
        await first.anchor();
        await rewind();
      });
      afterAll(() => place?.[Symbol.asyncDispose]());
      const openSecond = () => openAnchoringBuilder(world.pool, world.signer, [place.anchor], 'other-host/2/y');

      test('tells a database that went back that it is behind, before a process that has never seen it signs (invariant 15)', async () => {
        await world.addEvents(20, 'other');
        const second = openSecond();
        expect(await second.build()).toMatchObject({ kind: 'stopped' });
        expect(second.signed).toEqual([]);
        const at = place.anchor.name;
        expect(second.stops).toEqual([`behind: a checkpoint of 602 leaves is kept at ${at}, and here are 302`]);
      });

      test('tells one that went back and grew past it that it is behind, before anything more is signed', async () => {
        await rewind();
        await world.addEvents(400, 'other');
        // Without the anchor, which is what an anchor is for.
        const blind = openAnchoringBuilder(world.pool, world.signer, [], 'blind-host/1/x');
        expect(await blind.build()).toMatchObject({ kind: 'done', size: 702 });
        await world.pool.query('update evidence_log set lease_until = null');
        const second = openSecond();
        expect(await second.build()).toMatchObject({ kind: 'stopped' });
        expect(second.stops).toEqual([
          `behind: the first 602 leaves are not those of the checkpoint that is kept at ${place.anchor.name}`,
        ]);
      });
    });

    describe.skipIf(storageName === undefined)('and has objects', () => {
      let storage: Storage;
      let bucket: S3Bucket;
      const canLock = storageName === 'moto';
      const world = worldOfAllTests(async () => {
        storage = kind.storage as Storage;
        bucket = await testBucket(storage, 'objects', { canLock, parameters: canLock ? '&lock=400d' : '' });
        await world.addEvents(700, 'first');
        return () => bucket.close();
      });

      test('keeps the version of each object as the receipt, and locks it', async () => {
        const { accessKey, secretKey } = storage;
        const { address } = bucket;
        const targets = [{ kind: 's3', name: address.name, address }] as const;
        const anchors = openAnchors(targets, { accessKey, secretKey, environment: {} });
        const builder = openAnchoringBuilder(world.pool, world.signer, anchors);
        await builder.build();
        const before = Date.now();
        await builder.anchor();
        expect(builder.failures).toEqual([]);
        const path = `log-1/checkpoints/${sized(702)}`;
        expect((await bucket.list({ folder: 'log-1/checkpoints' })).keys).toEqual([path]);
        const { rows } = await world.pool.query<{ note: string; receipt: Buffer | null }>(
          `select c.note, a.receipt from evidence_anchors a join evidence_checkpoints c using (size) order by size`,
        );
        const kept = await bucket.get(path);
        expect(kept?.bytes.toString()).toBe(rows[0]?.note);
        expect(rows[0]?.receipt?.toString()).toBe(kept?.versionId);
        if (!canLock) return;
        expect(kept?.versionId).toMatch(/./);
        for (const object of [kept, await bucket.get('log-1/tile/0/001')]) {
          const lockedUntilMs = Date.parse(object?.lockedUntil ?? '');
          expect(lockedUntilMs).toBeGreaterThanOrEqual(Math.floor(before / 1_000) * 1_000 + 400 * DAY_MS);
          expect(lockedUntilMs).toBeLessThanOrEqual(Date.now() + 400 * DAY_MS);
        }
      });

      test.runIf(storageName === 'radosgw')(
        'that refuses the key holds nothing up, and says in words why',
        async () => {
          const gone = await testBucket(storage, 'denied', { accessKey: 'unknown', secretKey: 'unknown' });
          const missingBucket = { ...bucket, get: gone.get, list: gone.list };
          const anchorWith = mirrorTo('s3://denied', objectsIn(missingBucket), 10);
          const builder = openAnchoringBuilder(world.pool, world.signer, [anchorWith]);
          await world.addEvents(10, 'more');
          expect(await builder.build()).toMatchObject({ kind: 'done', size: 712 });
          await builder.anchor();
          expect(builder.failures.at(-1)).toContain('the storage does not know the access key (InvalidAccessKeyId)');
          await gone.close();
        },
      );

      test('finds the newest of many checkpoints with few requests, wherever sizes jumped', async () => {
        const sizes = [...Array.from({ length: 300 }, (_, index) => 5 + 7 * index), 90_000_000_000, 90_000_000_001];
        const folder = 'other/checkpoints';
        await Promise.all(sizes.map((size) => bucket.put(`${folder}/${sized(size)}`, Buffer.from('x'))));
        let requests = 0;
        const counting: S3Bucket = {
          ...bucket,
          list: (options) => {
            requests += 1;
            return bucket.list({ ...options, limit: 20 });
          },
        };
        expect(await objectsIn(counting).newestNumbers(folder, 3)).toEqual(
          [90_000_000_001, 90_000_000_000, 2_098].map(sized),
        );
        expect(requests).toBeLessThan(100);
        expect(await objectsIn(counting).allNumbers(folder)).toEqual(sizes.map(sized));
        for (const most of [1, 2, 15]) {
          expect(await objectsIn(counting).newestNumbers(folder, most)).toEqual(
            sizes.slice(-most).reverse().map(sized),
          );
        }
      });
    });
  });
});

const DAY_MS = 86_400_000;

const sized = (size: number) => String(size).padStart(20, '0');

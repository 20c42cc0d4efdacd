import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { mirrorTo } from '../../../../src/evidence/anchors/mirror.ts';
import { openAnchors } from '../../../../src/evidence/anchors/open-anchors.ts';
import { objectsIn } from '../../../../src/evidence/anchors/write-once-objects.ts';
import type { S3Bucket } from '../../../../src/s3/s3-bucket.ts';
import { openAnchoringBuilder } from '../../../support/evidence/anchors/anchoring-builder.ts';
import { newSigner } from '../../../support/evidence/builder-world.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/postgres/database.ts';
import { commit, entryText, newSource, T0, takeLease } from '../../../support/postgres/store-fixture.ts';
import { type Storage, storages, testBucket } from '../../../support/s3/storages.ts';

const DAY_MS = 86_400_000;
const name = (size: number) => String(size).padStart(20, '0');

describe.each(storages)('an anchor on $name', ({ name: kind, missing, start }) => {
  describe.skipIf(missing !== undefined)('that is there', () => {
    const signer = newSigner();
    let storage: Storage;
    let database: TestDatabase;
    let bucket: S3Bucket;
    let buckets = 0;
    beforeAll(async () => {
      storage = await start();
    });
    afterAll(async () => storage?.stop());
    beforeEach(async () => {
      database = await createTestDatabase();
      buckets += 1;
      const canLock = kind === 'moto';
      bucket = await testBucket(storage, `anchor-${buckets}`, { canLock, parameters: canLock ? '&lock=400d' : '' });
    });
    afterEach(async () => {
      await bucket?.close();
      await database?.close();
    });

    const anchors = () => {
      const { accessKey, secretKey } = storage;
      const { address } = bucket;
      return openAnchors([{ kind: 's3', name: address.name, address }], { accessKey, secretKey, environment: {} });
    };
    const open = (owner?: string) => openAnchoringBuilder(database.pool, signer, anchors(), owner);
    const keysIn = async (folder: string) => (await bucket.list({ folder })).keys;
    const addEvents = async (count: number, named: string) => {
      const lease = await newSource(database.pool, 'a').catch(() => takeLease(database.pool, 'a'));
      const texts = Array.from({ length: count }, (_, index) => entryText(`${named}-${index}`, T0 + index * 1_000));
      await commit(database.pool, lease, texts);
    };

    test('keeps the version of each object as the receipt, and locks it', async () => {
      const builder = open();
      await addEvents(700, 'first');
      await builder.build();
      const before = Date.now();
      await builder.anchor();
      await addEvents(400, 'second');
      await builder.build();
      await builder.anchor();
      expect(builder.failures).toEqual([]);
      expect(await keysIn('events/checkpoints')).toEqual(
        [700, 1_100].map((size) => `events/checkpoints/${name(size)}`),
      );
      expect(await keysIn('events/tile/0')).toEqual(['000', '001', '002', '003'].map((n) => `events/tile/0/${n}`));
      expect(await keysIn('journal/tile/entries')).toContain('journal/tile/entries/000.p/2');
      const { rows } = await database.pool.query<{ note: string; receipt: Buffer | null }>(
        `select c.note, a.receipt from evidence_anchors a join evidence_checkpoints c using (log, generation, size)
         where log = 'events' order by size`,
      );
      const kept = await bucket.get(`events/checkpoints/${name(700)}`);
      expect(kept?.bytes.toString()).toBe(rows[0]?.note);
      expect(rows[0]?.receipt?.toString()).toBe(kept?.versionId);
      const { rows: stored } = await database.pool.query('select hashes from evidence_tiles where level = 0 and n = 3');
      const tile = await bucket.get('events/tile/0/003');
      expect(tile?.bytes).toEqual(stored[0]?.hashes);
      if (kind !== 'moto') return;
      expect(kept?.versionId).toMatch(/./);
      for (const object of [kept, tile]) {
        const lockedUntilMs = Date.parse(object?.lockedUntil ?? '');
        expect(lockedUntilMs).toBeGreaterThanOrEqual(Math.floor(before / 1_000) * 1_000 + 400 * DAY_MS);
        expect(lockedUntilMs).toBeLessThanOrEqual(Date.now() + 400 * DAY_MS);
      }
    });

    test.runIf(kind === 'radosgw')('that refuses the key holds nothing up, and says in words why', async () => {
      const gone = await testBucket(storage, 'denied', { accessKey: 'unknown', secretKey: 'unknown' });
      const missingBucket = { ...bucket, get: gone.get, list: gone.list };
      const anchorWith = mirrorTo('s3://denied', objectsIn(missingBucket), 10);
      const builder = openAnchoringBuilder(database.pool, signer, [anchorWith]);
      await addEvents(10, 'first');
      expect(await builder.build()).toMatchObject({ kind: 'done', size: 10 });
      await builder.anchor();
      expect(builder.failures.at(-1)).toContain('the storage does not know the access key (InvalidAccessKeyId)');
      await gone.close();
    });

    test('finds the newest of many checkpoints with few requests, wherever sizes jumped', async () => {
      const sizes = [...Array.from({ length: 300 }, (_, index) => 5 + 7 * index), 90_000_000_000, 90_000_000_001];
      const folder = 'events/checkpoints';
      await Promise.all(sizes.map((size) => bucket.put(`${folder}/${name(size)}`, Buffer.from('x'))));
      let requests = 0;
      const counting: S3Bucket = {
        ...bucket,
        list: (options) => {
          requests += 1;
          return bucket.list({ ...options, limit: 20 });
        },
      };
      expect(await objectsIn(counting).newestNumbers(folder, 3)).toEqual(
        [90_000_000_001, 90_000_000_000, 2_098].map(name),
      );
      expect(requests).toBeLessThan(100);
      expect(await objectsIn(counting).allNumbers(folder)).toEqual(sizes.map(name));
      for (const most of [1, 2, 15]) {
        expect(await objectsIn(counting).newestNumbers(folder, most)).toEqual(sizes.slice(-most).reverse().map(name));
      }
    });
  });
});

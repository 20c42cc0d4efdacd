import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBucket, type S3Bucket } from '../../../src/s3/s3-bucket.ts';
import { addressOf, type Storage, storages, testBucket } from '../../support/s3/storages.ts';

describe.each(storages)('a bucket on $name', ({ name, missing, start }) => {
  describe.skipIf(missing !== undefined)('that is there', () => {
    let storage: Storage;
    let bucket: S3Bucket;
    beforeAll(async () => {
      storage = await start();
      bucket = await testBucket(storage, 'orgtrail-test');
    });
    afterAll(async () => {
      await bucket?.close();
      await storage?.stop();
    });

    test('gives back what was put, whatever the key has', async () => {
      for (const key of ['a/b/1', 'with space', 'plus+and=and&', "it's (one) * !", 'ümlaut/日本', '%2F']) {
        await bucket.put(key, bytesOf(`content of ${key}`));
        expect((await bucket.get(key))?.bytes.toString()).toBe(`content of ${key}`);
        expect(await bucket.head(key)).toMatchObject({ sizeBytes: Buffer.byteLength(`content of ${key}`) });
      }
      expect(await bucket.get('not/there')).toBeUndefined();
      expect(await bucket.head('not/there')).toBeUndefined();
    });

    test('lists keys in their order, in parts, from any one on', async () => {
      const keys = Array.from({ length: 25 }, (_, index) => `list/of these/${String(index).padStart(3, '0')}`);
      for (const key of keys.toReversed()) await bucket.put(key, bytesOf('x'));
      const found: string[] = [];
      let more = true;
      while (more) {
        const after = found.at(-1);
        const part = await bucket.list({ folder: 'list/of these', limit: 10, ...(after !== undefined && { after }) });
        expect(part.keys.length).toBeLessThanOrEqual(10);
        found.push(...part.keys);
        more = part.more;
      }
      expect(found).toEqual(keys);
      // One that is not there, too.
      const behind = await bucket.list({ folder: 'list/of these', after: 'list/of these/0215' });
      expect(behind).toEqual({ keys: keys.slice(22), more: false });
      expect(await bucket.list({ folder: 'nothing' })).toEqual({ keys: [], more: false });
    });

    test('that does not exist is told from an object that does not', async () => {
      const { endpoint, accessKey, secretKey } = storage;
      const address = addressOf(`s3://missing/prefix?endpoint=${endpoint}`);
      const other = openBucket(address, { accessKey, secretKey, environment: {} });
      const fault = { kind: 'no_bucket', message: 'there is no bucket missing (NoSuchBucket): GET of prefix/a' };
      await expect(other.get('a')).rejects.toMatchObject(fault);
      await expect(other.put('a', bytesOf('a'))).rejects.toMatchObject({ kind: 'no_bucket' });
      await expect(other.list({ folder: 'a' })).rejects.toMatchObject({ kind: 'no_bucket' });
      await other.close();
    });

    test.runIf(name === 'radosgw')(
      'refuses a wrong secret, an unknown key and a wrong clock, each in its own words',
      async () => {
        const { endpoint, accessKey, secretKey } = storage;
        const address = addressOf(`s3://orgtrail-test/prefix?endpoint=${endpoint}`);
        const reasonWith = async (options: Parameters<typeof openBucket>[1]) => {
          const opened = openBucket(address, options);
          const fault = await opened.list({ folder: 'a' }).catch((error: unknown) => error);
          await opened.close();
          return fault;
        };
        const given = { accessKey, secretKey, environment: {} };
        expect(await reasonWith({ ...given, secretKey: 'wrong' })).toMatchObject({
          kind: 'wrong_secret',
          message: 'the secret key is not that of the access key (SignatureDoesNotMatch): GET of the list',
        });
        expect(await reasonWith({ ...given, accessKey: 'unknown' })).toMatchObject({ code: 'InvalidAccessKeyId' });
        expect(await reasonWith({ ...given, nowMs: () => Date.now() - HOUR_MS })).toMatchObject({ kind: 'clock_skew' });
      },
    );

    test.runIf(name === 'moto')('gives parts of an object, and refuses to write one twice', async () => {
      await bucket.put('digits', bytesOf('0123456789'), { once: true });
      expect((await bucket.get('digits', { from: 4, to: 7 }))?.bytes.toString()).toBe('456');
      await expect(bucket.put('digits', bytesOf('other'), { once: true })).rejects.toMatchObject({ kind: 'exists' });
      expect((await bucket.get('digits'))?.bytes.toString()).toBe('0123456789');
    });

    test.runIf(name === 'moto')('locks what it is told to lock, and names its version', async () => {
      const locking = await testBucket(storage, 'locking', { canLock: true });
      const lockedUntilMs = Date.now() + 24 * HOUR_MS;
      const { versionId } = await locking.put('locked', bytesOf('x'), { lockedUntilMs });
      expect(versionId).toMatch(/./);
      const facts = await locking.head('locked');
      expect(facts?.versionId).toBe(versionId);
      expect(Date.parse(facts?.lockedUntil ?? '')).toBe(Math.floor(lockedUntilMs));
      expect((await locking.get('locked'))?.lockedUntil).toBe(facts?.lockedUntil);
      await locking.close();
      await expect(bucket.put('locked', bytesOf('x'), { lockedUntilMs })).rejects.toMatchObject({
        kind: 'no_lock',
        message: expect.stringContaining('is object lock switched on for the bucket?'),
      });
    });
  });
});

const HOUR_MS = 3_600_000;

const bytesOf = (text: string) => Buffer.from(text);

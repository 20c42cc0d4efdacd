import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DeliveryOutcome, OutgoingEvent, Sink } from '../../../src/sinks/delivery.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { readObjects } from '../../support/s3/read-objects.ts';
import { type StorageProxy, startStorageProxy } from '../../support/s3/storage-proxy.ts';
import { headersOf, storages, testBucket } from '../../support/s3/storages.ts';
import { delivery, hostileEvents, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const never = new AbortController().signal;

describe.each(storages)('a sink s3 on $name', ({ name, missing, start }) => {
  describe.skipIf(missing !== undefined)('that is there', () => {
    const storage = forAllTests(start);
    const bucket = forAllTests(() => testBucket(storage, 'orgtrail-lake'));
    let proxy: StorageProxy;
    let sinks: Sink[] = [];
    let alsoAsks: string[] = [];
    beforeEach(async () => {
      proxy = await startStorageProxy(storage.endpoint);
    });
    afterEach(async () => {
      for (const sink of sinks) await sink.close();
      sinks = [];
      await proxy[Symbol.asyncDispose]();
      // Its account may have no other right.
      expect([...proxy.methods].filter((method) => method !== 'PUT')).toEqual(alsoAsks);
      alsoAsks = [];
    });

    const open = (folder: string, more: object = {}): Sink => {
      const settings = {
        ...{
          type: 's3',
          endpoint: proxy.endpoint,
          bucket: 'orgtrail-lake',
          prefix: `prefix/${folder}`,
          timeout: '10m',
        },
        ...{ access_key_id: storage.accessKey, secret_access_key: storage.secretKey },
      };
      const sink = createSink(sinkSettings.parse({ ...settings, ...more }));
      sinks.push(sink);
      return sink;
    };
    const put = (sink: Sink, events: readonly OutgoingEvent[]) => sink.deliver(delivery(events), never);

    test.each([
      ['gzip', 'native'],
      ['zstd', 'ocsf'],
    ] as const)('has every event to the byte and in order, packed by %s', async (compression, format) => {
      const sink = open(compression, { compression, format });
      const [ordinary, hostile] = [ordinaryEvents(500, format), hostileEvents(format)];
      expect(await put(sink, ordinary.slice(0, 300))).toEqual(delivered);
      expect(await put(sink, ordinary.slice(300))).toEqual(delivered);
      const objects = await readObjects(bucket, compression);
      expect(objects.map(({ lines }) => lines.length)).toEqual([300, 200]);
      expect(objects.flatMap(({ lines }) => lines)).toEqual(linesOf(ordinary));
      expect(await put(open(`${compression}-hostile`, { compression, format }), hostile)).toEqual(delivered);
      expect((await readObjects(bucket, `${compression}-hostile`))[0]?.lines).toEqual(linesOf(hostile));
    });

    test('a delivery of unknown outcome comes again as the same object, to the byte', async () => {
      const sink = open('again');
      const events = ordinaryEvents(400, 'native');
      for (const fault of ['cut_before', 'cut_after', 'cut_after'] as const) {
        proxy.faults.push(fault);
        expect((await put(sink, events)).kind).toBe('failed');
      }
      expect(await put(open('again'), events)).toEqual(delivered);
      expect(proxy.puts).toHaveLength(3);
      expect(new Set(proxy.puts.map(({ path, sha256 }) => `${path} ${sha256}`)).size).toBe(1);
      const objects = await readObjects(bucket, 'again');
      expect(objects.map(({ lines }) => lines)).toEqual([linesOf(events)]);
      const stored = (await bucket.get(objects[0]?.name ?? ''))?.bytes ?? '';
      expect(createHash('sha256').update(stored).digest('hex')).toBe(proxy.puts[0]?.sha256);
    });

    test('a bucket that is missing, and then is there', async () => {
      const sink = open('early', { bucket: `not-yet-${name}` });
      const events = ordinaryEvents(5, 'native');
      expect(await put(sink, events)).toEqual({
        kind: 'failed',
        because: 'receiver',
        reason: expect.stringMatching(
          `^there is no bucket not-yet-${name} \\(NoSuchBucket\\): PUT of prefix/early/.*; create it, or check bucket and endpoint$`,
        ),
      });
      const made = await testBucket(storage, `not-yet-${name}`);
      expect(await put(sink, events)).toEqual(delivered);
      expect((await readObjects(made, 'early'))[0]?.lines).toEqual(linesOf(events));
      await made.close();
    });

    // radosgw has quotas, but not in the store that needs no cluster: this is what it says of one that is full.
    test('a bucket that is full, and then is not', async () => {
      const sink = open('full');
      proxy.faults.push({ status: 403, code: 'QuotaExceeded' });
      const outcome = await put(sink, ordinaryEvents(5, 'native'));
      expect(reasonOf(outcome)).toMatch(
        /^the storage or its quota is full \(QuotaExceeded\): PUT of .*; raise the quota, or delete or expire what is not needed$/,
      );
      expect(await put(sink, ordinaryEvents(5, 'native'))).toEqual(delivered);
      expect(await readObjects(bucket, 'full')).toHaveLength(1);
    });

    test.each(['ObjectLockedByBucketPolicy', 'RetentionPolicyNotMet', 'ObjectUnderActiveHold', 'PreconditionFailed'])(
      'a bucket that lets no object be replaced: it counts as put once HEAD shows that it is there: %s',
      async (code) => {
        alsoAsks = ['HEAD'];
        const sink = open(`kept-${code}`);
        const events = ordinaryEvents(5, 'native');
        const refusal = { status: code === 'PreconditionFailed' ? 412 : 403, code };
        proxy.faults.push(refusal, 'cut_after', refusal);
        expect(await put(sink, events)).toEqual({
          kind: 'failed',
          reason: expect.stringMatching(
            `^the storage did not take the object \\(${code}\\), and does not have it: check .* \\(proxy, WAF\\), its policies and locks$`,
          ),
        });
        expect((await put(sink, events)).kind).toBe('failed');
        expect(await put(sink, events)).toEqual(delivered);
        expect((await readObjects(bucket, `kept-${code}`)).map(({ lines }) => lines)).toEqual([linesOf(events)]);
      },
    );

    test('an object that is too large becomes several; an event that is, is refused by itself', async () => {
      const sink = open('large');
      const events = ordinaryEvents(8, 'native');
      const tooLarge = { status: 413, code: 'EntityTooLarge' };
      proxy.faults.push(tooLarge, tooLarge);
      expect(await put(sink, events)).toEqual(delivered);
      const objects = await readObjects(bucket, 'large');
      expect(objects.map(({ lines }) => lines.length)).toEqual([2, 2, 4]);
      expect(objects.flatMap(({ lines }) => lines)).toEqual(linesOf(events));
      proxy.faults.push(tooLarge, tooLarge, tooLarge);
      const outcome = await put(sink, events.slice(0, 3));
      expect(outcome).toEqual({
        kind: 'delivered',
        refused: [{ index: 0, reason: expect.stringContaining('TooLarge') }],
      });
    });

    test.runIf(name === 'radosgw')('a wrong secret, an unknown key, a wrong clock: each says what to do', async () => {
      const events = ordinaryEvents(5, 'native');
      expect(reasonOf(await put(open('faults', { secret_access_key: 'wrong' }), events))).toMatch(
        /^the secret key is not that of the access key \(SignatureDoesNotMatch\): PUT of .*; check access_key_id and secret_access_key$/,
      );
      expect(reasonOf(await put(open('faults', { access_key_id: 'unknown' }), events))).toMatch(
        /^the storage does not know the access key \(InvalidAccessKeyId\): .*; check access_key_id/,
      );
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - HOUR_MS });
      const outcome = await put(open('faults'), events);
      vi.useRealTimers();
      expect(reasonOf(outcome)).toMatch(
        /^the clock of this host .* \(RequestTimeTooSkewed\): .*; set the clock of this host$/,
      );
      expect(await put(open('faults'), events)).toEqual(delivered);
      expect(await readObjects(bucket, 'faults')).toHaveLength(1);
    });

    test.runIf(name === 'moto')('locks and encrypts what it is told to, and says what a bucket cannot', async () => {
      const locking = await testBucket(storage, 'locking-lake', { canLock: true });
      const events = ordinaryEvents(5, 'native');
      const lock = { object_lock: 'governance', object_lock_days: 3 };
      const sse = { sse: 'aws:kms', sse_kms_key_id: 'the-key' };
      const before = Date.now();
      expect(await put(open('locked', { bucket: 'locking-lake', ...lock, ...sse }), events)).toEqual(delivered);
      const [object] = await readObjects(locking, 'locked');
      const header = await headersOf(storage, 'locking-lake', object?.name ?? '');
      expect(header('x-amz-object-lock-mode')).toBe('GOVERNANCE');
      const lockedUntilMs = Date.parse(header('x-amz-object-lock-retain-until-date') ?? '');
      expect(Math.round((lockedUntilMs - before) / HOUR_MS)).toBe(72);
      expect(header('x-amz-server-side-encryption')).toBe('aws:kms');
      expect(header('x-amz-server-side-encryption-aws-kms-key-id')).toBe('the-key');
      await locking.close();
      expect(reasonOf(await put(open('locked', lock), events))).toContain('is object lock switched on for the bucket?');
    });

    test('takes the credentials that Amazon gives if it has none of its own', async () => {
      const settings = { access_key_id: undefined, secret_access_key: undefined };
      const none = open('chain', settings);
      expect(reasonOf(await put(none, ordinaryEvents(1, 'native')))).toMatch(
        /^there is no access key.*; set access_key_id and secret_access_key, or give the machine a role$/,
      );
      const aws = { AWS_ACCESS_KEY_ID: storage.accessKey, AWS_SECRET_ACCESS_KEY: storage.secretKey };
      const place = { type: 's3', endpoint: proxy.endpoint, bucket: 'orgtrail-lake', prefix: 'prefix/chain' };
      const sink = createSink(sinkSettings.parse({ ...place, timeout: '10m' }), { aws });
      sinks.push(sink);
      expect(await put(sink, ordinaryEvents(1, 'native'))).toEqual(delivered);
    });
  });
});

/** A sink to a storage that answers each method so, and what it was asked. */
const sinkToStub = async (answers: Readonly<Record<string, StubAnswer>>) => {
  const methods: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    methods.push(request.method);
    const { status, body, headers } = answers[request.method ?? ''] ?? { status: 405 };
    request.resume().on('end', () => response.writeHead(status, headers).end(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = { type: 's3', endpoint, bucket: 'audit', access_key_id: 'k', secret_access_key: 's' };
  const sink = createSink(sinkSettings.parse(settings));
  const close = async () => {
    await sink.close();
    server.closeAllConnections();
    server.close();
  };
  return { sink, methods, [Symbol.asyncDispose]: close };
};
interface StubAnswer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

test.each<[StubAnswer, RegExp]>([
  [
    { status: 403 },
    /not take the object \(HTTP 412\), and whether .* cannot be asked: .*HEAD of .*; allow s3:GetObject below/,
  ],
  [
    { status: 200, headers: { 'content-length': '7' } },
    /not take the object \(HTTP 412\), and has another one .* of 7 bytes: check locks/,
  ],
  [{ status: 503, headers: { 'retry-after': '9' } }, /cannot be asked: the storage is busy/],
])('a 412 without a condition is no success, if HEAD answers %j', async (head, reason) => {
  await using storage = await sinkToStub({ PUT: { status: 412 }, HEAD: head });
  const outcome = await storage.sink.deliver(delivery(ordinaryEvents(1, 'native')), never);
  expect(outcome).toMatchObject({ kind: 'failed', ...(head.status === 503 && { retryAfterMs: 9_000 }) });
  expect(reasonOf(outcome)).toMatch(reason);
  expect(storage.methods).toEqual(['PUT', 'HEAD']);
});

const slowDown =
  '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>';

test.each([
  ['SlowDown with seconds', 503, slowDown, { 'retry-after': '37' }, 37_000],
  ['429 without a body', 429, '', { 'retry-after': '2' }, 2_000],
  ['a fault of the storage itself', 500, '<Error><Code>InternalError</Code></Error>', { 'retry-after': '5' }, 5_000],
  ['SlowDown without a time', 503, slowDown, {}, undefined],
  ['a time that says nothing', 503, slowDown, { 'retry-after': 'soon' }, undefined],
])('waits as the storage says: %s', async (_, status, body, headers, retryAfterMs) => {
  await using storage = await sinkToStub({ PUT: { status, body, headers: headers as Record<string, string> } });
  const outcome = await storage.sink.deliver(delivery(ordinaryEvents(3, 'native')), never);
  expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('PUT of') });
  expect('retryAfterMs' in outcome ? outcome.retryAfterMs : undefined).toBe(retryAfterMs);
});

// What the sink s3 promises beside what every kind does, on storages that run as processes of their own.

const HOUR_MS = 3_600_000;
const delivered = { kind: 'delivered', refused: [] };

const reasonOf = (outcome: DeliveryOutcome): string => (outcome.kind === 'delivered' ? '' : outcome.reason);
const linesOf = (events: readonly OutgoingEvent[]) => events.map(({ text }) => text);

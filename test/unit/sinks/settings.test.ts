import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSinks, sinkWarnings } from '../../../src/app/config/sinks.ts';
import type { Delivery } from '../../../src/sinks/delivery.ts';
import { createLiveSink, createSink, type SinkSettings, sinkSettings } from '../../../src/sinks/registry.ts';

test('a bucket is enough; its place is the target, without a credential', async () => {
  const { faults, warnings, settings } = read({});
  expect([faults, warnings]).toEqual([[], []]);
  expect(settings).toMatchObject({ region: 'auto', format: 'native', compression: 'gzip', max_interval: 60_000 });
  const { settings: far } = read({
    endpoint: `${r2}/`,
    prefix: '/a/b/',
    access_key_id: 'the-key',
    secret_access_key: 'the-secret',
  });
  if (far === undefined) throw new Error('no settings');
  const sink = createSink(far);
  expect(sink.target).toBe(`s3://audit/a/b?endpoint=${r2}`);
  await sink.close();
});

test.each([
  [{ bucket: 'No' }, '.bucket must be the name of a bucket'],
  [{ endpoint: 'https://example.com/path' }, '.endpoint must be an http or https URL without path and password'],
  [
    { endpoint: 'https://user:password@example.com' },
    '.endpoint must be an http or https URL without path and password',
  ],
  [{ prefix: 'a//b' }, '.prefix must be of printable characters, without empty parts'],
  [{ region: 'EU West' }, '.region must be a region such as eu-west-1, or auto'],
  [{ format: 'cef' }, '.format must be one of native, ocsf, ecs, logpush'],
  [{ max_interval: '10m' }, '.max_interval must be a duration from 1s to 5m'],
  [{ max_bytes: 1 }, '.max_bytes must be at least 65536'],
  [{ access_key_id: 'the-key' }, ' needs .secret_access_key beside .access_key_id'],
  [{ secret_access_key: 'the-secret' }, ' needs .access_key_id beside .secret_access_key'],
  [{ object_lock: 'compliance' }, ' needs .object_lock_days beside .object_lock'],
  [{ sse_kms_key_id: 'k', sse: 'AES256' }, '.sse_kms_key_id needs .sse aws:kms'],
])('%j is refused', (more, fault) => expect(read(more).faults).toEqual([`ORGTRAIL_SINKS.lake${fault}`]));

test('what R2 does not have, and an endpoint without TLS, are warned of', () => {
  expect(read({ endpoint: r2, sse: 'AES256', object_lock: 'governance', object_lock_days: 1 }).warnings).toHaveLength(
    2,
  );
  expect(read({ endpoint: 'http://minio.example.com:9000' }).warnings).toEqual([
    'ORGTRAIL_SINKS.lake.endpoint sends its events over plain http to minio.example.com',
  ]);
  expect(read({ endpoint: 'http://127.0.0.1:9000' }).warnings).toEqual([]);
});

const secretOf = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
const base = {
  webhook: { type: 'webhook', url: 'https://example.com/hook?code=1', secret: secretOf(32) },
  splunk_hec: { type: 'splunk_hec', url: 'https://splunk.example.com:8088', token: 'a-token' },
  elasticsearch: { type: 'elasticsearch', url: 'https://es.example.com:9200', index: 'logs-cloudflare.audit-default' },
} as const;

test.each([
  base.webhook,
  { ...base.webhook, secret: secretOf(24) },
  { ...base.webhook, secret: secretOf(64) },
  base.splunk_hec,
  {
    ...base.splunk_hec,
    index: 'audit',
    host: 'h',
    source: 's',
    sourcetype: 't',
    ack: true,
    ack_timeout: '10m',
    gzip: false,
  },
  base.elasticsearch,
  { ...base.elasticsearch, username: 'u', password: 'p:ä', gzip: false },
  { ...base.elasticsearch, api_key: 'aWQ6a2V5' },
])('settings of the sinks over HTTP valid %#', (settings) => expect(faultsOf(settings)).toEqual([]));

test.each([
  [{ ...base.webhook, secret: secretOf(23) }, /^secret: must be whsec_/],
  [{ ...base.webhook, secret: secretOf(65) }, /^secret: must be whsec_/],
  [{ ...base.webhook, secret: secretOf(32).slice(0, -1) }, /^secret: must be whsec_/],
  [{ ...base.webhook, secret: secretOf(32).slice(6) }, /^secret: must be whsec_/],
  [{ ...base.webhook, url: 'https://user:password@example.com/' }, /^url: /],
  [{ ...base.webhook, url: 'ftp://example.com/' }, /^url: /],
  [{ ...base.webhook, gzip: true }, /gzip/],
  [{ ...base.splunk_hec, token: 'two words' }, /^token: must be printable/],
  [{ ...base.splunk_hec, token: 'br\noken' }, /^token: must be printable/],
  [{ ...base.splunk_hec, url: 'https://splunk.example.com:8088?token=1' }, /^url: must be a URL without query/],
  [{ ...base.splunk_hec, ack_timeout: '1ms' }, /^ack_timeout: /],
  [{ ...base.elasticsearch, index: 'Upper' }, /^index: /],
  [{ ...base.elasticsearch, index: 'a/b' }, /^index: /],
  [{ ...base.elasticsearch, format: 'cef' }, /^format: /],
  [{ ...base.elasticsearch, username: 'a:b', password: 'p' }, /^username: /],
])('settings of the sinks over HTTP faulty %#', (settings, fault) => {
  const faults = faultsOf(settings);
  expect(faults).toEqual([expect.stringMatching(fault)]);
  expect(faults.join()).not.toContain('password@');
});

const read = (more: object) => {
  const faults: string[] = [];
  const sinks = readSinks(JSON.stringify({ lake: { type: 's3', bucket: 'audit', ...more } }), faults);
  return { faults, warnings: sinkWarnings(sinks), settings: sinks[0]?.settings };
};

const r2 = 'https://0123.r2.cloudflarestorage.com';

const faultsOf = (settings: object): string[] => {
  const result = sinkSettings.safeParse(settings);
  return result.success ? [] : result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};

const accepted = 'the-new-token-of-the-sink';
const server = createServer((request, response) => {
  const isGood = request.headers.authorization === `Splunk ${accepted}`;
  request.resume();
  response.writeHead(isGood ? 200 : 403, { 'content-type': 'application/json' });
  response.end(isGood ? '{"text":"Success","code":0}' : '{"text":"Invalid token","code":4}');
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test('a token that is refused is looked up again, and the next attempt has the new one', async () => {
  const { port } = server.address() as AddressInfo;
  const settingsOf = (token: string): SinkSettings =>
    sinkSettings.parse({ type: 'splunk_hec', url: `http://127.0.0.1:${port}`, token });
  let settings = settingsOf('the-old-token-of-the-sink');
  let looked = 0;
  const refresh = () => {
    looked += 1;
    settings = settingsOf(accepted);
  };
  const sink = createLiveSink({ settings: () => settings, refresh });
  const { signal } = new AbortController();
  expect(await sink.deliver(delivery, signal)).toMatchObject({ kind: 'failed' });
  expect(looked).toBe(1);
  expect(await sink.deliver(delivery, signal)).toEqual({ kind: 'delivered', refused: [] });
  expect(looked, 'not after a success').toBe(1);
  await sink.close();
});

const delivery: Delivery = {
  id: 'one',
  events: [{ event: { position: 1, receivedAt: '2026-01-01T00:00:00Z' } as never, key: 'k', text: '{"a":1}' }],
};

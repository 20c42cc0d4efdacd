import { expect, test } from 'vitest';
import { readSinks, sinkWarnings } from '../../../src/config/sinks.ts';
import { createSink } from '../../../src/sinks/registry.ts';

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
])('%j is refused', (more, fault) => {
  expect(read(more).faults).toEqual([`ORGTRAIL_SINKS.lake${fault}`]);
});

test('what R2 does not have, and an endpoint without TLS, are warned of', () => {
  expect(read({ endpoint: r2, sse: 'AES256', object_lock: 'governance', object_lock_days: 1 }).warnings).toHaveLength(
    2,
  );
  expect(read({ endpoint: 'http://minio.example.com:9000' }).warnings).toEqual([
    'ORGTRAIL_SINKS.lake.endpoint sends its events over plain http to minio.example.com',
  ]);
  expect(read({ endpoint: 'http://127.0.0.1:9000' }).warnings).toEqual([]);
});

const read = (more: object) => {
  const faults: string[] = [];
  const sinks = readSinks(JSON.stringify({ lake: { type: 's3', bucket: 'audit', ...more } }), faults);
  return { faults, warnings: sinkWarnings(sinks), settings: sinks[0]?.settings };
};

const r2 = 'https://0123.r2.cloudflarestorage.com';

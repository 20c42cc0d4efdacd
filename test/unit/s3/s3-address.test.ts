import { expect, test } from 'vitest';
import { parseS3Address, type S3Address, urlOfObject } from '../../../src/base/s3/address.ts';

test('a bucket address of Amazon has the bucket in the host, unless that has a dot, which no certificate has', () => {
  expect(urlOf('s3://worm/a')).toBe('https://worm.s3.us-east-1.amazonaws.com/events/1');
  expect(urlOf('s3://worm?region=cn-north-1')).toBe('https://worm.s3.cn-north-1.amazonaws.com.cn/events/1');
  expect(urlOf('s3://worm.example.com?region=eu-west-1')).toBe(
    'https://s3.eu-west-1.amazonaws.com/worm.example.com/events/1',
  );
  expect(urlOf('s3://worm?path_style=true')).toBe('https://s3.us-east-1.amazonaws.com/worm/events/1');
});

test('a bucket address of another storage has it in the path; R2 has the region auto', () => {
  const r2 = 'https://0a1b.r2.cloudflarestorage.com';
  expect(urlOf(`s3://worm/a?endpoint=${r2}`)).toBe(`${r2}/worm/events/1`);
  expect(read(`s3://worm/a?endpoint=${r2}/`)).toMatchObject({ region: 'auto', endpoint: r2 });
  expect(read('s3://worm?endpoint=http://127.0.0.1:9000')).toMatchObject({ region: 'us-east-1', prefix: '' });
  expect(read('s3://worm?endpoint=https://storage.googleapis.com')).toMatchObject({ region: 'auto' });
  for (const host of ['s3.eu-west-1.amazonaws.com', 's3.dualstack.eu-west-1.amazonaws.com']) {
    expect(read(`s3://worm?endpoint=https://${host}`)).toMatchObject({ region: 'eu-west-1' });
  }
  expect(read('s3://worm?endpoint=https://s3.amazonaws.com')).toMatchObject({ region: 'us-east-1' });
  expect(urlOf('s3://worm?endpoint=https://s3.example.com&path_style=false')).toBe(
    'https://worm.s3.example.com/events/1',
  );
});

test('a bucket address has a prefix, a lock, files of credentials and of the authority', () =>
  expect(read('s3://worm/audit/org%20trail/?lock=400d&credentials_file=/run/secrets/worm&ca_file=/etc/ca.pem')).toEqual(
    {
      name: 's3://worm/audit/org trail',
      bucket: 'worm',
      prefix: 'audit/org trail',
      endpoint: undefined,
      region: 'us-east-1',
      pathStyle: false,
      lockMs: 400 * 86_400_000,
      credentialsFile: '/run/secrets/worm',
      caFile: '/etc/ca.pem',
    },
  ));

test.each([
  ['https://worm/a', 'must be like'],
  ['s3://', 'must be like'],
  ['s3://UP_CASE/a', 'must be like'],
  ['s3://worm:80/a', 'must be like'],
  ['s3://key:hunter2@worm/a', 'must have no credential'],
  ['s3://worm/a//b', 'must have a prefix'],
  ['s3://worm/a?secret_key=hunter2', 'knows these parameters: endpoint, region'],
  ['s3://worm/a?region=a&region=b', 'has a parameter twice'],
  ['s3://worm/a?endpoint=https://key:hunter2@example.com', 'must have an endpoint'],
  ['s3://worm/a?endpoint=https://example.com/hunter2', 'must have an endpoint'],
  ['s3://worm/a?path_style=hunter2', 'must have true or false'],
  ['s3://worm/a?region=hunter2!', 'must have a region'],
  ['s3://worm/a?lock=hunter2', 'must have a lock between'],
  ['s3://worm/a?lock=1h', 'must have a lock between'],
])('a bucket address %s is refused, without a word of it', (text, reason) => {
  expect(parseS3Address(text)).toContain(reason);
  expect(parseS3Address(text)).not.toContain('hunter2');
});

const read = (text: string) => parseS3Address(text) as S3Address;
const urlOf = (text: string, key = 'events/1') => urlOfObject(read(text), key).href;

import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openBucket } from '../../../src/base/s3/bucket.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { addressOf, storages, testBucket } from '../../support/s3/storages.ts';

const { folder } = temporaryFolder();
let server: Server;
let endpoint: string;
let asked: IncomingMessage[];

/** By `METHOD path`, or `*`; each is said once, the last again and again. */
let says: Record<string, Said[]>;

beforeEach(async () => {
  asked = [];
  says = {};
  server = createServer(async (request, response) => {
    asked.push(request);
    for await (const _ of request);
    const [path] = (request.url ?? '').split('?');
    const all = says[`${request.method} ${path}`] ?? says['*'] ?? [];
    const { status, body = '', headers = {} } = (all.length > 1 ? all.shift() : all[0]) ?? { status: 404 };
    // As every storage says what it has taken.
    const taken = request.method === 'PUT' && status === 200 ? { etag: '"9dd4e461268c8034f5c8564e155c67a6"' } : {};
    response.writeHead(status, { ...taken, ...headers }).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
});

const refusal = (code: string, rest = '') => `<?xml version="1.0"?><Error><Code>${code}</Code>${rest}</Error>`;

describe('what a storage answers', () => {
  test.each([
    [403, 'SignatureDoesNotMatch', 'wrong_secret', 'the secret key is not that of the access key'],
    [403, 'AccessDenied', 'denied', 'the access key is not allowed to do this'],
    [403, 'RequestTimeTooSkewed', 'clock_skew', 'the clock of this host and that of the storage differ'],
    [403, 'QuotaExceeded', 'full', 'the storage or its quota is full'],
    [507, 'XMinioStorageFull', 'full', 'the storage or its quota is full'],
    [503, 'SlowDown', 'slow_down', 'the storage is busy or limits requests'],
    [400, 'ExpiredToken', 'expired', 'the credentials have expired'],
    [404, 'NoSuchBucket', 'no_bucket', 'there is no bucket worm'],
  ])('%i %s is a fault of its own', async (status, code, kind, words) => {
    says['*'] = [{ status, body: refusal(code) }];
    const fault = await putWith();
    expect(fault).toMatchObject({ kind, code });
    expect(String(fault)).toContain(`${words}`);
    expect(String(fault)).toContain(`(${code}): PUT of a/one`);
  });

  test('a bucket of another region says which; what is not known is shown as it is', async () => {
    says['*'] = [{ status: 301, body: refusal('PermanentRedirect'), headers: { 'x-amz-bucket-region': 'eu-west-1' } }];
    expect(String(await putWith())).toContain('it is in eu-west-1: set region=eu-west-1');
    says['*'] = [{ status: 400, body: refusal('Strange', '<Message>a &lt;b&gt; &amp; c</Message>') }];
    expect(String(await putWith())).toContain('Strange (a <b> & c): PUT of a/one');
    says['*'] = [{ status: 500, body: 'oops' }];
    expect(String(await putWith())).toContain('HTTP 500: PUT of a/one');
  });

  test.each([
    [
      302,
      { location: 'https://login.example.com/?to=a' },
      '',
      'HTTP 302: redirects to login.example.com, which is not followed; check endpoint',
    ],
    [
      307,
      { location: 'https://b.example.com/' },
      refusal('TemporaryRedirect'),
      'check region and endpoint, which redirects to b.example.com',
    ],
    [404, {}, '<h1>Not found</h1>', 'HTTP 404, and no code of S3: check endpoint and bucket'],
    [401, {}, 'no', 'the storage does not know the access key (HTTP 401)'],
    [401, {}, refusal('Unauthorized'), 'the storage does not know the access key (Unauthorized)'],
  ])('%i says what to check', async (status, headers, body, words) => {
    says['*'] = [{ status, body, headers }];
    expect(String(await putWith())).toContain(words);
  });

  test('of a port that does not speak http or https is one, too', async () => {
    const other = createTcpServer((socket) =>
      socket.on('error', () => {}).once('data', () => socket.end('SSH-2.0-x\r\n')),
    );
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    for (const [scheme, what] of [
      ['http', 'the answer is not HTTP'],
      ['https', 'the answer is not TLS'],
    ] as const) {
      endpoint = `${scheme}://127.0.0.1:${(other.address() as AddressInfo).port}`;
      expect(String(await putWith())).toContain(`${what}: check scheme and port of endpoint`);
    }
    other.close();
  });

  test('none at all is a fault of the network, with the host', async () => {
    server.close();
    server.closeAllConnections();
    const fault = await putWith();
    expect(fault).toMatchObject({
      kind: 'network',
      message: expect.stringContaining(`${new URL(endpoint).host} does not answer`),
    });
  });

  test.each(['', '<html>Sign in</html>'])('a success of something that is no storage is none: "%s"', async (body) => {
    const portal = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(200).end(body));
    }).listen(0, '127.0.0.1');
    await once(portal, 'listening');
    endpoint = `http://127.0.0.1:${(portal.address() as AddressInfo).port}`;
    expect(await putWith()).toMatchObject({
      kind: 'other',
      message: 'the answer is not that of an S3 storage, check endpoint (HTTP 200 without an ETag): PUT of a/one',
    });
    portal.closeAllConnections();
    portal.close();
  });

  test('an ETag that is not the MD5 of the object counts if the storage encrypts by KMS, or a HEAD shows that size and ETag', async () => {
    const etag = 'W/"1-of-a-page"';
    const unproven = { kind: 'other', message: expect.stringContaining('no object of this size and ETag there') };
    says['PUT /worm/a/one'] = [{ status: 200, headers: { etag } }];
    // As web servers answer every method, and as one answers that has kept a part.
    for (const head of [
      { status: 404 },
      { status: 200, headers: { etag, 'content-length': '7' } },
      { status: 200, headers: { etag: '"other"', 'content-length': '1' } },
    ]) {
      says['HEAD /worm/a/one'] = [head];
      expect(await putWith()).toMatchObject(unproven);
    }
    says['HEAD /worm/a/one'] = [{ status: 200, headers: { etag, 'content-length': '1' } }];
    expect(await putWith()).toEqual({ versionId: undefined });
    says['HEAD /worm/a/one'] = [{ status: 403 }];
    expect(await putWith()).toMatchObject({ kind: 'denied' });
    says['PUT /worm/a/one'] = [{ status: 200, headers: { etag, 'x-amz-server-side-encryption': 'aws:kms' } }];
    expect(await putWith()).toEqual({ versionId: undefined });
  });

  test('a storage without conditions is asked once more without', async () => {
    says['*'] = [{ status: 501, body: refusal('NotImplemented') }, { status: 200 }];
    expect(await putWith()).toEqual({ versionId: undefined });
    expect(asked.map(({ headers }) => headers['if-none-match'])).toEqual(['*', undefined]);
  });
});

describe('keys', () => {
  const given = (accessKey: string, more = {}) =>
    JSON.stringify({
      AccessKeyId: accessKey,
      SecretAccessKey: 'secret',
      Token: 'session',
      Expiration: '2999-01-01T00:00:00Z',
      ...more,
    });
  const none = { accessKey: undefined, secretKey: undefined };

  test('of a file are read again when they are refused', async () => {
    const file = join(folder, 'credentials');
    const write = (key: string) =>
      writeFile(file, `[default]\naws_access_key_id = ${key}\naws_secret_access_key=secret\n`);
    await write('old');
    says['*'] = [{ status: 200 }, { status: 403, body: refusal('InvalidAccessKeyId') }, { status: 200 }];
    const bucket = openBucket(addressOf(`s3://worm/a?endpoint=${endpoint}&credentials_file=${file}`), {
      ...keys,
      environment: {},
    });
    await bucket.put('one', Buffer.from('x'));
    await write('new');
    await bucket.put('two', Buffer.from('x'));
    await bucket.close();
    expect(signedBy()).toEqual(['old', 'old', 'new']);
    expect(await putWith({}, `&credentials_file=${file}.none`)).toMatchObject({ kind: 'no_credentials' });
  });

  test('of the environment come before those of a machine', async () => {
    says['*'] = [{ status: 200 }];
    const environment = { AWS_ACCESS_KEY_ID: 'variable', AWS_SECRET_ACCESS_KEY: 's', AWS_SESSION_TOKEN: 'session' };
    await putWith({ ...none, environment });
    expect(signedBy()).toEqual(['variable']);
    expect(asked[0]?.headers['x-amz-security-token']).toBe('session');
  });

  test('of a container (ECS, EKS Pod Identity) are asked for with its token', async () => {
    says = { 'GET /v1/credentials': [{ status: 200, body: given('container') }], '*': [{ status: 200 }] };
    const token = join(folder, 'token');
    await writeFile(token, 'from-a-file\n');
    const AWS_CONTAINER_CREDENTIALS_FULL_URI = `${endpoint}/v1/credentials`;
    await putWith({
      ...none,
      environment: { AWS_CONTAINER_CREDENTIALS_FULL_URI, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: token },
    });
    expect(signedBy()).toEqual(['container']);
    expect(asked[0]?.headers.authorization).toBe('from-a-file');
    const far = { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://192.0.2.1/', AWS_CONTAINER_AUTHORIZATION_TOKEN: 'token' };
    expect(String(await putWith({ ...none, environment: far }))).toContain(
      '192.0.2.1 is not an address of a container',
    );
    const named = { AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://127.attacker.example/' };
    expect(String(await putWith({ ...none, environment: named }))).toContain(
      '127.attacker.example is not an address of a container',
    );
  });

  test('of a machine are asked for by IMDSv2, and again before they end', async () => {
    const path = '/latest/meta-data/iam/security-credentials/';
    says = {
      'PUT /latest/api/token': [{ status: 200, body: 'imds-token' }],
      [`GET ${path}`]: [{ status: 200, body: 'the-role' }],
      [`GET ${path}the-role`]: [
        { status: 200, body: given('ending', { Expiration: new Date(Date.now() + 30_000).toISOString() }) },
        { status: 200, body: given('next') },
      ],
      '*': [{ status: 200 }],
    };
    const environment = { AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint };
    const bucket = openBucket(addressOf(`s3://worm/a?endpoint=${endpoint}`), { ...none, environment });
    for (const key of ['one', 'two', 'three']) await bucket.put(key, Buffer.from('x'));
    await bucket.close();
    expect(signedBy()).toEqual(['ending', 'next', 'next']);
    expect(asked.find(({ url }) => url === path)?.headers['x-aws-ec2-metadata-token']).toBe('imds-token');
  });

  test('of a token of Kubernetes (IRSA) come from STS', async () => {
    const xml =
      '<Credentials><AccessKeyId>assumed</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></Credentials>';
    says = { 'POST /': [{ status: 200, body: xml }], '*': [{ status: 200 }] };
    const file = join(folder, 'token');
    await writeFile(file, 'jwt');
    const environment = { AWS_WEB_IDENTITY_TOKEN_FILE: file, AWS_ROLE_ARN: 'arn:role', AWS_ENDPOINT_URL_STS: endpoint };
    await putWith({ ...none, environment });
    expect(signedBy()).toEqual(['assumed']);
  });

  test('that are nowhere are said to be missing', async () => {
    const fault = await putWith({ ...none, environment: { AWS_EC2_METADATA_DISABLED: 'true' } });
    expect(fault).toMatchObject({ kind: 'no_credentials', message: 'there is no access key' });
  });
});

describe.each(storages)('a bucket on $name', ({ name, missing, start }) => {
  describe.skipIf(missing !== undefined)('that is there', () => {
    const storage = forAllTests(start);
    const bucket = forAllTests(() => testBucket(storage, 'orgtrail-test'));

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

interface Said {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const keys = { accessKey: 'the-access-key', secretKey: 'the-secret-key' };

type Options = Parameters<typeof openBucket>[1];

const putWith = async (options: Partial<Options> = {}, parameters = '') => {
  const address = addressOf(`s3://worm/a?endpoint=${endpoint}${parameters}`);
  const bucket = openBucket(address, { ...keys, environment: {}, ...options });
  const result = await bucket.put('one', Buffer.from('x'), { once: true }).catch((error: unknown) => error);
  await bucket.close();
  return result;
};

const signedBy = () =>
  asked
    .filter(({ method }) => method === 'PUT')
    .flatMap(({ headers }) => /Credential=([^/]+)/.exec(headers.authorization ?? '')?.[1] ?? []);

const HOUR_MS = 3_600_000;

const bytesOf = (text: string) => Buffer.from(text);

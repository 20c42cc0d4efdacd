import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { words } from '../../support/process/words.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const world = ofAllTests(() => openWorld({ organizations: 1, entries: 5 }));
const run = ofAllTests(() => world.open());
beforeAll(() => run.cycle());

const foreign: readonly HeaderFields[] = [
  ...'attacker.example attacker.example:8080 127.attacker.example localhost.attacker.example 192.0.2.1'
    .split(' ')
    .map((host) => ({ host })),
  ...['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'forwarded', 'via'].map((name) => ({
    host: 'localhost',
    [name]: 'localhost',
  })),
];

describe('on loopback without a token', () => {
  test('no route gives out anything under another name or through a proxy on the same host, trusted or not', async () => {
    await using open = await serve(run);
    await using behind = await serve(run, { trustedProxies: ['127.0.0.1'] });
    for (const served of [open, behind]) {
      const paths = dataPaths(served);
      expect(paths).toEqual(
        expect.arrayContaining(['/', '/events', '/v1/events', '/v1/search', '/healthz', '/metrics']),
      );
      for (const path of paths) {
        for (const headers of foreign) {
          expect(await statusOf(served, path, headers), JSON.stringify([path, headers])).toBe(403);
        }
      }
      expect(await statusOf(served, '/livez', { host: 'attacker.example' }), 'says nothing').toBe(200);
    }
    const { code, body } = await open.get('/v1/events', { 'x-forwarded-for': '192.0.2.1' });
    expect([code, body]).toEqual([
      403,
      { status: 'forbidden', reason: expect.stringContaining('set ORGTRAIL_FEED_TOKEN') },
    ]);
  });

  test('the names of loopback open everything', async () => {
    await using served = await serve(run);
    for (const path of ['/', '/v1/status', '/v1/events', '/v1/search', '/healthz', '/readyz', '/metrics']) {
      for (const host of ['localhost', 'LOCALHOST:8080', '127.0.0.1:1', '127.1.2.3', '[::1]:8080', '[::1]']) {
        expect(await statusOf(served, path, { host }), `${path} ${host}`).toBe(200);
      }
    }
  });
});

test('on loopback with a token: health and metrics under another name only with it', async () => {
  await using served = await serve(run, { feedToken });
  const host = 'attacker.example';
  for (const path of ['/healthz', '/readyz', '/metrics', '/v1/openapi.json']) {
    expect(await statusOf(served, path, { host }), path).toBe(403);
    expect(await statusOf(served, path, { host, authorization: 'Bearer wrong-token-of-the-test' }), path).toBe(403);
    expect(await statusOf(served, path, { host, authorization: `Bearer ${feedToken}` }), path).toBe(200);
    expect(await statusOf(served, path, { host: 'localhost' }), path).toBe(200);
  }
  expect(await statusOf(served, '/v1/events', { host })).toBe(401);
  expect(await statusOf(served, '/v1/events', { host, authorization: `Bearer ${feedToken}` })).toBe(200);
});

test('outside loopback probes and Prometheus need neither a name nor a token', async () => {
  await using served = await serve(run, { host: '0.0.0.0', feedToken });
  for (const path of ['/livez', '/readyz', '/healthz', '/metrics']) {
    for (const host of ['10.1.2.3:8080', 'orgtrail.monitoring.svc:8080']) {
      expect(await statusOf(served, path, { host }), `${path} ${host}`).toBe(200);
    }
  }
});

/** What comes back until the server closes the connection. */
const answerTo = async ({ server }: Served, request: string): Promise<string> => {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  socket.write(request);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
};

test('two Host headers are refused, whatever they are', async () => {
  await using served = await serve(run);
  for (const second of ['localhost', 'attacker.example']) {
    const request = `GET /v1/status HTTP/1.1\r\nHost: localhost\r\nhost: ${second}\r\nConnection: close\r\n\r\n`;
    expect(await answerTo(served, request), second).toMatch(/^HTTP\/1\.1 400 [\s\S]*more than one Host header/);
  }
});

test('a body that does not come is waited for no longer than its time-out: 408, and the connection is closed', async () => {
  // Of its own: on a busy machine any request may take as long.
  await using impatient = await serve(run, { feedToken, requestTimeoutMs: 500 });
  const head =
    'POST /console/sign-in HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n';
  expect(await answerTo(impatient, `${head}content-length: 100\r\n\r\ntok`)).toContain('HTTP/1.1 408 ');
});

test('NUL in an address: 400, and no word on the database', async () => {
  await using served = await serve(run, { feedToken });
  for (const path of words(`
    /v1/events?organization=%00 /v1/search?organization=%00 /v1/search?q=a%00b /events?actor=%00 /organizations/%00`)) {
    expect(await served.get(path, { authorization: `Bearer ${feedToken}` }), path).toEqual({
      code: 400,
      body: { status: 'bad request', reason: 'the URL must not contain NUL (%00)' },
    });
  }
});

const feedToken = 'feed-token-of-the-test';
type HeaderFields = Readonly<Record<string, string>>;

/** With headers that fetch does not let one set. */
const statusOf = (served: Served, path: string, headers: HeaderFields): Promise<number> =>
  new Promise((resolve, reject) => {
    httpRequest(`${served.server.url.replace('0.0.0.0', '127.0.0.1')}${path}`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });

/** What of the daemon's answers holds data, by its own list of routes. */
const dataPaths = ({ server }: Served): string[] =>
  [...server.routes, ...server.hiddenRoutes]
    .filter((route) => route.startsWith('GET '))
    .map((route) => route.slice(4).replace(':position', '1').replace(/:\w+/, 'x'))
    .filter((path) => path !== '/livez' && !path.startsWith('/console/'));

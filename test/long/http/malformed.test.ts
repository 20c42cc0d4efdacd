import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

const FEED_TOKEN = 'feed-token-of-the-test';
let world: SyncWorld;
let run: SyncRun;
let served: Served;

beforeAll(async () => {
  world = await openWorld({ organizations: 1, entries: 5 });
  run = await world.open();
  await run.cycle();
  served = await serve(run, { feedToken: FEED_TOKEN });
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await run?.close();
  await world?.[Symbol.asyncDispose]();
});

/** What comes back until the server closes the connection. */
const send = async ({ server }: Served, text: string): Promise<string> => {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
  socket.write(text);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString();
};

test('a body that does not come is waited for no longer than its time-out: 408, and the connection is closed', async () => {
  // Of its own: on a busy machine any request may take as long.
  await using impatient = await serve(run, { feedToken: FEED_TOKEN, requestTimeoutMs: 500 });
  const head =
    'POST /console/sign-in HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n';
  expect(await send(impatient, `${head}content-length: 100\r\n\r\ntok`)).toContain('HTTP/1.1 408 ');
});

test('two Host headers: 400', async () => {
  const answer = await send(
    served,
    'GET /livez HTTP/1.1\r\nhost: a.example\r\nHOST: localhost\r\nconnection: close\r\n\r\n',
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*one Host header/);
});

test.each([
  '/v1/events?organization=%00',
  '/v1/search?organization=%00',
  '/v1/search?q=a%00b',
  '/events?actor=%00',
  '/organizations/%00',
])('NUL in %s: 400, and no word on the database', async (path) => {
  const response = await fetch(new URL(path, served.server.url), {
    headers: { authorization: `Bearer ${FEED_TOKEN}` },
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({ status: 'bad request', reason: 'the URL must not contain NUL (%00)' });
});

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ApiError } from '../../../../src/base/errors.ts';
import { createServerClock, sleep } from '../../../../src/ingest/cloudflare/wire/request.ts';
import { createTransport, defaultTimeouts, type Timeouts } from '../../../../src/ingest/cloudflare/wire/transport.ts';
import { answer, type LocalServer, startHttpServer, startTcpServer } from './local-server.ts';
import { apiErrorOf, createTestClient, getText, startApi, TOKEN } from './test-client.ts';

const MEBIBYTE = 1024 * 1024;

// undici's timers have a resolution of a second, whatever they are set to: hence single attempts, side by side.
describe.concurrent('a timeout', () => {
  async function failureOfOneAttempt(baseUrl: string, timeouts: Partial<Timeouts>): Promise<ApiError> {
    const transport = createTransport({
      baseUrl,
      credential: { kind: 'token', token: TOKEN },
      userAgent: 'orgtrail/test',
      timeouts: { ...defaultTimeouts, ...timeouts },
      maxResponseBytes: MEBIBYTE,
      clock: createServerClock(() => 0),
    });
    const { signal } = new AbortController();
    const request = {
      endpoint: 'organizations',
      path: '/x',
      query: new URLSearchParams(),
      signal,
      decode: () => {},
    } as const;
    // The transport is not closed, so that the tests see whether the attempt itself left a connection open.
    const outcome = await transport.send(request);
    if (outcome.ok) throw new Error('it did not fail');
    return outcome.error;
  }

  // biome-ignore format: a table
  it.each<[string, Partial<Timeouts>, string, () => Promise<LocalServer>]>([
    ['connection covers TLS', { connectMs: 40 }, 'no connection', () => startTcpServer(() => {})],
    ['headers', { headersMs: 40 }, 'no response headers', () => startHttpServer(() => {})],
    ['body that stops', { bodyIdleMs: 40 }, 'no further data of the response body', () => startHttpServer((_, response) => void response.writeHead(200).write('{'))],
  ])('of the %s', async (what, timeouts, message, start) => {
    await using server = await start();
    const { port } = server;
    const error = await failureOfOneAttempt(what.endsWith('TLS') ? `https://127.0.0.1:${port}` : server.baseUrl, timeouts);
    expect([error.failure, error.message]).toEqual(['timeout', `GET /x: ${message} within 40 ms`]);
    await server.allClosed();
  });

  it('in the body of an error leaves the error what it is', async ({ expect }) => {
    await using server = await startHttpServer((_request, response) => void response.writeHead(403).write('{'));
    const error = await failureOfOneAttempt(server.baseUrl, { bodyIdleMs: 40 });
    expect(error).toMatchObject({ failure: 'refused', status: 403 });
    await server.allClosed();
  });

  it('of the whole attempt ends a body that trickles, and is not retried', async ({ expect }) => {
    await using test = await startApi(
      (_request, response) => {
        const timer = setInterval(() => response.write(' '), 10);
        response.on('close', () => clearInterval(timer));
      },
      { timeouts: { attemptMs: 60 } },
    );
    const error = await apiErrorOf(getText(test.client));
    expect(error.failure).toBe('timeout');
    expect(error.message).toBe('GET /organizations: the whole attempt was not done within 60 ms');
    expect(test.observed.filter((line) => line === 'organizations timeout')).toHaveLength(1);
    await test.server.allClosed();
  });
});

it('a response that is too large is cut off at the limit, and not asked for again', async () => {
  let poured: Promise<number> | undefined;
  await using test = await startApi(
    (_request, response) => {
      poured = pour(response.writeHead(200));
    },
    { maxResponseBytes: MEBIBYTE },
  );
  const error = await apiErrorOf(getText(test.client));
  expect(error).toMatchObject({ failure: 'too_large', status: 200 });
  expect(error.message).toContain(`${MEBIBYTE} bytes`);
  await test.server.allClosed();
  // The limit and what the sockets buffer on both sides.
  expect(await poured).toBeLessThan(16 * MEBIBYTE);
  expect(test.server.requests).toHaveLength(1);
  expect(test.observed).toEqual(['organizations too_large']);
});

it('a response that is too large is not read at all when it says so beforehand', async () => {
  await using test = await startApi(
    (_request, response) => {
      response.writeHead(200, { 'content-length': String(2 * MEBIBYTE) }).flushHeaders();
    },
    { maxResponseBytes: MEBIBYTE },
  );
  expect(await apiErrorOf(getText(test.client))).toMatchObject({ failure: 'too_large' });
  await test.server.allClosed();
});

it('a response that is too large may be as large as the limit', async () => {
  await using test = await startApi(answer(200, ' '.repeat(MEBIBYTE)), { maxResponseBytes: MEBIBYTE });
  expect((await getText(test.client)).text).toHaveLength(MEBIBYTE);
});

it('a response that is too large as an error is not read to its end either', async () => {
  let poured: Promise<number> | undefined;
  await using test = await startApi((_request, response) => {
    poured = pour(response.writeHead(403));
  });
  expect(await apiErrorOf(getText(test.client))).toMatchObject({ failure: 'refused' });
  await test.server.allClosed();
  expect(await poured).toBeLessThan(16 * MEBIBYTE);
});

it('a connection that breaks off in the middle of a body of known length is retried', async () => {
  await using test = await startApi([
    (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"result":[', () => response.destroy());
    },
    answer(200, 'whole'),
  ]);
  expect((await getText(test.client)).text).toBe('whole');
  expect(test.observed).toEqual(['organizations connection', 'retry connection 1 500', 'organizations 200']);
});

it.each([
  ['before its last chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"res\r\n'],
  ['short of its content-length', 'HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{"result":[]}'],
  ['before any header', ''],
  ['after something that is not HTTP', `SSH-2.0-OpenSSH ${TOKEN}\r\n`],
])('a connection that ends %s is a fault of the connection, four times', async (_what, bytes) => {
  await using server = await startTcpServer((socket) => void socket.once('data', () => socket.end(bytes)));
  await using test = createTestClient(server.baseUrl);
  const error = await apiErrorOf(getText(test.client));
  expect(error).toMatchObject({ failure: 'connection', status: undefined });
  expect(test.log.filter((line) => line === 'acquire')).toHaveLength(4);
  expect(inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain(TOKEN);
});

it('a connection that is refused says so', async () => {
  const server = await startHttpServer();
  await server[Symbol.asyncDispose]();
  await using test = createTestClient(server.baseUrl);
  const error = await apiErrorOf(getText(test.client));
  expect(error.failure).toBe('connection');
  expect(error.message).toContain('ECONNREFUSED');
});

it('a connection is used again after answers of all kinds', async () => {
  await using test = await startApi([answer(200), answer(404, 'x'), answer(500, 'y'), answer(302, 'z')]);
  await getText(test.client);
  await apiErrorOf(getText(test.client));
  await apiErrorOf(getText(test.client));
  expect(test.server.requests).toHaveLength(4);
  expect(test.server.connections).toBeLessThanOrEqual(2);
  await test.client.close();
  await test.server.allClosed();
});

it.each([301, 302, 303, 307, 308])(
  'a redirect %i is not followed: no other host sees the credential',
  async (status) => {
    await using other = await startHttpServer(answer(200));
    await using test = await startApi(answer(status, '', { location: `${other.baseUrl}/secret?x=1` }));
    const error = await apiErrorOf(getText(test.client));
    expect(error).toMatchObject({ failure: 'redirected', status });
    expect(error.message).toContain(`to http://127.0.0.1:${other.port};`);
    expect(other.connections).toBe(0);
    expect(test.server.requests).toHaveLength(1);
  },
);

it.each(['/elsewhere', 'http://[', ''])('a redirect to %j is none to follow either', async (location) => {
  await using test = await startApi(answer(302, '', { location }));
  expect(await apiErrorOf(getText(test.client))).toMatchObject({ failure: 'redirected' });
  expect(test.server.requests).toHaveLength(1);
});

class Stopped extends Error {}

it('an abort before the call sends nothing and asks no budget', async () => {
  await using test = await startApi(answer(200));
  await expect(getText(test.client, { signal: AbortSignal.abort(new Stopped()) })).rejects.toThrow(Stopped);
  expect([test.log, test.server.connections]).toEqual([[], 0]);
});

it('an abort while waiting for the budget gives the signal’s reason, whatever the budget rejects with', async () => {
  const controller = new AbortController();
  await using test = createTestClient('http://127.0.0.1:1', {
    budget: {
      acquire: (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('another one')));
          controller.abort(new Stopped());
        }),
      pause: async () => {},
    },
  });
  await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
});

it('an abort while connecting', async () => {
  const controller = new AbortController();
  await using server = await startTcpServer(() => controller.abort(new Stopped()));
  await using test = createTestClient(`https://127.0.0.1:${server.port}`);
  await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
  expect(test.observed).toEqual([]);
});

it('an abort while waiting for headers', async () => {
  const controller = new AbortController();
  await using test = await startApi(() => controller.abort(new Stopped()));
  await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
  await test.server.allClosed();
  expect(test.observed).toEqual([]);
});

it.each([200, 403])('an abort in the middle of the body of a %i', async (status) => {
  const controller = new AbortController();
  // The client has the headers by then, and is in the body.
  const abort = () => setImmediate(() => controller.abort(new Stopped()));
  subscribe('undici:request:headers', abort);
  try {
    await using test = await startApi((_request, response) => void response.writeHead(status).write('{'));
    await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
    await test.server.allClosed();
    expect(test.observed).toEqual([]);
  } finally {
    unsubscribe('undici:request:headers', abort);
  }
});

it('an abort during the wait before a retry', async () => {
  const controller = new AbortController();
  await using test = await startApi(answer(503, {}, { 'retry-after': '30' }), {
    sleep,
    observer: { onRetry: () => setImmediate(() => controller.abort(new Stopped())) },
  });
  await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
  expect(test.server.requests).toHaveLength(1);
});

it('an abort leaves no listener on the signal of a long-lived caller', async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners += 1;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners -= 1;
    removeEventListener.apply(signal, args);
  };
  await using test = await startApi([answer(500), answer(200)]);
  await getText(test.client, { signal });
  expect(listeners).toBe(0);
});

/** Writes until the client is gone; resolves with how many bytes it was willing to send. */
async function pour(response: ServerResponse): Promise<number> {
  const piece = Buffer.alloc(64 * 1024, 0x20);
  const closed = once(response, 'close');
  let sentBytes = 0;
  while (!response.destroyed && sentBytes < 512 * MEBIBYTE) {
    sentBytes += piece.length;
    if (!response.write(piece)) await Promise.race([once(response, 'drain'), closed]);
  }
  return sentBytes;
}

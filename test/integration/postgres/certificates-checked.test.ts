import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createServerClock } from '../../../src/ingest/cloudflare/wire/request.ts';
import { createTransport } from '../../../src/ingest/cloudflare/wire/transport.ts';
import { createClient } from '../../../src/postgres/pool.ts';
import { createHttpPost } from '../../../src/sinks/http/http-post.ts';
import { makeCertificates } from '../../support/network/server-certificates.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { outgoingEvents } from '../../support/sinks/syslog-events.ts';
import { syslogSink } from '../../support/sinks/syslog-sink.ts';

// What turns off all checks of a Node program that does not say them itself; some set it for another program.
let port: number;

const certificates = forAllTests(() => makeCertificates());
const server = forAllTests(() =>
  createServer(certificates.selfSigned, (socket) => {
    socket.on('error', () => {}).on('data', (chunk: Buffer) => taken.push(chunk.toString()));
  }),
);
beforeAll(async () => {
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterAll(async () => {
  vi.unstubAllEnvs();
});

test('NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing for the client of Cloudflare', async () => {
  const transport = createTransport({
    baseUrl: `https://localhost:${port}`,
    credential: { kind: 'token', token: 'the-token' },
    userAgent: 'test',
    timeouts: { connectMs: 60_000, headersMs: 60_000, bodyIdleMs: 60_000, attemptMs: 60_000 },
    maxResponseBytes: 1_000,
    clock: createServerClock(() => performance.now()),
  });
  const outcome = await transport.send({
    endpoint: 'organizations',
    path: '/organizations',
    query: new URLSearchParams(),
    signal: never(),
    decode: () => {},
  });
  expect(outcome).toMatchObject({ ok: false, error: { message: expect.stringMatching(unverified) } });
  await transport.close();
  expect(taken).toEqual([]);
});

test('nor for the client of the sinks over HTTP', async () => {
  const url = `https://localhost:${port}/hook`;
  const http = createHttpPost({ url, headers: {}, timeoutMs: 60_000, caFile: undefined, secrets: [] });
  await expect(http.post('{}', { signal: never() })).rejects.toThrow(unverified);
  await http.close();
  expect(taken).toEqual([]);
});

test('nor for the syslog sink', async () => {
  const sink = syslogSink({ url: `tls://localhost:${port}` });
  const delivery = { id: 'one', events: outgoingEvents(1, { textLength: 10 }) };
  expect(await sink.deliver(delivery, never())).toMatchObject({
    kind: 'failed',
    reason: expect.stringMatching(unverified),
  });
  await sink.close();
  expect(taken).toEqual([]);
});

test('nor for the client of PostgreSQL', async () => {
  const client = createClient(`postgres://u:the-password@localhost:${port}/d?sslmode=require&sslnegotiation=direct`);
  await expect(client.connect()).rejects.toThrow(unverified);
  expect(taken.join('')).not.toContain('the-password');
});

const taken: string[] = [];

const never = () => new AbortController().signal;

const unverified = /self.signed/i;

import { getEventListeners, once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { DeliveryOutcome, Sink } from '../../../src/sinks/delivery.ts';
import { createHttpPost, type HttpPost, NoAnswer } from '../../../src/sinks/http/http-post.ts';
import { createSink, secretsOfSink, sinkSettings, sinkTypes } from '../../../src/sinks/registry.ts';
import { makeCertificates } from '../../support/network/server-certificates.ts';
import { startTlsGate } from '../../support/network/tls-gate.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { heldBytes } from '../../support/process/held-bytes.ts';
import { until } from '../../support/process/until.ts';
import { closedAfterEach } from '../../support/sinks/closed-after-each.ts';
import type { Fault, HttpReceiver } from '../../support/sinks/http/http-receiver.ts';
import { startWebhookReceiver } from '../../support/sinks/http/http-receivers.ts';
import { attempt, attemptWith } from '../../support/sinks/http/http-sink-checks.ts';
import { httpSinks } from '../../support/sinks/http/http-sinks.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';
import { receiverKinds } from '../../support/sinks/receivers.ts';

/** Every kind of sink that speaks HTTP, with the server under its receiver. */
const kinds = sinkTypes.flatMap((type) => {
  const { start, http, canRefuse } = receiverKinds[type];
  return http === undefined ? [] : [[type, { start, http, canRefuse }] as const];
});
const { open, openSink } = closedAfterEach();
const events = ordinaryEvents(3, 'native');

/** Statuses that mean the same to every sink, if nothing more exact is said. */
const statuses: readonly (readonly [number, DeliveryOutcome['kind']])[] = [
  ...[301, 302, 307, 308, 401, 403, 404, 405, 408, 409, 411, 415, 429, 431, 500, 502, 503, 504].map(
    (status) => [status, 'failed'] as const,
  ),
  ...[400, 413, 422].map((status) => [status, 'refused'] as const),
];

describe.each(kinds)('%s', (_, { start, http, canRefuse }) => {
  const begin = async () => {
    const receiver = await start({ refusesPoison: false });
    const settings = sinkSettings.parse({ timeout: '10m', ...receiver.settings });
    const sink = createSink(settings);
    const close = async () => {
      await sink.close();
      await receiver[Symbol.asyncDispose]();
    };
    return { server: http(receiver), settings, sink, [Symbol.asyncDispose]: close };
  };
  const world = forAllTests(() => begin());
  const meet = (fault: Fault) => attemptWith(world.server, world.sink, fault, events);

  test('no complete answer is a failure, and the next attempt succeeds', async () => {
    // Before anything is read, within the body, and with all taken in: before and within the answer.
    for (const at of ['start', { bodyBytes: 1 }, 'answer', 'mid-answer'] as const) {
      const cut = `cut at ${JSON.stringify(at)}`;
      expect(await meet({ kind: 'cut', at }), cut).toEqual(failed(/^UND_ERR_SOCKET|^ECONNRESET|^EPIPE/));
      expect(await attempt(world.sink, events), cut).toEqual(delivered);
    }
  });

  test('each HTTP status that says nothing more exact means the same', async () => {
    for (const [status, kind] of statuses) {
      // A receiver that judges no event means its own settings by 400.
      const expected = status === 400 && !canRefuse ? 'failed' : kind;
      const reason = expect.stringContaining(`HTTP ${status}`);
      expect(await meet({ kind: 'answer', status })).toMatchObject({ kind: expected, reason });
    }
    const early = await meet({ kind: 'answer', status: 413, early: true });
    expect(early, 'before the body is read: smaller deliveries').toMatchObject({ kind: 'refused' });
    const waits = await meet({ kind: 'answer', status: 429, headers: { 'retry-after': '17' } });
    expect(waits, 'Retry-After').toMatchObject({ kind: 'failed', retryAfterMs: 17_000 });
  });

  test('a redirect is not followed, and only its host is told (invariant 12)', async () => {
    await using other = await begin();
    const secret = secretsOfSink(world.settings)[0];
    const location = `${other.server.url}/elsewhere?${secret}`;
    const outcome = await meet({ kind: 'answer', status: 307, headers: { location } });
    const { host } = new URL(other.server.url);
    expect(outcome).toEqual(failed(new RegExp(`^HTTP 307: redirects to ${host}, which is not followed`)));
    expect(reasonOf(outcome)).not.toContain(secret);
    expect(other.server.requests).toEqual([]);
  });

  test('a status that repeats the credentials and more: one short line without them (invariant 12)', async () => {
    const secrets = secretsOfSink(world.settings).flatMap((secret) => {
      const inJson = JSON.stringify(secret).slice(1, -1);
      return [secret, inJson, encodeURIComponent(secret)];
    });
    expect(secrets.length).toBeGreaterThan(0);
    const body = `\u0000\u001b[31mno\r\n\u202e ${secrets.join(' ')} ${'y'.repeat(1_000)}`;
    for (const status of [400, 401, 403, 500]) {
      const reason = reasonOf(await meet({ kind: 'answer', status, body }));
      expect(secrets.filter((secret) => reason.includes(secret))).toEqual([]);
      expect(reason).toContain('[redacted]');
      expect(reason.length).toBeLessThanOrEqual(300);
      expect(reason).toMatch(/^[\x20-\x7e\u00a0-\uffff]+$/);
      expect(reason).not.toContain('\u202e');
    }
  });
});

const reasonOf = (outcome: DeliveryOutcome): string => (outcome.kind === 'delivered' ? '' : outcome.reason);

describe('TLS', () => {
  const certificates = forAllTests(() => makeCertificates());

  test('a certificate is trusted by ca_file alone, while it is valid, for its own host', async () => {
    const receiver = open(await startWebhookReceiver());
    const gate = open(await startTlsGate(Number(new URL(receiver.url).port), certificates.selfSigned));
    const place = { url: `https://localhost:${gate.port}`, caFile: certificates.authorityFile };
    const reasons = [];
    for (const certificate of [certificates.selfSigned, certificates.expired, certificates.otherName]) {
      gate.show(certificate);
      reasons.push(reasonOf(await attempt(webhookTo(place), events)));
    }
    gate.show(certificates.good);
    reasons.push(reasonOf(await attempt(webhookTo({ ...place, caFile: undefined }), events)));
    expect(reasons).toEqual([
      expect.stringMatching(/^DEPTH_ZERO_SELF_SIGNED_CERT .*ca_file/),
      expect.stringMatching(/^CERT_HAS_EXPIRED/),
      expect.stringMatching(/^ERR_TLS_CERT_ALTNAME_INVALID/),
      expect.stringMatching(/^UNABLE_TO_VERIFY_LEAF_SIGNATURE .*ca_file/),
    ]);
    expect(receiver.requests).toEqual([]);
    expect((await attempt(webhookTo(place), events)).kind).toBe('delivered');
  });

  test('a server without TLS, and one that does not speak HTTP', async () => {
    const receiver = open(await startWebhookReceiver());
    const overTls = await attempt(
      webhookTo({ url: receiver.url.replace('http:', 'https:'), caFile: undefined }),
      events,
    );
    expect(overTls).toEqual(failed(/^the answer is not TLS: check scheme and port of url \(ERR_SSL/));
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('220 mail.example ESMTP\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open({ [Symbol.asyncDispose]: async () => void server.close() });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await attempt(webhookTo({ url, caFile: undefined }), events)).toEqual(
      failed(/not HTTP: check scheme and port/),
    );
  });

  test('a ca_file that is not there is a fault of the configuration', () => {
    const make = () => httpSinks.webhook({ url: 'https://127.0.0.1:1', caFile: '/nonexistent/ca.pem' });
    expect(make).toThrow('The ca_file of a sink cannot be read (ENOENT).');
  });
});

const MIB = 1024 * 1024;

const postTo = (url: string, timeoutMs: number): HttpPost =>
  createHttpPost({ url, headers: {}, timeoutMs, caFile: undefined, secrets: [] });

/** Takes connections and reads nothing of them. */
const startDeafServer = async (): Promise<AsyncDisposable & { readonly port: number }> => {
  const server = createServer((socket) => socket.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // The client has broken off all connections by then.
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
};

test('a refusal that comes before a large body is sent counts, a success does not; an answer without end is given up', async () => {
  await using receiver = await startWebhookReceiver();
  const http = postTo(receiver.url, 600_000);
  const { signal } = new AbortController();
  receiver.faults.push({ kind: 'answer', status: 413, early: true, body: 'too large' });
  expect(await http.post('x'.repeat(20 * MIB), { signal })).toMatchObject({ status: 413, body: 'too large' });
  receiver.faults.push({ kind: 'answer', status: 200, early: true });
  await expect(http.post('x'.repeat(20 * MIB), { signal })).rejects.toThrow(/^HTTP 200 came before all was sent$/);
  receiver.faults.push({ kind: 'answer', status: 500, body: 'x'.repeat(17 * MIB) });
  await expect(http.post('', { signal })).rejects.toThrow(/^the answer is larger than 16777216 bytes$/);
  receiver.faults.push({ kind: 'answer', status: 200, body: 'ok' });
  expect(await http.post('', { signal }), 'the next one').toMatchObject({ status: 200 });
  await http.close();
});

test('a receiver that reads nothing, for as long as it likes: memory stays flat', async () => {
  await using receiver = await startDeafServer();
  const http = postTo(`http://127.0.0.1:${receiver.port}`, 40);
  const { signal } = new AbortController();
  const stall = async (attempts: number) => {
    for (let n = 0; n < attempts; n += 1) {
      // Of other content every time, so that no copy is shared.
      await expect(http.post(String(n).padEnd(4 * MIB), { signal })).rejects.toThrow(NoAnswer);
    }
  };
  await stall(5);
  const before = heldBytes();
  await stall(20);
  // Sockets that were broken off let go of what they held a moment later. 20 that stay would be 80 MiB.
  await until('memory is as before', async () => (heldBytes() - before) / MIB < 24);
  expect(getEventListeners(signal, 'abort').length).toBeLessThan(3);
  await http.close();
});

const webhookTo = (place: Pick<HttpReceiver, 'url' | 'caFile'>): Sink => openSink(httpSinks.webhook(place));

const delivered = { kind: 'delivered', refused: [] };

const failed = (reason: RegExp) => ({ kind: 'failed', reason: expect.stringMatching(reason) });

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { DeliveryOutcome, Sink } from '../../../src/sinks/delivery.ts';
import { secretsOfSink } from '../../../src/sinks/redaction.ts';
import { createSink, sinkSettings, sinkTypes } from '../../../src/sinks/registry.ts';
import { type Certificates, makeCertificates } from '../../support/network/server-certificates.ts';
import { startTlsGate } from '../../support/network/tls-gate.ts';
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

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
const open = <T extends AsyncDisposable>(one: T): T => {
  opened.push(one);
  return one;
};
const webhookTo = (place: Pick<HttpReceiver, 'url' | 'caFile'>): Sink => {
  const sink = httpSinks.webhook(place);
  open({ [Symbol.asyncDispose]: () => sink.close() });
  return sink;
};

const events = ordinaryEvents(3, 'native');
const failed = (reason: RegExp) => ({ kind: 'failed', reason: expect.stringMatching(reason) });

/** Statuses that mean the same to every sink, if nothing more exact is said. */
const statuses: readonly (readonly [number, DeliveryOutcome['kind']])[] = [
  ...[301, 302, 307, 308, 401, 403, 404, 405, 408, 409, 411, 415, 429, 431, 500, 502, 503, 504].map(
    (status) => [status, 'failed'] as const,
  ),
  ...[400, 413, 422].map((status) => [status, 'refused'] as const),
];

describe.each(kinds)('%s', (_, { start, http, canRefuse }) => {
  /** A server, the settings of a sink to it, and the sink. */
  const begin = async () => {
    const receiver = open(await start({ refusesPoison: false }));
    const settings = sinkSettings.parse({ timeout: '10m', ...receiver.settings });
    const sink = createSink(settings);
    open({ [Symbol.asyncDispose]: () => sink.close() });
    return { server: http(receiver), settings, sink };
  };

  describe('no complete answer is a failure, and the next attempt succeeds', () => {
    const faults: readonly (readonly [string, Fault])[] = [
      ['cut before anything is read', { kind: 'cut', at: 'start' }],
      ['cut within the body', { kind: 'cut', at: { bodyBytes: 1 } }],
      ['cut before the answer, all taken in', { kind: 'cut', at: 'answer' }],
      ['cut within the answer, all taken in', { kind: 'cut', at: 'mid-answer' }],
    ];
    test.each(faults)('%s', async (_, fault) => {
      const { server, sink } = await begin();
      const outcome = await attemptWith(server, sink, fault, events);
      expect(outcome).toEqual(failed(/^UND_ERR_SOCKET|^ECONNRESET|^EPIPE/));
      expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    });
  });

  test.each(statuses)('HTTP %i and nothing more exact is %s', async (status, kind) => {
    const { server, sink } = await begin();
    const outcome = await attemptWith(server, sink, { kind: 'answer', status });
    // A receiver that judges no event means its own settings by 400.
    const expected = status === 400 && !canRefuse ? 'failed' : kind;
    expect(outcome).toMatchObject({ kind: expected, reason: expect.stringContaining(`HTTP ${status}`) });
  });

  test('Retry-After is passed on', async () => {
    const { server, sink } = await begin();
    const headers = { 'retry-after': '17' };
    const outcome = await attemptWith(server, sink, { kind: 'answer', status: 429, headers });
    expect(outcome).toMatchObject({ kind: 'failed', retryAfterMs: 17_000 });
  });

  test('a redirect is not followed, and only its host is told', async () => {
    const { server, settings, sink } = await begin();
    const other = (await begin()).server;
    const location = `${other.url}/elsewhere?${secretsOfSink(settings)[0]}`;
    const outcome = await attemptWith(server, sink, { kind: 'answer', status: 307, headers: { location } });
    const { host } = new URL(other.url);
    expect(outcome).toEqual(failed(new RegExp(`^HTTP 307: redirects to ${host}, which is not followed`)));
    expect(reasonOf(outcome)).not.toContain(secretsOfSink(settings)[0]);
    expect(other.requests).toEqual([]);
  });

  test('413 before the body is read asks for smaller deliveries', async () => {
    const { server, sink } = await begin();
    const outcome = await attemptWith(server, sink, { kind: 'answer', status: 413, early: true });
    expect(outcome).toMatchObject({ kind: 'refused' });
  });

  test('an answer without end is given up', async () => {
    const { server, sink } = await begin();
    const body = 'x'.repeat(17 * 1024 * 1024);
    const outcome = await attemptWith(server, sink, { kind: 'answer', status: 500, body });
    expect(outcome).toEqual(failed(/^the answer is larger than 16777216 bytes$/));
    expect((await attempt(sink, events)).kind).toBe('delivered');
  });

  test.each([400, 401, 403, 500])(
    'HTTP %i that repeats the credentials and more: one short line without them',
    async (status) => {
      const { server, settings, sink } = await begin();
      const secrets = secretsOfSink(settings).flatMap((secret) => {
        const inJson = JSON.stringify(secret).slice(1, -1);
        return [secret, inJson, encodeURIComponent(secret)];
      });
      const body = `\u0000\u001b[31mno\r\n\u202e ${secrets.join(' ')} ${'y'.repeat(1_000)}`;
      const reason = reasonOf(await attemptWith(server, sink, { kind: 'answer', status, body }));
      expect(secrets.length).toBeGreaterThan(0);
      expect(secrets.filter((secret) => reason.includes(secret))).toEqual([]);
      expect(reason).toContain('[redacted]');
      expect(reason.length).toBeLessThanOrEqual(300);
      expect(reason).toMatch(/^[\x20-\x7e\u00a0-\uffff]+$/);
      expect(reason).not.toContain('\u202e');
    },
  );
});

const reasonOf = (outcome: DeliveryOutcome): string => (outcome.kind === 'delivered' ? '' : outcome.reason);

describe('TLS', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await makeCertificates();
  });
  afterAll(async () => {
    await certificates[Symbol.asyncDispose]();
  });

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

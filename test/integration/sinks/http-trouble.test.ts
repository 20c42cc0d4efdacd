import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { DeliveryOutcome, Sink } from '../../../src/sinks/delivery.ts';
import { type Certificates, makeCertificates } from '../../support/network/server-certificates.ts';
import { startTlsGate } from '../../support/network/tls-gate.ts';
import { until } from '../../support/process/until.ts';
import type { Fault, HttpReceiver, ReceiverOptions } from '../../support/sinks/http-receiver.ts';
import { startBulkReceiver, startHecReceiver, startWebhookReceiver } from '../../support/sinks/http-receivers.ts';
import { attempt, attemptWith } from '../../support/sinks/http-sink-checks.ts';
import { basicAuthorization, bulkIndex, credentials, httpSinks } from '../../support/sinks/http-sinks.ts';
import { delivery, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const receivers = {
  webhook: (options: ReceiverOptions = {}) => startWebhookReceiver(options),
  splunk_hec: (options: ReceiverOptions = {}) => startHecReceiver({ ...options, token: credentials.hecToken }),
  elasticsearch: (options: ReceiverOptions = {}) =>
    startBulkReceiver({ ...options, index: bulkIndex, authorization: basicAuthorization }),
};
const types = ['webhook', 'splunk_hec', 'elasticsearch'] as const;
type SinkType = (typeof types)[number];

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
const open = <T extends AsyncDisposable>(one: T): T => {
  opened.push(one);
  return one;
};
const receive = async (type: SinkType, options?: ReceiverOptions): Promise<HttpReceiver> =>
  open(await receivers[type](options));
const sinkTo = (type: SinkType, place: Pick<HttpReceiver, 'url' | 'caFile'>, more: object = {}): Sink => {
  const sink = httpSinks[type](place, more);
  open({ [Symbol.asyncDispose]: () => sink.close() });
  return sink;
};

const events = ordinaryEvents(3, 'native');
const failed = (reason: RegExp) => ({ kind: 'failed', reason: expect.stringMatching(reason) });

/** What any of the credentials looks like where a receiver repeats it. */
const forbidden = [
  credentials.webhookSecret,
  credentials.webhookSecret.slice(6),
  credentials.queryCode,
  credentials.hecToken,
  credentials.password,
  JSON.stringify(credentials.password).slice(1, -1),
  encodeURIComponent(credentials.password),
  basicAuthorization.slice(6),
];

describe.each(types)('%s: no complete answer is a failure, and the next attempt succeeds', (type) => {
  const faults: readonly (readonly [string, Fault])[] = [
    ['cut before anything is read', { kind: 'cut', at: 'start' }],
    ['cut within the body', { kind: 'cut', at: { bodyBytes: 1 } }],
    ['cut before the answer, all taken in', { kind: 'cut', at: 'answer' }],
    ['cut within the answer, all taken in', { kind: 'cut', at: 'mid-answer' }],
  ];
  test.each(faults)('%s', async (_, fault) => {
    const receiver = await receive(type);
    const sink = sinkTo(type, receiver);
    const outcome = await attemptWith(receiver, sink, fault, events);
    expect(outcome).toEqual(failed(/^UND_ERR_SOCKET|^ECONNRESET|^EPIPE/));
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
  });

  test('stalls, all taken in', async () => {
    const receiver = await receive(type);
    const sink = sinkTo(type, receiver, { timeout: '1s' });
    const outcome = await attemptWith(receiver, sink, { kind: 'stall', at: 'answer' }, events);
    expect(outcome).toEqual(failed(/^no complete answer within 1000 ms$/));
    // On a busy machine a second may pass before the receiver has read anything.
    await until('another attempt succeeds', async () => (await attempt(sink, events)).kind === 'delivered');
  });

  test('nobody listens; then somebody does', async () => {
    const receiver = await receive(type);
    const sink = sinkTo(type, receiver);
    await receiver.stop();
    expect(await attempt(sink, events)).toEqual(failed(/^ECONNREFUSED/));
    await receiver.restart();
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
  });

  test('told to end, it ends at once, by rejecting', async () => {
    const receiver = await receive(type);
    receiver.faults.push({ kind: 'stall', at: 'answer' });
    const controller = new AbortController();
    const result = sinkTo(type, receiver).deliver(delivery(events), controller.signal);
    await until('it has been sent', async () => receiver.requests.length === 1);
    controller.abort(new Error('shutting down'));
    await expect(result).rejects.toThrow('shutting down');
  });
});

describe.each(types)('%s: what the answer says', (type) => {
  test('Retry-After is passed on', async () => {
    const receiver = await receive(type);
    const outcome = await attemptWith(receiver, sinkTo(type, receiver), {
      kind: 'answer',
      status: 429,
      headers: { 'retry-after': '17' },
    });
    expect(outcome).toMatchObject({ kind: 'failed', retryAfterMs: 17_000 });
  });

  test('a redirect is not followed, and only its host is told', async () => {
    const receiver = await receive(type);
    const other = await receive(type);
    const location = `${other.url}/elsewhere?${credentials.hecToken}`;
    const outcome = await attemptWith(receiver, sinkTo(type, receiver), {
      kind: 'answer',
      status: 307,
      headers: { location },
    });
    expect(outcome).toEqual(
      failed(new RegExp(`^HTTP 307: redirects to ${new URL(other.url).host}, which is not followed`)),
    );
    expect(other.requests).toEqual([]);
  });

  test('413 before the body is read asks for smaller deliveries', async () => {
    const receiver = await receive(type);
    const outcome = await attemptWith(receiver, sinkTo(type, receiver), { kind: 'answer', status: 413, early: true });
    expect(outcome).toMatchObject({ kind: 'refused' });
  });

  test('an answer without end is given up', async () => {
    const receiver = await receive(type);
    const outcome = await attemptWith(receiver, sinkTo(type, receiver), {
      kind: 'answer',
      status: 500,
      body: 'x'.repeat(17 * 1024 * 1024),
    });
    expect(outcome).toEqual(failed(/^the answer is larger than 16777216 bytes$/));
    expect((await attempt(sinkTo(type, receiver), events)).kind).toBe('delivered');
  });

  test.each([400, 401, 403, 500])(
    'HTTP %i that repeats the credentials and more: one short line without them',
    async (status) => {
      const receiver = await receive(type);
      const body = `\u0000\u001b[31mno\r\n\u202e ${forbidden.join(' ')} ${'y'.repeat(1_000)}`;
      const outcome = await attemptWith(receiver, sinkTo(type, receiver), { kind: 'answer', status, body });
      const reason = reasonOf(outcome);
      const own = ownSecrets[type];
      expect(own.filter((secret) => reason.includes(secret))).toEqual([]);
      expect(reason).toContain('[redacted]');
      expect(reason.length).toBeLessThanOrEqual(300);
      expect(reason).toMatch(/^[\x20-\x7e\u00a0-\uffff]+$/);
      expect(reason).not.toContain('\u202e');
    },
  );
});

const ownSecrets: Record<SinkType, readonly string[]> = {
  webhook: forbidden.slice(0, 3),
  splunk_hec: forbidden.slice(3, 4),
  elasticsearch: forbidden.slice(4),
};
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
    const receiver = await receive('webhook');
    const gate = open(await startTlsGate(Number(new URL(receiver.url).port), certificates.selfSigned));
    const place = { url: `https://localhost:${gate.port}`, caFile: certificates.authorityFile };
    const reasons = [];
    for (const certificate of [certificates.selfSigned, certificates.expired, certificates.otherName]) {
      gate.show(certificate);
      reasons.push(reasonOf(await attempt(sinkTo('webhook', place), events)));
    }
    gate.show(certificates.good);
    reasons.push(reasonOf(await attempt(sinkTo('webhook', { ...place, caFile: undefined }), events)));
    expect(reasons).toEqual([
      expect.stringMatching(/^DEPTH_ZERO_SELF_SIGNED_CERT .*ca_file/),
      expect.stringMatching(/^CERT_HAS_EXPIRED/),
      expect.stringMatching(/^ERR_TLS_CERT_ALTNAME_INVALID/),
      expect.stringMatching(/^UNABLE_TO_VERIFY_LEAF_SIGNATURE .*ca_file/),
    ]);
    expect(receiver.requests).toEqual([]);
    expect((await attempt(sinkTo('webhook', place), events)).kind).toBe('delivered');
  });

  test('a server without TLS, and one that does not speak HTTP', async () => {
    const receiver = await receive('webhook');
    const overTls = await attempt(
      sinkTo('webhook', { url: receiver.url.replace('http:', 'https:'), caFile: undefined }),
      events,
    );
    expect(overTls).toEqual(failed(/^ERR_SSL/));
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end('220 mail.example ESMTP\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open({ [Symbol.asyncDispose]: async () => void server.close() });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await attempt(sinkTo('webhook', { url, caFile: undefined }), events)).toEqual(
      failed(/not HTTP: check scheme and port/),
    );
  });

  test('a ca_file that is not there is a fault of the configuration', () => {
    const make = () => httpSinks.webhook({ url: 'https://127.0.0.1:1', caFile: '/nonexistent/ca.pem' });
    expect(make).toThrow('The ca_file of a sink cannot be read (ENOENT).');
  });
});

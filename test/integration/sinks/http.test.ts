import { afterEach, describe, expect, test } from 'vitest';
import type { Sink } from '../../../src/sinks/delivery.ts';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { attempt, attemptWith } from '../../support/sinks/http/http-sink-checks.ts';
import {
  type PlainReceiver,
  type PlainReceiverOptions,
  startPlainReceiver,
} from '../../support/sinks/http/plain-receiver.ts';
import { deliverAll, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

describe('what is sent', () => {
  test.each([
    ['ndjson', 'native', 'application/x-ndjson'],
    ['ndjson', 'cef', 'text/plain; charset=utf-8'],
    ['array', 'ocsf', 'application/json'],
    ['array', 'cef', 'application/json'],
    ['each', 'ecs', 'application/json'],
    ['each', 'leef', 'text/plain; charset=utf-8'],
  ] as const)('%s of %s: the events to the byte, as %s, without an envelope', async (body, format, type) => {
    const receiver = await receive(body);
    const sink = sinkTo(receiver, { body, format, method: 'PUT' });
    expect(sink.maxEvents).toBe(body === 'each' ? 1 : undefined);
    const events = ordinaryEvents(sink.maxEvents ?? 3, format);
    expect(await attempt(sink, events)).toEqual(delivered);
    expect(receiver.events().map(({ text }) => text)).toEqual(events.map(({ text }) => text));
    const { headers } = receiver.requests[0] ?? {};
    expect(headers).toMatchObject({ 'content-type': type, 'content-encoding': 'gzip', 'user-agent': 'orgtrail' });
  });

  test('own headers stand beside ours or in their place; the delivery has the same name at every attempt', async () => {
    const receiver = await receive('ndjson');
    const headers = { 'Content-Type': 'application/json-lines', 'User-Agent': 'soc', 'X-A': 'b c' };
    const sink = sinkTo(receiver, { headers, token: 'bearer-token', gzip: false });
    const events = ordinaryEvents(2, 'native');
    expect(await attemptWith(receiver, sink, { kind: 'cut', at: 'answer' }, events)).toMatchObject({ kind: 'failed' });
    expect(await attempt(sink, events)).toEqual(delivered);
    const [first, second] = receiver.requests;
    expect(second?.headers).toMatchObject({
      'content-type': 'application/json-lines',
      'user-agent': 'soc',
      'x-a': 'b c',
      authorization: 'Bearer bearer-token',
    });
    expect(second?.headers).not.toHaveProperty('content-encoding');
    expect(second?.headers['idempotency-key']).toBe(first?.headers['idempotency-key']);
    expect(second?.body).toBe(first?.body);
  });

  test('a request that is larger than max_request_bytes goes out in halves; an event that is by itself is a dead letter', async () => {
    const receiver = await receive('ndjson');
    const sink = sinkTo(receiver, { max_request_bytes: 20_000 });
    const events = [...ordinaryEvents(100, 'native'), ...ordinaryEvents(1, 'native', 'x'.repeat(30_000))];
    const { deadLetters, failures } = await deliverAll(() => sink, events, 500);
    expect(failures).toEqual([]);
    expect(deadLetters.map(({ event, reason }) => [event, reason])).toEqual([
      [events.at(-1), expect.stringMatching(/^not sent: it takes 30\d{3} bytes, and max_request_bytes is 20000$/)],
    ]);
    expect(receiver.events().map(({ text }) => text)).toEqual(events.slice(0, 100).map(({ text }) => text));
    for (const { body } of receiver.requests) expect(Buffer.byteLength(body)).toBeLessThanOrEqual(20_000);
  });
});

describe('what the receiver says', () => {
  test.each([200, 201, 202, 204])('HTTP %i is delivered', async (status) => {
    const receiver = await receive('ndjson');
    expect(await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status })).toEqual(delivered);
  });

  test('no credential of a header, of the path or of the query is in target or reason', async () => {
    const receiver = await receive('ndjson');
    const secrets = { path: 'T0123/aVeryLongPathSegment', query: 'query-credential', password: 'pass:word-9' };
    const authorization = `Basic ${Buffer.from(`user:${secrets.password}`).toString('base64')}`;
    const sink = sinkTo(
      { ...receiver, url: `${receiver.url}/${secrets.path}?code=${secrets.query}` },
      { headers: { authorization } },
    );
    const body = `${Object.values(secrets).join(' ')} ${authorization}`;
    const outcome = await attemptWith(receiver, sink, { kind: 'answer', status: 401, body });
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('check headers and token') });
    const said = `${JSON.stringify(outcome)} ${sink.target}`;
    for (const secret of ['aVeryLongPathSegment', secrets.query, secrets.password, authorization.slice(6)]) {
      expect(said).not.toContain(secret);
    }
  });
});

const opened: AsyncDisposable[] = [];

const receive = async (body: PlainReceiverOptions['body']): Promise<PlainReceiver> => {
  const receiver = await startPlainReceiver({ body });
  opened.push(receiver);
  return receiver;
};

const sinkTo = ({ url }: PlainReceiver, more: object = {}): Sink => {
  const sink = createSink(sinkSettings.parse({ type: 'http', url, timeout: '10m', ...more }));
  opened.push({ [Symbol.asyncDispose]: () => sink.close() });
  return sink;
};

const delivered = { kind: 'delivered', refused: [] };

import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, test } from 'vitest';
import { formatNames } from '../../../src/formats/formats.ts';
import type { Sink } from '../../../src/sinks/delivery.ts';
import type { HttpReceiver } from '../../support/sinks/http/http-receiver.ts';
import { startWebhookReceiver } from '../../support/sinks/http/http-receivers.ts';
import { attempt, attemptWith, expectComplete } from '../../support/sinks/http/http-sink-checks.ts';
import { credentials, httpSinks } from '../../support/sinks/http/http-sinks.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

describe('what is sent', () => {
  test('the signature is that of Standard Webhooks, over TLS; id and body stay the same at every attempt', async () => {
    const receiver = await receive({ tls: true });
    const sink = sinkTo(receiver);
    const events = ordinaryEvents(3, 'native');
    expect(await attemptWith(receiver, sink, { kind: 'cut', at: 'answer' }, events)).toMatchObject({ kind: 'failed' });
    expect(await attempt(sinkTo(receiver), events)).toEqual({ kind: 'delivered', refused: [] });
    const [first, second] = receiver.requests;
    for (const request of [first, second]) {
      if (request === undefined) throw new Error('two requests are wanted');
      expect(request.path).toBe('/hooks/orgtrail?code=query-credential');
      expect(request.headers['content-type']).toBe('application/json');
      const payload = new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
      expect(payload).toMatchObject({ type: 'orgtrail.events', timestamp: events.at(-1)?.event.receivedAt });
      expect(() => new Webhook(secret).verify(`${request.body} `, request.headers as Record<string, string>)).toThrow();
    }
    expect(second?.body).toBe(first?.body);
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(expectComplete(receiver.received(), events)).toBe(3);
    expect(sink.target).toBe(`${receiver.url}/hooks/orgtrail`);
  });

  test.each(formatNames)('the body says that its events are %s', async (format) => {
    const receiver = await receive();
    await attempt(sinkTo(receiver, { format }), ordinaryEvents(1, format));
    expect(receiver.requests[0]?.body).toContain(`"format":"${format}"`);
  });
});

describe('what the receiver says', () => {
  test.each([200, 201, 202, 204, 299])('HTTP %i is delivered', async (status) => {
    const receiver = await receive();
    const outcome = await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status });
    expect(outcome).toEqual({ kind: 'delivered', refused: [] });
  });

  test('410 asks to be left alone: an hour, and a reason that says what to do', async () => {
    const receiver = await receive();
    const outcome = await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status: 410 });
    expect(outcome).toMatchObject({
      kind: 'failed',
      retryAfterMs: 3_600_000,
      reason: expect.stringContaining('remove the sink'),
    });
  });
});

const { webhookSecret: secret } = credentials;
const opened: AsyncDisposable[] = [];

const receive = async (options = {}): Promise<HttpReceiver> => {
  const receiver = await startWebhookReceiver(options);
  opened.push(receiver);
  return receiver;
};

const sinkTo = (receiver: HttpReceiver, more: object = {}): Sink => {
  const sink = httpSinks.webhook(receiver, more);
  opened.push({ [Symbol.asyncDispose]: () => sink.close() });
  return sink;
};

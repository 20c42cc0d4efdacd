import { describe, expect, test } from 'vitest';
import type { Sink } from '../../../src/sinks/delivery.ts';
import { jsonValues } from '../../support/feed/json-texts.ts';
import { until } from '../../support/process/until.ts';
import { closedAfterEach } from '../../support/sinks/closed-after-each.ts';
import type { HttpReceiver } from '../../support/sinks/http/http-receiver.ts';
import { type HecOptions, startHecReceiver } from '../../support/sinks/http/http-receivers.ts';
import { attempt, attemptWith, expectComplete } from '../../support/sinks/http/http-sink-checks.ts';
import { credentials, httpSinks } from '../../support/sinks/http/http-sinks.ts';
import { ordinaryEvents, outgoing } from '../../support/sinks/outgoing-events.ts';

const { open, openSink } = closedAfterEach();

describe('what is sent', () => {
  test('metadata, the time of the action and indexed fields, over TLS, packed', async () => {
    const receiver = await receive({ tls: true });
    const sink = sinkTo(receiver, { index: 'audit', host: 'cloudflare', sourcetype: 'orgtrail:native' });
    const events = ordinaryEvents(2, 'native');
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    const [request] = receiver.requests;
    expect(request?.headers).toMatchObject({ authorization: `Splunk ${token}`, 'content-encoding': 'gzip' });
    expect(request?.headers['x-splunk-request-channel']).toBeUndefined();
    expect(jsonValues(request?.body ?? '').map((value): unknown => JSON.parse(value))).toEqual(
      events.map(({ key, event, text }, n) => ({
        time: Date.UTC(2026, 8, 30) / 1_000 + n,
        host: 'cloudflare',
        source: 'orgtrail',
        sourcetype: 'orgtrail:native',
        index: 'audit',
        fields: { key, position: String(event.position), feed_id: event.feedId },
        event: JSON.parse(text) as unknown,
      })),
    );
    expect(sink.target).toBe(`${receiver.url}/services/collector/event`);
  });

  test.each([null, '1969-12-31T23:59:59Z', '9999-01-01T00:00:00Z'])(
    'where the time of the action is %s, the time of receipt',
    async (actionTime) => {
      const receiver = await receive();
      const [event] = ordinaryEvents(1, 'native');
      if (event === undefined) throw new Error('no event');
      await attempt(sinkTo(receiver, { gzip: false }), [outgoing({ ...event.event, actionTime }, 'native')]);
      expect(receiver.requests[0]?.body).toMatch(/^\{"time":1790812830\.123,/);
    },
  );

  test.each(['', '/', '/services/collector', '/services/collector/event', '/services/collector/event/'])(
    'url may end in "%s"',
    async (path) => {
      const receiver = await receive();
      const outcome = await attempt(sinkTo(receiver, { url: `${receiver.url}${path}` }), ordinaryEvents(1, 'native'));
      expect(outcome.kind).toBe('delivered');
    },
  );
});

describe('what the collector says', () => {
  test.each([
    [403, 1, 'Token disabled', 'failed', 'check token'],
    [401, 2, 'Token is required', 'failed', 'check token'],
    [401, 3, 'Invalid authorization', 'failed', 'check token'],
    [403, 4, 'Invalid token', 'failed', 'check token'],
    [400, 5, 'No data', 'failed', 'received no data'],
    [400, 6, 'Invalid data format', 'refused', 'Invalid data format'],
    [400, 7, 'Incorrect index', 'failed', 'check index'],
    [500, 8, 'Internal server error', 'failed', 'Internal server error'],
    [503, 9, 'Server is busy', 'failed', 'Server is busy'],
    [400, 10, 'Data channel is missing', 'failed', 'check ack'],
    [400, 11, 'Invalid data channel', 'failed', 'channel'],
    [400, 12, 'Event field is required', 'refused', 'required'],
    [400, 13, 'Event field cannot be blank', 'refused', 'blank'],
    [400, 14, 'ACK is disabled', 'failed', 'check ack'],
    [400, 15, 'Error in handling indexed fields', 'refused', 'indexed fields'],
    [400, 16, 'Query string authorization is not enabled', 'failed', 'check token'],
    [503, 18, 'HEC is unhealthy, queues are full', 'failed', 'queues are full'],
    [503, 23, 'Server is shutting down', 'failed', 'shutting down'],
    [200, 17, 'HEC is healthy', 'failed', 'check url'],
  ])('HTTP %i with code %i, %s: %s', async (status, code, text, kind, reason) => {
    const receiver = await receive();
    const body = JSON.stringify({ text, code });
    const outcome = await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status, body });
    expect(outcome).toMatchObject({ kind, reason: expect.stringContaining(reason) });
  });

  test.each(['', '<html>Welcome</html>', '{}', '[]', '{"code":"0"}'])(
    'HTTP 200 with %o is no success',
    async (body) => {
      const receiver = await receive();
      const outcome = await attemptWith(receiver, sinkTo(receiver), { kind: 'answer', status: 200, body });
      expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('check url') });
    },
  );

  test('events that it calls invalid are refused by their index; all others are in, with repeats of those before', async () => {
    const receiver = await receive({ invalid: (text) => /"id":"entry-(2|3|9)"/.test(text) });
    const events = ordinaryEvents(10, 'native');
    const outcome = await attempt(sinkTo(receiver), events);
    const reason = 'HTTP 400, code 6 (Invalid data format)';
    expect(outcome).toEqual({ kind: 'delivered', refused: [2, 3, 9].map((index) => ({ index, reason })) });
    const taken = events.filter((_, index) => ![2, 3, 9].includes(index));
    // 2 before the first, again before the second, 7 before the third, 7 in the end.
    expect(expectComplete(receiver.received(), taken)).toBe(2 + 2 + 7);
  });

  test('all of them invalid: each refused, none in', async () => {
    const receiver = await receive({ invalid: () => true });
    const outcome = await attempt(sinkTo(receiver), ordinaryEvents(3, 'native'));
    expect(outcome).toMatchObject({ kind: 'delivered', refused: [{ index: 0 }, { index: 1 }, { index: 2 }] });
    expect(receiver.received()).toEqual([]);
  });

  test('a token with acknowledgement, and a sink without: says so', async () => {
    const receiver = await receive({ acknowledgeAtPoll: 1 });
    const outcome = await attempt(sinkTo(receiver), ordinaryEvents(1, 'native'));
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('check ack') });
  });
});

describe('with acknowledgement', () => {
  test('delivered is what is indexed', async () => {
    const receiver = await receive({ acknowledgeAtPoll: 2 });
    const events = ordinaryEvents(5, 'native');
    expect(await attempt(sinkTo(receiver, { ack: true }), events)).toEqual({ kind: 'delivered', refused: [] });
    expect(expectComplete(receiver.received(), events)).toBe(0);
    const channels = new Set(receiver.requests.map(({ headers }) => headers['x-splunk-request-channel']));
    expect(channels.size).toBe(1);
    await attempt(sinkTo(receiver, { ack: true }), events);
    expect(new Set(receiver.requests.map(({ headers }) => headers['x-splunk-request-channel']))).toEqual(channels);
  });

  test('what a restart forgot before it was indexed fails, and arrives at the next attempt', async () => {
    const receiver = await receive({ acknowledgeAtPoll: 2 });
    const sink = sinkTo(receiver, { ack: true, ack_timeout: '1s' });
    const events = ordinaryEvents(5, 'native');
    const first = attempt(sink, events);
    // The probe, the events, and the first question about them.
    await until('it has asked', async () => receiver.requests.length > 2);
    await receiver.stop();
    await receiver.restart();
    expect(await first).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('not acknowledged within 1000 ms'),
    });
    expect(receiver.received()).toEqual([]);
    const patient = sinkTo(receiver, { ack: true });
    expect(await attempt(patient, events)).toEqual({ kind: 'delivered', refused: [] });
    expectComplete(receiver.received(), events);
  });

  test('a token without it: nothing is sent, however often it is tried', async () => {
    const receiver = await receive();
    const sink = sinkTo(receiver, { ack: true });
    for (let n = 0; n < 2; n += 1) {
      const outcome = await attempt(sink, ordinaryEvents(1, 'native'));
      expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('check ack') });
    }
    expect(receiver.received()).toEqual([]);
  });

  test('an answer without ackId is no delivery', async () => {
    const receiver = await receive({ acknowledgeAtPoll: 1 });
    const sink = sinkTo(receiver, { ack: true });
    await attempt(sink, ordinaryEvents(1, 'native'));
    const answer = { kind: 'answer', status: 200, body: '{"text":"Success","code":0}' } as const;
    const outcome = await attemptWith(receiver, sink, answer);
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('no ackId') });
  });

  test('waiting ends at once when told to', async () => {
    const receiver = await receive({ acknowledgeAtPoll: 1_000_000 });
    const controller = new AbortController();
    const delivery = { id: 'd-1', events: ordinaryEvents(1, 'native') };
    const result = sinkTo(receiver, { ack: true }).deliver(delivery, controller.signal);
    await until('it has been sent', async () => receiver.requests.length > 1);
    controller.abort(new Error('shutting down'));
    await expect(result).rejects.toThrow();
  });
});

const token = credentials.hecToken;

const receive = async (options: Partial<HecOptions> = {}): Promise<HttpReceiver> =>
  open(await startHecReceiver({ token, ...options }));

const sinkTo = (receiver: HttpReceiver, more: object = {}): Sink => openSink(httpSinks.splunk_hec(receiver, more));

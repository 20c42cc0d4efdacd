import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { outgoingFinding } from '../../support/sinks/found-events.ts';
import { attempt, attemptWith } from '../../support/sinks/http/http-sink-checks.ts';
import { ordinaryEvents, outgoing } from '../../support/sinks/outgoing-events.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../../support/sinks/receivers/otlp.ts';
import { poisonPadding } from '../../support/sinks/receivers.ts';
import { storedAccountEvents } from '../../unit/formats/simulated-events.ts';

let receiver: OtlpReceiver;
beforeEach(async () => {
  receiver = await startOtlpReceiver({ refusesPoison: true });
});
afterEach(async () => {
  await receiver[Symbol.asyncDispose]();
});
const open = (more: object = {}) => {
  const sink = createSink(sinkSettings.parse({ timeout: '10m', ...receiver.settings, ...more }));
  return { ...sink, [Symbol.asyncDispose]: () => sink.close() };
};

const accountId = 'a7b9c3d2e8f4a1b5';
const eventOf = (entry: object) => {
  const [event] = storedAccountEvents([JSON.stringify(entry)], { id: accountId, organizationId: 'o1' });
  if (event === undefined) throw new Error('no event');
  return outgoing(event);
};
const signIn = {
  id: 'a',
  action: { type: 'login', result: 'failure', time: '2026-10-01T00:00:00.123456789Z' },
  actor: { id: 'u1', email: 'ines@example.com', ip_address: '2001:db8::1' },
  resource: { type: 'session' },
};

test('a log record has what the data model has a place for, with 64-bit times to the nanosecond', async () => {
  await using sink = open();
  const events = [
    eventOf(signIn),
    eventOf({ id: 'b' }),
    eventOf({ ...signIn, action: { time: '1969-12-31T23:59:59Z' } }),
  ];
  expect(await attempt(sink, [...events, outgoingFinding(7, { severity: 'critical' })])).toMatchObject({
    kind: 'delivered',
  });
  const [failed, bare, early, finding] = receiver.records;
  expect(failed).toEqual({
    text: events[0]?.text,
    eventName: 'cloudflare.audit.session:login',
    severity: [13, 'medium'],
    nanoseconds: ['1790812800123456789', '1790812830123456000'],
    unknown: 0,
    attributes: {
      'log.record.uid': events[0]?.key,
      'orgtrail.position': 1,
      'orgtrail.feed_id': '0f8fad5b-d9cb-469f-a165-70867728950e',
      'cloud.provider': 'cloudflare',
      'cloud.account.id': accountId,
      'cloudflare.organization.id': 'o1',
      'user.id': 'u1',
      'user.email': 'ines@example.com',
      'client.address': '2001:db8::1',
      'cloudflare.action.type': 'login',
      'cloudflare.action.result': 'failure',
      'cloudflare.resource.type': 'session',
    },
  });
  expect([bare?.eventName, bare?.severity]).toEqual(['cloudflare.audit.entry:unknown', [10, 'low']]);
  expect(bare?.nanoseconds).toEqual(['1790812830123456000', '1790812830123456000']);
  expect(early?.nanoseconds[0]).toBe('0');
  expect([finding?.eventName, finding?.severity]).toEqual(['orgtrail.finding.api_token_changed', [18, 'critical']]);
  expect(finding?.attributes).toMatchObject({
    'client.address': '192.0.2.66',
    'cloudflare.resource.type': 'api_token',
  });
  expect(receiver.breaches()).toEqual([]);
});

test('a partial success refuses the delivery, so that halves find what was rejected', async () => {
  await using sink = open();
  const [good, poisoned] = [ordinaryEvents(3, 'native'), ordinaryEvents(3, 'native', poisonPadding)];
  expect(await attempt(sink, [...good.slice(0, 2), ...poisoned.slice(2)])).toEqual({
    kind: 'refused',
    reason: '1 of 3 log records rejected: poison',
  });
  expect(receiver.records).toHaveLength(2);
});

const protobuf = { 'content-type': 'application/x-protobuf' };
const json = { 'content-type': 'application/json; charset=utf-8' };
test.each([
  ['no body', { status: 204 }, { kind: 'delivered' }],
  [
    'a warning',
    { status: 200, headers: protobuf, body: Buffer.concat([Buffer.from([10, 6, 18, 4]), Buffer.from('slow')]) },
    { kind: 'delivered' },
  ],
  ['JSON', { status: 200, headers: json, body: '{"partialSuccess":{}}' }, { kind: 'delivered' }],
  [
    'JSON that rejects',
    { status: 200, headers: json, body: '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}' },
    { kind: 'refused', reason: '2 of 3 log records rejected: too old' },
  ],
  [
    'a page of a proxy',
    { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Welcome</html>' },
    { kind: 'failed', reason: expect.stringMatching(/^HTTP 200 is no answer of OTLP: check url.*Welcome/) },
  ],
  ['other JSON', { status: 200, headers: json, body: '{"ok":true}' }, { kind: 'failed' }],
  ['bytes that are none', { status: 200, headers: protobuf, body: 'no protobuf' }, { kind: 'failed' }],
  [
    'a status of 400',
    { status: 400, headers: protobuf, body: Buffer.concat([Buffer.from([8, 3, 18, 5]), Buffer.from('stale')]) },
    { kind: 'refused', reason: 'HTTP 400: stale' },
  ],
  [
    'a pause',
    { status: 429, headers: { ...protobuf, 'retry-after': '7' } },
    { kind: 'failed', reason: 'HTTP 429', retryAfterMs: 7_000 },
  ],
  ['an overload', { status: 503, headers: { 'retry-after': '3' } }, { kind: 'failed', retryAfterMs: 3_000 }],
])('an answer with %s', async (_, answer, outcome) => {
  await using sink = open();
  expect(await attemptWith(receiver.http, sink, { kind: 'answer', ...answer })).toMatchObject(outcome);
});

test('what takes more than max_request_bytes is not sent', async () => {
  await using sink = open({ max_request_bytes: 1_000 });
  const outcome = await attempt(sink, ordinaryEvents(3, 'native'));
  expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringMatching(/^not sent: it takes \d+ bytes/) });
  expect(receiver.http.requests).toHaveLength(0);
});

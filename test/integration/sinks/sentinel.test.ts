import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { attempt, attemptWith } from '../../support/sinks/http/http-sink-checks.ts';
import { startVendorReceiver, type VendorReceiver } from '../../support/sinks/http/vendor-receivers.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

let receiver: VendorReceiver;
beforeEach(async () => {
  receiver = await startVendorReceiver('sentinel', { limits: true });
});
afterEach(async () => {
  await receiver[Symbol.asyncDispose]();
});
const events = ordinaryEvents(3, 'native');

describe('tokens', () => {
  test('one token serves all deliveries; one that is no longer valid is followed by another', async () => {
    await using sink = open();
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(new Set(tokensUsed()).size).toBe(1);
    receiver.entra?.revoke();
    expect(await attempt(sink, events)).toEqual({
      kind: 'failed',
      reason: expect.stringMatching(/^HTTP 401: check that the identity has the role Monitoring Metrics Publisher/),
    });
    expect(await attempt(sink, events)).toEqual({ kind: 'delivered', refused: [] });
    expect(new Set(tokensUsed()).size).toBe(2);
  });

  test('no reason shows the secret or the token, also if it is repeated to the sink', async () => {
    const secret = 'wrong~secret+of/it';
    await using wrong = open({ client_secret: secret });
    const outcome = await attempt(wrong, events);
    expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('AADSTS7000215') });
    expect(JSON.stringify(outcome)).not.toContain(secret);

    await using sink = open();
    await attempt(sink, events);
    const token = receiver.entra?.tokens.at(-1) ?? '';
    expect(tokensUsed().at(-1)).toBe(`Bearer ${token}`);
    const echoed = await attemptWith(receiver, sink, { kind: 'answer', status: 503, body: `you sent ${token}` });
    expect(echoed).toEqual({ kind: 'failed', reason: 'HTTP 503: you sent [redacted]' });
  });

  test('without a secret: that of the managed identity', async () => {
    const asked: string[] = [];
    const identity = createServer((request, response) => {
      asked.push(`${request.headers['x-identity-header']} ${request.url}`);
      const body = {
        access_token: 'eyJ0.of-the-machine.c2ln',
        expires_on: String(Date.now() / 1_000 + 3_600),
        token_type: 'Bearer',
      };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((listening) => identity.listen(0, '127.0.0.1', listening));
    const { port } = identity.address() as AddressInfo;
    // As App Service, Functions and Container Apps say where it is.
    Object.assign(process.env, { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/token`, IDENTITY_HEADER: 'of-the-test' });
    try {
      const { client_secret: _, tenant_id: __, client_id: ___, authority: ____, ...settings } = receiver.settings;
      const sink = createSink(sinkSettings.parse({ timeout: '10m', ...settings }));
      await attempt(sink, events);
      await sink.close();
    } finally {
      delete process.env['IDENTITY_ENDPOINT'];
      delete process.env['IDENTITY_HEADER'];
      identity.close();
    }
    expect(asked).toEqual([
      expect.stringMatching(/^of-the-test \/token\?.*resource=https%3A%2F%2Fmonitor\.azure\.com/),
    ]);
    expect(tokensUsed()).toEqual(['Bearer eyJ0.of-the-machine.c2ln']);
  });
});

test.each([
  ['a stream that the rule does not declare', { stream: 'Custom-Other' }, /^HTTP 400: check stream, .*InvalidStream/],
  ['a rule that is not there', { rule: 'dcr-0000' }, /^HTTP 404: check url, rule and stream/],
  [
    'another tenant',
    { tenant_id: '00000000-0000-0000-0000-000000000000' },
    /^no token of Microsoft Entra: check tenant_id/,
  ],
])('%s: the events wait, none becomes a dead letter', async (_, wrong, reason) => {
  await using sink = open(wrong);
  expect(await attempt(sink, events)).toMatchObject({ kind: 'failed', reason: expect.stringMatching(reason) });
  expect(receiver.events()).toEqual([]);
});

test.each([
  [{ client_secret: undefined, client_id: undefined }, ' needs .client_secret beside .tenant_id'],
  [{ tenant_id: undefined }, ' needs .tenant_id beside .client_secret'],
  [{ client_id: undefined }, ' needs .client_id beside .client_secret'],
])('settings %j contradict each other', async (wrong, said) => {
  const { kindOf } = await import('../../../src/sinks/registry.ts');
  const settings = sinkSettings.parse({ ...receiver.settings, ...wrong });
  expect(kindOf(settings).contradictions(settings)).toEqual([said]);
});

const open = (more: object = {}) => {
  const sink = createSink(sinkSettings.parse({ timeout: '10m', ...receiver.settings, ...more }));
  return Object.assign(sink, { [Symbol.asyncDispose]: () => sink.close() });
};

const tokensUsed = () => receiver.requests.map(({ headers }) => headers.authorization);

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { createSink, sinkSettings } from '../../../src/sinks/registry.ts';
import { delivery, ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const never = new AbortController().signal;
const slowDown =
  '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>';

/** A storage that answers every PUT with this. */
const storageThat = async (status: number, body: string, headers: Readonly<Record<string, string>>) => {
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    response.writeHead(status, headers).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const keys = { access_key_id: 'a', secret_access_key: 's' };
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sink = createSink(sinkSettings.parse({ type: 's3', endpoint, bucket: 'lake', ...keys }));
  return {
    sink,
    [Symbol.asyncDispose]: async () => {
      await sink.close();
      server.closeAllConnections();
      server.close();
    },
  };
};

test.each([
  ['SlowDown with seconds', 503, slowDown, { 'retry-after': '37' }, 37_000],
  ['429 without a body', 429, '', { 'retry-after': '2' }, 2_000],
  ['a fault of the storage itself', 500, '<Error><Code>InternalError</Code></Error>', { 'retry-after': '5' }, 5_000],
  ['SlowDown without a time', 503, slowDown, {}, undefined],
  ['a time that says nothing', 503, slowDown, { 'retry-after': 'soon' }, undefined],
])('a sink s3 waits as the storage says: %s', async (_, status, body, headers, retryAfterMs) => {
  await using storage = await storageThat(status, body, headers);
  const outcome = await storage.sink.deliver(delivery(ordinaryEvents(3, 'native')), never);
  expect(outcome).toMatchObject({ kind: 'failed', reason: expect.stringContaining('PUT of') });
  expect('retryAfterMs' in outcome ? outcome.retryAfterMs : undefined).toBe(retryAfterMs);
});

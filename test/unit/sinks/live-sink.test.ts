import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Delivery } from '../../../src/sinks/delivery.ts';
import { createLiveSink, type SinkSettings, sinkSettings } from '../../../src/sinks/registry.ts';

const accepted = 'the-new-token-of-the-sink';
const server = createServer((request, response) => {
  const isGood = request.headers.authorization === `Splunk ${accepted}`;
  request.resume();
  response.writeHead(isGood ? 200 : 403, { 'content-type': 'application/json' });
  response.end(isGood ? '{"text":"Success","code":0}' : '{"text":"Invalid token","code":4}');
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test('a token that is refused is looked up again, and the next attempt has the new one', async () => {
  const { port } = server.address() as AddressInfo;
  const settingsOf = (token: string): SinkSettings =>
    sinkSettings.parse({ type: 'splunk_hec', url: `http://127.0.0.1:${port}`, token });
  let settings = settingsOf('the-old-token-of-the-sink');
  let looked = 0;
  const refresh = () => {
    looked += 1;
    settings = settingsOf(accepted);
  };
  const sink = createLiveSink({ settings: () => settings, refresh });
  const { signal } = new AbortController();
  expect(await sink.deliver(delivery, signal)).toMatchObject({ kind: 'failed' });
  expect(looked).toBe(1);
  expect(await sink.deliver(delivery, signal)).toEqual({ kind: 'delivered', refused: [] });
  expect(looked, 'not after a success').toBe(1);
  await sink.close();
});

const delivery: Delivery = {
  id: 'one',
  events: [{ event: { position: 1, receivedAt: '2026-01-01T00:00:00Z' } as never, key: 'k', text: '{"a":1}' }],
};

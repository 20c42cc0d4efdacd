import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { fastify } from 'fastify';
import { expect, test } from 'vitest';
import { createStreamLimits } from '../../../../src/base/limits.ts';
import type { FeedPiece, FeedSource } from '../../../../src/feed/feed.ts';
import { feedRoutes } from '../../../../src/http/feed.routes.ts';

/** More than a connection takes of a reader that does not read. */
const large: FeedPiece = { until: 1, events: 1, lines: Buffer.alloc(32_000_000, '{}\n') };

test('the place of a reader that goes is left when its memory has been given back, and not before', async () => {
  const giving = Promise.withResolvers<void>();
  const given = Promise.withResolvers<void>();
  await using route = await openRoute(async function* () {
    try {
      yield large;
    } finally {
      giving.resolve();
      await given.promise;
    }
  });
  const request = get(`${route.url}/v1/events`, { agent: false }).on('error', () => {});
  const [body] = (await once(request, 'response')) as [IncomingMessage];
  body.on('error', () => {});
  request.destroy();
  await giving.promise;
  // Whatever else follows from that the reader has gone.
  await new Promise((resolve) => setImmediate(resolve));
  expect(route.open()).toBe(1);
  given.resolve();
  await expect.poll(route.open).toBe(0);
});

test('the place of a reader whose events cannot be read is left', async () => {
  // biome-ignore lint/correctness/useYield: it fails before.
  await using route = await openRoute(async function* () {
    throw new Error('not read');
  });
  expect([(await fetch(`${route.url}/v1/events`)).status, route.open()]).toEqual([500, 0]);
});

/** The route alone, over a source that has these pieces. */
const openRoute = async (pieces: FeedSource['pieces']) => {
  const streams = createStreamLimits(600_000, { refused: () => {}, stalled: () => {} });
  const server = fastify();
  const source: FeedSource = {
    head: async () => ({ feedId: 'feed', position: 5, lastDrop: 0 }),
    missedBehind: async () => undefined,
    checkOf: async () => undefined,
    endOf: async () => 5,
    hasEvents: async () => true,
    waitBeyond: async () => {},
    pieces,
  };
  const nothing = async () => undefined;
  feedRoutes(server, source, streams, nothing, nothing);
  const url = await server.listen({ host: '127.0.0.1', port: 0 });
  return { url, open: () => streams.load().feed.open, [Symbol.asyncDispose]: () => server.close() };
};

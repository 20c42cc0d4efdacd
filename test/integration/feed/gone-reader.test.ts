import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import type { FeedPiece } from '../../../src/http/feed.ts';
import { streamFeed } from '../../../src/http/stream-feed.ts';

/** Of random bytes, which no compression makes smaller than what a stream holds on to. */
async function* pieces(): AsyncGenerator<FeedPiece, void, void> {
  for (let until = 1; until <= 100; until += 1) yield { until, events: 1, lines: randomBytes(1_000_000) };
}

test.each(['gzip', 'zstd', undefined] as const)(
  'a reader that has gone before its answer begins (%s) is not waited for',
  async (encoding) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const request = get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    request.on('error', () => {});
    const [, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
    request.destroy();
    await once(response, 'close');
    expect(await streamFeed(response, encoding, pieces(), '')).toBeUndefined();
    server.close();
  },
);

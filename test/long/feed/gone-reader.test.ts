import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { FeedPiece } from '../../../src/feed/feed.ts';
import { streamFeed } from '../../../src/http/stream.ts';

describe.each(['gzip', 'zstd', undefined] as const)('a reader (%s)', (encoding) => {
  test('that has gone before its answer begins is not waited for', async () => {
    await using open = await openRequest(600_000);
    open.request.destroy();
    await once(open.response, 'close');
    expect(await streamFeed(open.response, encoding, pieces(), '', open.place)).toBeUndefined();
    expect(open.happened).toEqual([]);
  });

  test('that goes in the middle is not waited for, and what is being read for it is told', async () => {
    await using open = await openRequest(600_000);
    let over = false;
    const watched = async function* () {
      try {
        yield* pieces();
      } finally {
        over = true;
      }
    };
    const streamed = streamFeed(open.response, encoding, watched(), '', open.place);
    const [body] = (await once(open.request, 'response')) as [IncomingMessage];
    await once(body, 'data');
    open.request.destroy();
    await streamed;
    expect(over).toBe(true);
    expect(open.happened).toEqual([]);
  });

  test('that takes nothing for the time-out is cut off', async () => {
    await using open = await openRequest(300);
    // Its head is there before the time-out begins: a busy machine may let that pass before anything of the body has left.
    open.response.flushHeaders();
    const [body] = (await once(open.request, 'response')) as [IncomingMessage];
    body.on('error', () => {});
    await streamFeed(open.response, encoding, pieces(), '', open.place);
    expect(open.happened).toEqual(['stalled']);
    body.resume();
    if (!body.closed) await new Promise((resolve) => body.once('close', resolve));
    expect(body.complete).toBe(false);
  });

  test('that waits for a piece longer than the time-out is not cut off', async () => {
    // A busy machine may take any time for what is written: only the wait for the piece passes the time-out.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    await using open = await openRequest(600_000);
    const late = async function* () {
      yield { lines: Buffer.from('one\n') };
      await vi.advanceTimersByTimeAsync(900_000);
      yield { lines: Buffer.from('two\n') };
    };
    const [body] = await Promise.all([
      once(open.request, 'response').then(([response]) => response as IncomingMessage),
      streamFeed(open.response, encoding, late(), '', open.place),
    ]);
    body.resume();
    await once(body, 'end');
    expect(body.complete).toBe(true);
    expect(open.happened).toEqual([]);
  });
});

/** Of random bytes, which no compression makes smaller than what a stream holds on to. */
async function* pieces(): AsyncGenerator<FeedPiece, void, void> {
  for (let until = 1; until <= 100; until += 1) yield { until, events: 1, lines: randomBytes(1_000_000) };
}

/** A request that has arrived at a server of its own, and what the place of its answer is told. */
const openRequest = async (stallTimeoutMs: number) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const request = get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, agent: false });
  request.on('error', () => {});
  const [, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
  const happened: string[] = [];
  const place = { stallTimeoutMs, stalled: () => void happened.push('stalled') };
  return { request, response, place, happened, [Symbol.asyncDispose]: async () => void server.close() };
};

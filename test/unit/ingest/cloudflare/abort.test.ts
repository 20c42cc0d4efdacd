import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it } from 'vitest';
import { sleep } from '../../../../src/ingest/cloudflare/wire/middleware.ts';
import { answer, startTcpServer } from './local-server.ts';
import { createTestClient, getText, startApi } from './test-client.ts';

class Stopped extends Error {}

describe('an abort', () => {
  it('before the call sends nothing and asks no budget', async () => {
    await using test = await startApi(answer(200));
    await expect(getText(test.client, { signal: AbortSignal.abort(new Stopped()) })).rejects.toThrow(Stopped);
    expect(test.log).toEqual([]);
    expect(test.server.connections).toBe(0);
  });

  it('while waiting for the budget gives the signal’s reason, whatever the budget rejects with', async () => {
    const controller = new AbortController();
    await using test = createTestClient('http://127.0.0.1:1', {
      budget: {
        acquire: (signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(new Error('another one')));
            controller.abort(new Stopped());
          }),
        pause: async () => {},
      },
    });
    await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
  });

  it('while connecting', async () => {
    const controller = new AbortController();
    await using server = await startTcpServer(() => controller.abort(new Stopped()));
    await using test = createTestClient(`https://127.0.0.1:${server.port}`);
    await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
    expect(test.observed).toEqual([]);
  });

  it('while waiting for headers', async () => {
    const controller = new AbortController();
    await using test = await startApi(() => controller.abort(new Stopped()));
    await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
    await test.server.allClosed();
    expect(test.observed).toEqual([]);
  });

  it.each([200, 403])('in the middle of the body of a %i', async (status) => {
    const controller = new AbortController();
    // The client has the headers by then, and is in the body.
    const abort = () => setImmediate(() => controller.abort(new Stopped()));
    subscribe('undici:request:headers', abort);
    try {
      await using test = await startApi((_request, response) => void response.writeHead(status).write('{'));
      await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
      await test.server.allClosed();
      expect(test.observed).toEqual([]);
    } finally {
      unsubscribe('undici:request:headers', abort);
    }
  });

  it('during the wait before a retry', async () => {
    const controller = new AbortController();
    await using test = await startApi(answer(503, {}, { 'retry-after': '30' }), {
      sleep,
      observer: { onRetry: () => setImmediate(() => controller.abort(new Stopped())) },
    });
    await expect(getText(test.client, { signal: controller.signal })).rejects.toThrow(Stopped);
    expect(test.server.requests).toHaveLength(1);
  });

  it('leaves no listener on the signal of a long-lived caller', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    await using test = await startApi([answer(500), answer(200)]);
    await getText(test.client, { signal });
    expect(listeners).toBe(0);
  });
});

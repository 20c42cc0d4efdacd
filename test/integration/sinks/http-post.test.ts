import { getEventListeners, once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { createHttpPost, type HttpPost, NoAnswer } from '../../../src/sinks/http/http-post.ts';
import { until } from '../../support/process/until.ts';
import { startWebhookReceiver } from '../../support/sinks/http/http-receivers.ts';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

const postTo = (url: string, timeoutMs: number): HttpPost =>
  createHttpPost({ url, headers: {}, timeoutMs, caFile: undefined, secrets: [] });

/** Takes connections and reads nothing of them. */
const startDeafServer = async (): Promise<AsyncDisposable & { readonly port: number }> => {
  const server = createServer((socket) => socket.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // The client has broken off all connections by then.
  return { port, [Symbol.asyncDispose]: async () => void server.close() };
};

/** What this process holds once all garbage is gone. */
const heldBytes = (): number => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

test('an answer that comes before the body is sent counts, however large the body is', async () => {
  await using receiver = await startWebhookReceiver();
  const http = postTo(receiver.url, 600_000);
  receiver.faults.push({ kind: 'answer', status: 413, early: true, body: 'too large' });
  expect(await http.post('x'.repeat(20 * MIB), { signal: never })).toMatchObject({ status: 413, body: 'too large' });
  await http.close();
});

test('a receiver that reads nothing, for as long as it likes: memory stays flat', async () => {
  await using receiver = await startDeafServer();
  const http = postTo(`http://127.0.0.1:${receiver.port}`, 40);
  const { signal } = new AbortController();
  const stall = async (attempts: number) => {
    for (let n = 0; n < attempts; n += 1) {
      // Of other content every time, so that no copy is shared.
      await expect(http.post(String(n).padEnd(4 * MIB), { signal })).rejects.toThrow(NoAnswer);
    }
  };
  await stall(5);
  const before = heldBytes();
  await stall(40);
  // Sockets that were broken off let go of what they held a moment later. 40 that stay would be 160 MiB.
  await until('memory is as before', async () => (heldBytes() - before) / MIB < 24);
  expect(getEventListeners(signal, 'abort').length).toBeLessThan(3);
  await http.close();
});

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/simulator-interface.ts';
import { auditPage, auditPath, get, organizationAt, simulate } from '../simulated-cloudflare.ts';

test('server_error: every status, with JSON, with text, with nothing', async () => {
  const simulator = await simulate({ faults: { server_error: 1 } });
  const seen = new Set<string>();
  for (let n = 0; n < 120; n++) {
    const { status, headers, text } = await get(simulator, '/organizations');
    const form = text === '' ? 'empty' : headers.get('content-type') === 'text/plain' ? 'text' : 'json';
    if (form === 'json') expect(JSON.parse(text)).toMatchObject({ success: false, errors: [{ code: 10000 + status }] });
    seen.add(`${status} ${form}`);
  }
  const expected = [500, 502, 503, 504].flatMap((status) =>
    ['empty', 'json', 'text'].map((form) => `${status} ${form}`),
  );
  expect([...seen].sort()).toEqual(expected);
});

test('html_error and html_ok: a page where JSON should be', async () => {
  const simulator = await simulate({ faults: { html_error: 1 } });
  const error = await get(simulator, '/organizations');
  expect([502, 503]).toContain(error.status);
  expect(error.headers.get('content-type')).toContain('text/html');
  expect(error.text).toContain('<!DOCTYPE html>');
  simulator.faults.set({ html_error: null, html_ok: 1 });
  const ok = await get(simulator, '/organizations');
  expect(ok.status).toBe(200);
  expect(ok.text).toContain('<!DOCTYPE html>');
});

test('slow_body: half the body, the pause, the rest', async () => {
  const simulator = await simulate({ entries: 20, faults: { slow_body: 1, slowBodyMs: 1_000 } });
  const askedAtMs = performance.now();
  const { socket } = await open(simulator, auditPath(organizationAt(simulator)));
  let text = '';
  while (!text.includes('\r\n\r\n{')) text += String((await once(socket, 'data'))[0]);
  const promised = Number(/content-length: (\d+)/i.exec(text)?.[1]);
  while (Buffer.byteLength(bodyOf(text)) < Math.floor(promised / 2)) text += String((await once(socket, 'data'))[0]);
  expect(Buffer.byteLength(bodyOf(text))).toBe(Math.floor(promised / 2));
  while (Buffer.byteLength(bodyOf(text)) < promised) text += String((await once(socket, 'data'))[0]);
  expect(performance.now() - askedAtMs).toBeGreaterThan(990);
  expect(JSON.parse(bodyOf(text)).result).toHaveLength(20);
  socket.destroy();
});

test('cut_body: the head promises more than comes', async () => {
  const simulator = await simulate({ entries: 20, faults: { cut_body: 1 } });
  const text = await raw(simulator, auditPath(organizationAt(simulator)));
  const promised = Number(/content-length: (\d+)/i.exec(text)?.[1]);
  expect(text).toContain('200 OK');
  expect(Buffer.byteLength(bodyOf(text))).toBe(Math.floor(promised / 2));
  await expect(get(simulator, '/organizations')).rejects.toThrow();
});

test('connection_reset: not a byte', async () => {
  const simulator = await simulate({ faults: { connection_reset: { count: 1 } } });
  expect(await raw(simulator, '/organizations')).toBe('');
  expect((await get(simulator, '/organizations')).status).toBe(200);
  expect(simulator.requests().map(({ status }) => status)).toEqual([0, 200]);
});

test('hung: not a byte until the client gives up, or until hangMs', async () => {
  const simulator = await simulate({ faults: { hung: 1 } });
  const controller = new AbortController();
  const stop = simulator.onRequest(() => controller.abort());
  const headers = { authorization: 'Bearer test' };
  await expect(fetch(`${simulator.baseUrl}/organizations`, { headers, signal: controller.signal })).rejects.toThrow(
    /abort/,
  );
  stop();
  simulator.faults.set({ hangMs: 30 });
  const started = performance.now();
  expect(await raw(simulator, '/organizations')).toBe('');
  expect(performance.now() - started).toBeGreaterThan(25);
});

test('throttled: one 429 that says how long', async () => {
  const simulator = await simulate({ faults: { throttled: { count: 1 }, retryAfterSeconds: 7 } });
  const { status, headers } = await get(simulator, '/organizations');
  expect([status, headers.get('retry-after')]).toEqual([429, '7']);
  expect((await get(simulator, '/organizations')).status).toBe(200);
});

test('refused: 403 code 10000, once as a fault, or lasting for an organization', async () => {
  const simulator = await simulate({ organizations: 2, faults: { refused: { count: 1 } } });
  const [first, second] = [organizationAt(simulator, 0), organizationAt(simulator, 1)];
  const { status, text } = await get(simulator, auditPath(first));
  expect(status).toBe(403);
  expect(JSON.parse(text)).toMatchObject({ success: false, errors: [{ code: 10000 }] });
  expect((await auditPage(simulator)).status).toBe(200);
  simulator.setRefused(second, true);
  expect((await get(simulator, auditPath(second))).status).toBe(403);
  expect((await auditPage(simulator)).status).toBe(200);
  simulator.setRefused(second, false);
  expect((await get(simulator, auditPath(second))).status).toBe(200);
});

test('the same seed and the same requests give the same faults; another fault does not move them', async () => {
  const outcomes = async (seed: number, more: object = {}): Promise<string> => {
    const simulator = await simulate({ seed, faults: { server_error: 0.3, html_error: 0.2, ...more } });
    for (let n = 0; n < 60; n++) await get(simulator, '/organizations');
    return simulator
      .requests()
      .map(({ status, wireFault }) => `${status}${wireFault ?? ''}`)
      .join();
  };
  const first = await outcomes(1);
  expect(await outcomes(1)).toBe(first);
  expect(await outcomes(2)).not.toBe(first);
  const withOther = (await outcomes(1, { slow_body: 0.5, slowBodyMs: 1 })).replaceAll('slow_body', '');
  expect(withOther).toBe(first);
});

/** A connection on which this request has been sent. */
async function open(simulator: Simulator, path: string): Promise<{ socket: Socket }> {
  const { hostname, port, pathname, search } = new URL(simulator.baseUrl + path);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.setEncoding('utf8');
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test\r\n\r\n`);
  return { socket };
}

/** What the wire carries until the server ends the connection. */
async function raw(simulator: Simulator, path: string): Promise<string> {
  const { socket } = await open(simulator, path);
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await once(socket, 'close');
  return text;
}

function bodyOf(text: string): string {
  return text.slice(text.indexOf('\r\n\r\n') + 4);
}

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/interface.ts';
import { auditPath, get, getInVain, organizationAt, simulate } from '../simulated-cloudflare.ts';

test('server_error: every status, with JSON (of RFC 9457 with Retry-After, or of the service), with text, with nothing', async () => {
  const simulator = await simulate({ faults: { server_error: 1 } });
  const seen = new Set<string>();
  for (let n = 0; n < 120; n++) {
    const { status, headers, text } = await get(simulator, '/organizations');
    const form = text === '' ? 'empty' : headers.get('content-type') === 'text/plain' ? 'text' : 'json';
    if (form === 'json' && status === 503) {
      expect(JSON.parse(text)).toMatchObject({ success: false, errors: [{ code: 10503 }] });
    } else if (form === 'json') {
      expect(JSON.parse(text)).toMatchObject({ status, retry_after: 1, title: expect.stringContaining(`${status}`) });
      expect(headers.get('retry-after')).toBe('1');
    }
    seen.add(`${status} ${form}`);
  }
  const forms = ['empty', 'json', 'text'];
  expect([...seen].sort()).toEqual([500, 502, 503, 504].flatMap((status) => forms.map((form) => `${status} ${form}`)));
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
  const socket = await open(simulator, auditPath(organizationAt(simulator)));
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
  await getInVain(simulator, '/organizations');
  simulator.faults.set({ hangMs: 30 });
  const started = performance.now();
  expect(await raw(simulator, '/organizations')).toBe('');
  expect(performance.now() - started).toBeGreaterThan(25);
});

test('the same seed and the same requests give the same faults; another fault does not move them', async () => {
  const outcomes = async (seed: number, more: object = {}): Promise<string> => {
    const simulator = await simulate({ seed, faults: { server_error: 0.3, html_error: 0.2, ...more } });
    for (let n = 0; n < 60; n++) await get(simulator, '/organizations');
    const requests = simulator.requests();
    return requests.map(({ status, wireFault }) => `${status}${wireFault ?? ''}`).join();
  };
  const first = await outcomes(1);
  expect(await outcomes(1)).toBe(first);
  expect(await outcomes(2)).not.toBe(first);
  const withOther = (await outcomes(1, { slow_body: 0.5, slowBodyMs: 1 })).replaceAll('slow_body', '');
  expect(withOther).toBe(first);
});

test('wrong_date: of the listing, of audit logs, or of every answer; ahead or behind', async () => {
  const simulator = await simulate({ organizations: 2, entries: 10 });
  const [first, second] = [organizationAt(simulator), organizationAt(simulator, 1)];
  const offsets = async (): Promise<number[]> => [
    await offset(simulator, '/organizations'),
    await offset(simulator, auditPath(first)),
    await offset(simulator, auditPath(second)),
    await offset(simulator, '/organizations', {}),
  ];
  for (const [wrong_date, expected] of [
    [null, [0, 0, 0, 0]],
    [{ offsetSeconds: 3600, operation: 'organizations' }, [3600, 0, 0, 0]],
    [{ offsetSeconds: -90_000, operation: 'audit' }, [0, -90_000, -90_000, 0]],
    [{ offsetSeconds: 25, organizationId: second }, [0, 0, 25, 0]],
    [{ offsetSeconds: -1 }, [-1, -1, -1, -1]],
  ] as const) {
    simulator.faults.set({ wrong_date });
    expect(await offsets()).toEqual(expected);
  }
});

test('hung_organization: no answer of these audit logs; the listing and the others answer', async () => {
  const simulator = await simulate({ organizations: 4, entries: 40 });
  simulator.faults.set({ hung_organization: { firstOrganizations: 2 } });
  for (const n of [0, 1]) await getInVain(simulator, auditPath(organizationAt(simulator, n)));
  for (const n of [2, 3]) expect((await get(simulator, auditPath(organizationAt(simulator, n)))).status).toBe(200);
  expect((await get(simulator, '/organizations')).status).toBe(200);
  simulator.faults.set({ hung_organization: { organizationIds: [organizationAt(simulator, 3)] } });
  await getInVain(simulator, auditPath(organizationAt(simulator, 3)));
  expect((await get(simulator, auditPath(organizationAt(simulator, 0)))).status).toBe(200);
});

test('error_in_success: success: true, errors, and an empty result', async () => {
  const simulator = await simulate({ entries: 10, faults: { error_in_success: { operation: 'audit' } } });
  const { status, text } = await get(simulator, auditPath(organizationAt(simulator)));
  expect(status).toBe(200);
  const empty = { success: true, errors: [{ code: 10500, message: expect.any(String) }], result: [] };
  expect(JSON.parse(text)).toEqual({ ...empty, result_info: { count: '0' } });
  expect(JSON.parse((await get(simulator, '/organizations')).text).result).toHaveLength(1);
  simulator.faults.set({ error_in_success: 1 });
  const listing = JSON.parse((await get(simulator, '/organizations')).text);
  expect(listing).toMatchObject({ ...empty, result_info: { total_size: 0 } });
});

/** A connection on which this request has been sent. */
async function open(simulator: Simulator, path: string): Promise<Socket> {
  const { hostname, port, pathname, search } = new URL(simulator.baseUrl + path);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.setEncoding('utf8');
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test\r\n\r\n`);
  return socket;
}

/** What the wire carries until the server ends the connection. */
async function raw(simulator: Simulator, path: string): Promise<string> {
  const socket = await open(simulator, path);
  let text = '';
  socket
    .on('error', () => undefined)
    .on('data', (chunk) => {
      text += chunk;
    });
  await once(socket, 'close');
  return text;
}

const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4);

/** How far the Date of an answer is from the time. Seconds. */
async function offset(simulator: Simulator, path: string, headers?: Record<string, string>): Promise<number> {
  const answer = await get(simulator, path, headers);
  return (Date.parse(answer.headers.get('date') ?? '') - simulator.summary().nowMs) / 1000;
}

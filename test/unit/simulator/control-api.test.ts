import { expect, test } from 'vitest';
import type { RequestRecord } from '../../../src/simulator/api/api-front.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';
import { auditPage, get, organizationAt, sha256, simulate, startMs } from './simulated-cloudflare.ts';

test('truth: one line for each visible entry, of exactly what is served', async () => {
  const simulator = await simulate({ organizations: 3, entries: 1200, faults: { defectRate: 0.1 } });
  simulator.append(organizationAt(simulator), ['{"id":"late"}'], { visibleAfterMs: 1000 });
  const read = async (query = ''): Promise<{ source_kind: string; source_id: string; sha256: string }[]> => {
    const text = await (await fetch(`${simulator.controlUrl}/truth${query}`)).text();
    const lines = text.trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line));
  };
  const lines = await read();
  expect(lines).toHaveLength(1200);
  // biome-ignore format: a table
  expect(Object.keys(lines[0] ?? {})).toEqual([
    'source_kind', 'source_id', 'id', 'sha256', 'action_time', 'log_time', 'changes',
  ]);
  const first = organizationAt(simulator);
  const served = await auditPage(simulator, { limit: 1000 });
  const own = lines.filter((line) => line.source_kind === 'organization' && line.source_id === first);
  expect(served.texts.map(sha256)).toEqual(own.map((line) => line.sha256));
  expect(await read('?all=1')).toHaveLength(1201);
});

test('the truth is that of one moment, whatever is appended while it is read', async () => {
  const simulator = await simulate();
  const id = organizationAt(simulator);
  const entry = (n: number): string => `{"id":"${n}","action":{"time":"2026-05-01T00:00:0${n}Z"}}`;
  simulator.append(id, [entry(2), entry(4), entry(6)]);
  const seen: (string | null)[] = [];
  for (const one of simulator.truth()) {
    seen.push(one.id);
    if (one.id === '4') simulator.append(id, [entry(1), entry(5), entry(7)]);
  }
  expect(seen).toEqual(['2', '4', '6']);
  expect([...simulator.truth()].map((one) => one.id)).toEqual(['1', '2', '4', '5', '6', '7']);
});

test('entries: appended byte for byte, by their own time or the given one, at once or later', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ clock: () => nowMs });
  const id = organizationAt(simulator);
  const odd = '{ "id" : "x\\u0041" , "action": {"time":"2026-05-01T00:00:00Z" }, "n": 1.0 }';
  const add = (more: object): Promise<Answer> => control(simulator, '/entries', { organization_id: id, ...more });
  expect((await add({ entries: [odd, '"text"'], action_time: '2026-04-01T00:00:00Z' })).body).toEqual({ appended: 2 });
  expect((await auditPage(simulator)).texts).toEqual(['"text"', odd]);
  await add({ entries: ['{"id":"later"}'], visible_after_ms: 500 });
  expect((await auditPage(simulator)).texts).toHaveLength(2);
  nowMs += 500;
  expect((await auditPage(simulator)).texts).toEqual(['"text"', odd, '{"id":"later"}']);
});

test('refused, clock and summary', async () => {
  const simulator = await simulate({ entries: 10 });
  const id = organizationAt(simulator);
  await control(simulator, `/organizations/${id}/refused`, { refused: true });
  expect((await auditPage(simulator)).status).toBe(403);
  await control(simulator, '/clock', { offsetMs: 5000 });
  const { body } = await control(simulator, '/summary');
  const organizations = [{ id, entries: 10, refused: true }];
  expect(body).toMatchObject({ nowMs: startMs + 5000, requests: 1, entries: 10, organizations });
});

test('requests: what came, how it was answered, by whom; never the credential', async () => {
  const simulator = await simulate();
  const seen: RequestRecord[] = [];
  simulator.onRequest((record) => seen.push(record));
  await get(simulator, '/organizations?page_size=1', { authorization: 'Bearer very-secret' });
  await get(simulator, '/organizations', {});
  const { body } = await control(simulator, '/requests');
  expect(body.total).toBe(2);
  expect(body.requests).toEqual(seen);
  const path = '/client/v4/organizations';
  const credential = expect.stringMatching(/^[0-9a-f]{12}$/);
  const { host } = new URL(simulator.baseUrl);
  const owner = expect.stringMatching(/^token:[0-9a-f]{12}$/);
  const facts = { timeMs: startMs, endedMs: startMs, method: 'GET', host, status: 200, credential, owner };
  expect(seen[0]).toEqual({ ...facts, path: `${path}?page_size=1` });
  expect(seen[1]).toMatchObject({ status: 401, credential: 'none' });
  expect(JSON.stringify(body)).not.toContain('very-secret');
});

test('bad input answers 400 and says what is wrong', async () => {
  const simulator = await simulate();
  const id = organizationAt(simulator);
  const cases: [string, unknown, string][] = [
    ['/faults', 'nonsense', 'JSON object'],
    ['/faults', { sever_error: 1 }, 'sever_error is unknown; known: server_error'],
    ['/faults', { slowBodyMs: 'x', hangMs: -1 }, 'slowBodyMs must be a number of 0 or more; hangMs must be'],
    ['/entries', { entries: [] }, 'organization_id'],
    ['/entries', { organization_id: id, entries: [1] }, 'entries must be'],
    ['/entries', { organization_id: id, entries: ['{"a"'] }, 'Not the JSON text'],
    ['/entries', { organization_id: 'none', entries: ['1'] }, 'There is no organization none'],
    ['/entries', { organization_id: id, entries: ['1'], visible_after_ms: -1 }, 'visible_after_ms'],
    ['/entries', { organization_id: id, entries: ['1'], action_time: 'x' }, 'action_time'],
    ['/entries', { organization_id: id, count: 1.5 }, 'count must be an integer'],
    ['/entries', { organization_id: id, count: 1, bytes: '5' }, 'bytes must be'],
    ['/entries', { organization_id: id, count: 1, spacing_ms: -1 }, 'spacing_ms must be'],
    ['/entries', { organization_id: 'none', count: 1 }, 'There is no organization none'],
    ['/entries', { organization_id: id }, 'entries must be'],
    ['/organizations/none/refused', { refused: true }, 'There is no organization none'],
    [`/organizations/${id}/refused`, {}, 'refused must be'],
    ['/clock', { offsetMs: 'x' }, 'offsetMs'],
  ];
  for (const [path, input, why] of cases) {
    const { status, body } = await control(simulator, path, input);
    expect({ path, input, status }).toEqual({ path, input, status: 400 });
    expect(body.error).toContain(why);
  }
  expect((await control(simulator, '/nothing')).status).toBe(404);
  expect([(await control(simulator, '/nothing', {})).status, simulator.summary().entries]).toEqual([404, 0]);
});

test('close ends open connections and can be called again; the port is free afterwards', async () => {
  const simulator = await simulate({ faults: { hung: 1 } });
  const hanging = get(simulator, '/organizations').catch(() => 'ended');
  await new Promise<void>((resolve) => simulator.onRequest(() => resolve()));
  await simulator.close();
  await simulator.close();
  expect(await hanging).toBe('ended');
  const port = Number(new URL(simulator.baseUrl).port);
  const next = await simulate({ port });
  expect(next.baseUrl).toBe(simulator.baseUrl);
  await expect(simulate({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('options that cannot be are refused by name', async () => {
  await expect(simulate({ entries: -1 })).rejects.toThrow('entries');
  await expect(simulate({ organizations: 1.5 })).rejects.toThrow('organizations');
  await expect(simulate({ organizations: 0, entries: 1 })).rejects.toThrow('organization');
  await expect(simulate({ faults: { server_error: 7 } })).rejects.toThrow('server_error');
});

test('an entry that is late is visible as soon as it is there, where its time belongs', async () => {
  const simulator = await simulate({ entries: 200, faults: { late: 1, equal_timestamps: 1 } });
  simulator.faults.set({ preset: 'none', late: 1 });
  const id = organizationAt(simulator);
  for (const latenessHours of [0.7, 30, 72, 480]) {
    const timeMs = startMs - latenessHours * 3_600_000 + 7;
    const since = new Date(timeMs).toISOString();
    const before = new Date(timeMs + 1).toISOString();
    expect((await auditPage(simulator, { since, before })).texts).toEqual([]);
    simulator.generate(id, 1, { actionTimeMs: timeMs });
    expect((await auditPage(simulator, { since, before })).result).toMatchObject([{ action: { time: since } }]);
    const { body } = await control(simulator, '/entries', { organization_id: id, count: 2, action_time: since });
    expect(body).toEqual({ appended: 2 });
    const { result } = await auditPage(simulator, { since, before });
    expect(new Set(result.map((one) => one.id)).size).toBe(3);
    expect([...simulator.truth()].filter(({ logTimeMs }) => logTimeMs === timeMs)).toHaveLength(3);
  }
});

test('many at one time, at a distance, later, and of a length', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ clock: () => nowMs });
  const id = organizationAt(simulator);
  const add = (more: object) => control(simulator, '/entries', { organization_id: id, ...more });
  await add({ action_time: '2026-05-01T00:00:00.250Z', count: 1200 });
  const instant = { since: '2026-05-01T00:00:00.25Z', before: '2026-05-01T00:00:00.251Z', limit: 1000 };
  const first = await auditPage(simulator, instant);
  const rest = await auditPage(simulator, { ...instant, cursor: first.cursor });
  expect([first.texts.length, rest.texts.length]).toEqual([1000, 200]);
  await add({ count: 3, action_time: '2026-06-01', spacing_ms: 1500 });
  const spaced = (await auditPage(simulator, { since: '2026-06-01' })).result.map((one) => one.action.time);
  expect(spaced).toEqual(['00Z', '01.500Z', '03Z'].map((second) => `2026-06-01T00:00:${second}`));
  await add({ count: 1, action_time: '2026-07-01', visible_after_ms: 500, bytes: 70_000 });
  expect((await auditPage(simulator, { since: '2026-07-01' })).texts).toEqual([]);
  nowMs += 500;
  const { texts } = await auditPage(simulator, { since: '2026-07-01' });
  expect(texts.map((text) => Buffer.byteLength(text))).toEqual([70_000]);
});

test('without a time they are of now, with the faults of the data that are on', async () => {
  const simulator = await simulate({ faults: { late: 1, lateDelayMs: 10_000 } });
  await control(simulator, '/entries', { organization_id: organizationAt(simulator), count: 5 });
  expect(simulator.summary().organizations[0]).toMatchObject({ entries: 5, invisible: 5 });
  expect([...simulator.truth({ all: true })].every(({ logTimeMs }) => logTimeMs === startMs)).toBe(true);
});

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
  readonly body: any;
}

async function control(simulator: Simulator, path: string, input?: unknown): Promise<Answer> {
  const body = typeof input === 'string' ? input : JSON.stringify(input);
  const response = await fetch(simulator.controlUrl + path, input === undefined ? {} : { method: 'POST', body });
  return { status: response.status, body: await response.json() };
}

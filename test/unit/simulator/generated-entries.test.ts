import { expect, test } from 'vitest';
import type { Simulator } from '../../../src/simulator/simulator-interface.ts';
import { auditPage, organizationAt, simulate, startMs } from './simulated-cloudflare.ts';

const minuteMs = 60_000;
const dayMs = 1440 * minuteMs;

async function post(simulator: Simulator, body: object): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${simulator.controlUrl}/entries`, { method: 'POST', body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

test.each([
  ['40 minutes', 40 * minuteMs],
  ['30 hours', 30 * 60 * minuteMs],
  ['3 days', 3 * dayMs],
  ['20 days', 20 * dayMs],
])(
  'an entry that is late by %s is visible as soon as it is there, where its time belongs',
  async (_what, latenessMs) => {
    const simulator = await simulate({ entries: 200, faults: { late: 1, equal_timestamps: 1 } });
    simulator.faults.set({ preset: 'none', late: 1 });
    const id = organizationAt(simulator);
    const timeMs = startMs - latenessMs + 7;
    const since = new Date(timeMs).toISOString();
    const before = new Date(timeMs + 1).toISOString();
    expect((await auditPage(simulator, { since, before })).texts).toEqual([]);
    simulator.generate(id, 1, { actionTimeMs: timeMs });
    expect((await auditPage(simulator, { since, before })).result).toMatchObject([{ action: { time: since } }]);
    expect((await post(simulator, { organization_id: id, count: 2, action_time: since })).body).toEqual({
      appended: 2,
    });
    const { result } = await auditPage(simulator, { since, before });
    expect(new Set(result.map((one) => one.id)).size).toBe(3);
    expect([...simulator.truth()].filter(({ logTimeMs }) => logTimeMs === timeMs)).toHaveLength(3);
  },
);

test('many at one time, at a distance, later, and of a length', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ clock: () => nowMs });
  const id = organizationAt(simulator);
  const ask = { organization_id: id, action_time: '2026-05-01T00:00:00.250Z' };
  await post(simulator, { ...ask, count: 1200 });
  const instant = { since: '2026-05-01T00:00:00.25Z', before: '2026-05-01T00:00:00.251Z', limit: 1000 };
  const first = await auditPage(simulator, instant);
  const rest = await auditPage(simulator, { ...instant, cursor: first.cursor });
  expect([first.texts.length, rest.texts.length]).toEqual([1000, 200]);
  await post(simulator, { ...ask, count: 3, action_time: '2026-06-01', spacing_ms: 1500 });
  const spaced = await auditPage(simulator, { since: '2026-06-01' });
  expect(spaced.result.map((one) => one.action.time)).toEqual([
    '2026-06-01T00:00:00Z',
    '2026-06-01T00:00:01.500Z',
    '2026-06-01T00:00:03Z',
  ]);
  await post(simulator, { ...ask, count: 1, action_time: '2026-07-01', visible_after_ms: 500, bytes: 70_000 });
  expect((await auditPage(simulator, { since: '2026-07-01' })).texts).toEqual([]);
  nowMs += 500;
  const { texts } = await auditPage(simulator, { since: '2026-07-01' });
  expect(texts.map((text) => Buffer.byteLength(text))).toEqual([70_000]);
});

test('without a time they are of now, with the faults of the data that are on', async () => {
  const simulator = await simulate({ faults: { late: 1, lateDelayMs: 10_000 } });
  const id = organizationAt(simulator);
  await post(simulator, { organization_id: id, count: 5 });
  expect(simulator.summary().organizations[0]).toMatchObject({ entries: 5, invisible: 5 });
  expect([...simulator.truth({ all: true })].every(({ logTimeMs }) => logTimeMs === startMs)).toBe(true);
});

test('bad input answers 400 and says what is wrong', async () => {
  const simulator = await simulate();
  const id = organizationAt(simulator);
  const cases: [object, string][] = [
    [{ organization_id: id, count: -1 }, 'count must be'],
    [{ organization_id: id, count: 1.5 }, 'count must be an integer'],
    [{ organization_id: id, count: 'x' }, 'count must be'],
    [{ organization_id: id, count: 1, bytes: '5' }, 'bytes must be'],
    [{ organization_id: id, count: 1, spacing_ms: -1 }, 'spacing_ms must be'],
    [{ organization_id: id, count: 1, action_time: 'x' }, 'action_time must be'],
    [{ organization_id: 'none', count: 1 }, 'There is no organization none'],
    [{ organization_id: id }, 'entries must be'],
  ];
  for (const [body, why] of cases) {
    const answer = await post(simulator, body);
    expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining(why) } });
  }
  expect(simulator.summary().entries).toBe(0);
});

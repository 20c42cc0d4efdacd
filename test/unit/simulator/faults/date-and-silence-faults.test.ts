import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/simulator-interface.ts';
import { auditPath, get, getInVain, organizationAt, simulate, startMs } from '../simulated-cloudflare.ts';

test('wrong_date: of the listing, of audit logs, or of every answer; ahead or behind', async () => {
  const simulator = await simulate({ organizations: 2, entries: 10 });
  const [first, second] = [organizationAt(simulator), organizationAt(simulator, 1)];
  const offsets = async (): Promise<number[]> => [
    await offset(simulator, '/organizations'),
    await offset(simulator, auditPath(first)),
    await offset(simulator, auditPath(second)),
    await offset(simulator, '/organizations', {}),
  ];
  expect(await offsets()).toEqual([0, 0, 0, 0]);
  simulator.faults.set({ wrong_date: { offsetSeconds: 3600, operation: 'organizations' } });
  expect(await offsets()).toEqual([3600, 0, 0, 0]);
  simulator.faults.set({ wrong_date: { offsetSeconds: -90_000, operation: 'audit' } });
  expect(await offsets()).toEqual([0, -90_000, -90_000, 0]);
  simulator.faults.set({ wrong_date: { offsetSeconds: 25, organizationId: second } });
  expect(await offsets()).toEqual([0, 0, 25, 0]);
  simulator.faults.set({ wrong_date: { offsetSeconds: -1 } });
  expect(await offsets()).toEqual([-1, -1, -1, -1]);
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

test('hung_organization: an answer after a while is that of its own time', async () => {
  const isHeldUp = (): boolean => simulator?.faults.fired().hung_organization !== undefined;
  let simulator: Simulator | undefined;
  simulator = await simulate({
    clock: () => startMs + (isHeldUp() ? 20_000 : 0),
    faults: { hung_organization: { answerAfterSeconds: 0.01 } },
  });
  const id = organizationAt(simulator);
  simulator.append(id, ['{"id":"meanwhile"}'], { visibleAfterMs: 20_000 });
  const { status, headers, text } = await get(simulator, auditPath(id));
  expect(status).toBe(200);
  expect(text).toContain('meanwhile');
  expect(Date.parse(headers.get('date') ?? '')).toBe(startMs + 20_000);
  expect(simulator.requests()[0]).toMatchObject({ timeMs: startMs, status: 200, wireFault: 'hung_organization' });
});

test('error_in_success: success: true, errors, and an empty result', async () => {
  const simulator = await simulate({ entries: 10, faults: { error_in_success: { operation: 'audit' } } });
  const { status, text } = await get(simulator, auditPath(organizationAt(simulator)));
  expect(status).toBe(200);
  expect(JSON.parse(text)).toEqual({
    errors: [{ code: 10500, message: expect.any(String) }],
    result: [],
    result_info: { count: '0' },
    success: true,
  });
  expect(JSON.parse((await get(simulator, '/organizations')).text).result).toHaveLength(1);
  simulator.faults.set({ error_in_success: 1 });
  const listing = JSON.parse((await get(simulator, '/organizations')).text);
  expect(listing).toMatchObject({
    success: true,
    errors: [{ code: 10500 }],
    result: [],
    result_info: { total_size: 0 },
  });
});

/** How far the Date of an answer is from the time. Seconds. */
async function offset(simulator: Simulator, path: string, headers?: Record<string, string>): Promise<number> {
  const answer = await get(simulator, path, headers);
  return (Date.parse(answer.headers.get('date') ?? '') - simulator.summary().nowMs) / 1000;
}

import { expect, test } from 'vitest';
import { auditPath, get, organizationAt, simulate, startMs } from './simulated-cloudflare.ts';

test('any credential will do by default, none at all will not', async () => {
  const simulator = await simulate();
  expect((await get(simulator, '/organizations')).status).toBe(200);
  const withKey = { 'x-auth-email': 'a@example.com', 'x-auth-key': 'k' };
  expect((await get(simulator, '/organizations', withKey)).status).toBe(200);
  const { status, text } = await get(simulator, auditPath(organizationAt(simulator)), anonymous);
  expect(status).toBe(401);
  const error = { code: 10000, message: 'Authentication error' };
  expect(JSON.parse(text)).toEqual({ success: false, errors: [error], messages: [], result: null });
});

test('Date is the simulator’s own clock', async () => {
  const simulator = await simulate({ clockOffsetMs: -3_600_000 });
  const date = async (): Promise<number> =>
    Date.parse((await get(simulator, '/organizations')).headers.get('date') ?? '');
  expect(await date()).toBe(startMs - 3_600_000);
  simulator.setClockOffset(5000);
  expect(await date()).toBe(startMs + 5000);
});

test('over the budget: 429 with Retry-After until the block ends, for that credential alone', async () => {
  let nowMs = startMs;
  const budget = { requests: 5, windowMs: 300_000, blockMs: 60_000 };
  const simulator = await simulate({ budget, clock: () => nowMs });
  for (let n = 1; n <= 5; n++) {
    const { status, headers } = await get(simulator, '/organizations');
    expect(status).toBe(200);
    expect(headers.get('ratelimit')).toBe(`"default";r=${5 - n};t=300`);
    expect(headers.get('ratelimit-policy')).toBe('"default";q=5;w=300');
    expect(headers.get('retry-after')).toBeNull();
  }
  const tooMany = await get(simulator, '/organizations');
  expect(tooMany.status).toBe(429);
  expect(tooMany.headers.get('retry-after')).toBe('60');
  expect(tooMany.headers.get('ratelimit')).toBe('"default";r=0;t=60');
  expect(JSON.parse(tooMany.text)).toMatchObject({ success: false, errors: [{ code: 971 }] });
  expect((await get(simulator, '/organizations', other)).status).toBe(200);
  nowMs += 59_001;
  expect((await get(simulator, '/organizations')).headers.get('retry-after')).toBe('1');
  nowMs += 999;
  expect((await get(simulator, '/organizations')).status).toBe(200);
});

test('the window slides', async () => {
  let nowMs = startMs;
  const budget = { requests: 3, windowMs: 10_000, blockMs: 10_000 };
  const simulator = await simulate({ budget, clock: () => nowMs });
  const statuses: number[] = [];
  for (const atMs of [0, 4000, 8000, 10_000, 14_000, 15_000]) {
    nowMs = startMs + atMs;
    statuses.push((await get(simulator, '/organizations')).status);
  }
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
});

const anonymous = {};
const other = { authorization: 'Bearer other' };

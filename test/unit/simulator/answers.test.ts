import { expect, test } from 'vitest';
import { auditPage, auditPath, get, organizationAt, simulate, startMs } from './simulated-cloudflare.ts';

test('ids of entries have both forms: 32 hexadecimal digits, and a UUID of 36 characters', async () => {
  const simulator = await simulate({ entries: 200 });
  const ids = (await auditPage(simulator, { limit: 1000 })).result.map(({ id }) => id);
  const isUuid = (id: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
  const plain = ids.filter((id) => /^[0-9a-f]{32}$/.test(id));
  expect(ids.filter(isUuid).length).toBeGreaterThan(50);
  expect(plain.length).toBeGreaterThan(50);
  expect(plain.length + ids.filter(isUuid).length).toBe(200);
  expect([...simulator.truth()].map(({ id }) => id)).toEqual(ids);
});

test('every answer has a Date and a CF-Ray of its own, as those that pass through Cloudflare have', async () => {
  const simulator = await simulate();
  const answers = [
    await get(simulator, '/organizations'),
    await get(simulator, auditPath(organizationAt(simulator))),
    await get(simulator, '/nowhere'),
    await get(simulator, '/organizations', {}),
  ];
  const rays = answers.map(({ headers }) => headers.get('cf-ray') ?? '');
  for (const ray of rays) expect(ray).toMatch(/^[0-9a-f]{16}-FRA$/);
  expect(new Set(rays).size).toBe(answers.length);
  expect(answers.every(({ headers }) => Number.isFinite(Date.parse(headers.get('date') ?? '')))).toBe(true);
});

test.each(['Bearer', 'Bearer a b', 'Basic dXNlcg==', 'token'])('Authorization %s is refused', async (authorization) => {
  const { status, text } = await get(await simulate(), '/organizations', { authorization });
  const chain = [{ code: 6111, message: 'Invalid format for Authorization header' }];
  expect(status).toBe(400);
  expect(JSON.parse(text).errors).toEqual([{ code: 6003, message: 'Invalid request headers', error_chain: chain }]);
});

test('a token that is not known is 403 code 9109', async () => {
  const { status, text } = await get(await simulate({ credentials: [{ token: 'good' }] }), '/organizations');
  expect(status).toBe(403);
  expect(JSON.parse(text).errors).toEqual([{ code: 9109, message: 'Invalid access token' }]);
});

test('an id that no object could have is code 7003, whatever is asked about it', async () => {
  const simulator = await simulate();
  for (const path of ['/organizations/x', '/organizations/x/profile', auditPath('x')]) {
    const { status, text } = await get(simulator, path);
    const message = `Could not route to /client/v4${path.split('?')[0]}, perhaps your object identifier is invalid?`;
    expect({ path, status }).toEqual({ path, status: 404 });
    expect(JSON.parse(text).errors[0]).toEqual({ code: 7003, message });
  }
});

test('any credential will do by default, none at all will not', async () => {
  const simulator = await simulate();
  expect((await get(simulator, '/organizations')).status).toBe(200);
  const withKey = { 'x-auth-email': 'a@example.com', 'x-auth-key': 'k' };
  expect((await get(simulator, '/organizations', withKey)).status).toBe(200);
  const { status, text } = await get(simulator, auditPath(organizationAt(simulator)), {});
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
    expect([headers.get('ratelimit-policy'), headers.get('retry-after')]).toEqual(['"default";q=5;w=300', null]);
  }
  const tooMany = await get(simulator, '/organizations');
  expect([tooMany.status, tooMany.headers.get('retry-after')]).toEqual([429, '60']);
  expect(tooMany.headers.get('ratelimit')).toBe('"default";r=0;t=60');
  expect(JSON.parse(tooMany.text)).toMatchObject({ success: false, errors: [{ code: 971 }] });
  expect((await get(simulator, '/organizations', { authorization: 'Bearer other' })).status).toBe(200);
  nowMs += 59_001;
  expect((await get(simulator, '/organizations')).headers.get('retry-after')).toBe('1');
  nowMs += 999;
  expect((await get(simulator, '/organizations')).status).toBe(200);
});

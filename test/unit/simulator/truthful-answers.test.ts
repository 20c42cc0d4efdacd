import Cloudflare from 'cloudflare';
import { expect, test } from 'vitest';
import { auditPage, auditPath, get, organizationAt, simulate } from './simulated-cloudflare.ts';

// What Cloudflare's OpenAPI, its SDK and reports from the live API say, where the simulator once did otherwise.

const profile = {
  business_address: 'Quay 1',
  business_email: 'a@example.com',
  business_name: 'New Ltd',
  business_phone: '+1',
  external_metadata: 'x',
};

test('a changed profile answers 204 without a body, which the SDK reads as nothing', async () => {
  const simulator = await simulate();
  const path = `/organizations/${organizationAt(simulator)}/profile`;
  const answer = await fetch(simulator.baseUrl + path, {
    method: 'PUT',
    headers: { authorization: 'Bearer test' },
    body: JSON.stringify(profile),
  });
  expect(answer.status).toBe(204);
  expect(answer.headers.get('content-type')).toBeNull();
  expect(await answer.text()).toBe('');
  const client = new Cloudflare({ baseURL: simulator.baseUrl, apiToken: 'test', maxRetries: 0 });
  const { organizationProfile } = client.organizations;
  expect(await organizationProfile.update(organizationAt(simulator), profile)).toBeNull();
  expect(await organizationProfile.get(organizationAt(simulator))).toEqual(profile);
  expect((await auditPage(simulator)).result.at(-1)).toMatchObject({ raw: { method: 'PUT', status_code: 204 } });
});

test('an update of an organization changes its name and nothing else', async () => {
  const simulator = await simulate({ organizations: 2 });
  const client = new Cloudflare({ baseURL: simulator.baseUrl, apiToken: 'test', maxRetries: 0 });
  const [id, other] = [organizationAt(simulator), organizationAt(simulator, 1)];
  const before = await client.organizations.get(id);
  await client.organizations.update(id, { name: 'Renamed', parent: { id: other }, profile });
  expect(await client.organizations.get(id)).toEqual({ ...before, name: 'Renamed' });
});

test('flags have the name of today in some organizations and the older one in others, never both', async () => {
  const simulator = await simulate({ organizations: 24 });
  const { result } = JSON.parse((await get(simulator, '/organizations?page_size=100')).text);
  const names = result.map(({ meta }: { meta: object }) => ['flags', 'tenant_flags'].filter((name) => name in meta));
  expect(new Set(names.map(String))).toEqual(new Set(['flags', 'tenant_flags']));
});

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

test('an Authorization header of another form is 400 code 6003 with its error_chain', async () => {
  const simulator = await simulate();
  for (const authorization of ['Bearer', 'Bearer a b', 'Basic dXNlcg==', 'token']) {
    const { status, text } = await get(simulator, '/organizations', { authorization });
    expect({ authorization, status }).toEqual({ authorization, status: 400 });
    // biome-ignore format: a table
    expect(JSON.parse(text).errors).toEqual([
      { code: 6003, message: 'Invalid request headers', error_chain: [{ code: 6111, message: 'Invalid format for Authorization header' }] },
    ]);
  }
});

test('a token that is not known is 403 code 9109', async () => {
  const simulator = await simulate({ credentials: [{ token: 'good' }] });
  const { status, text } = await get(simulator, '/organizations', { authorization: 'Bearer other' });
  expect(status).toBe(403);
  expect(JSON.parse(text).errors).toEqual([{ code: 9109, message: 'Invalid access token' }]);
});

test('an id that no object could have is code 7003, whatever is asked about it', async () => {
  const simulator = await simulate();
  for (const path of ['/organizations/x', '/organizations/x/profile', auditPath('x')]) {
    const { status, text } = await get(simulator, path);
    expect({ path, status }).toEqual({ path, status: 404 });
    const route = `/client/v4${path.split('?')[0]}`;
    expect(JSON.parse(text).errors[0]).toEqual({
      code: 7003,
      message: `Could not route to ${route}, perhaps your object identifier is invalid?`,
    });
  }
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

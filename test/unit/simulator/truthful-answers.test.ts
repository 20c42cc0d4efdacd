import { expect, test } from 'vitest';
import type { Simulator } from '../../../src/simulator/simulator-interface.ts';
import { sdk, sdkWithKey, window } from './accounts/simulated-accounts.ts';
import { auditPage, auditPath, get, organizationAt, simulate, startMs } from './simulated-cloudflare.ts';

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
  const client = sdk(simulator);
  const { organizationProfile } = client.organizations;
  expect(await organizationProfile.update(organizationAt(simulator), profile)).toBeNull();
  expect(await organizationProfile.get(organizationAt(simulator))).toEqual(profile);
  expect((await auditPage(simulator)).result.at(-1)).toMatchObject({ raw: { method: 'PUT', status_code: 204 } });
});

test('an update of an organization changes its name and nothing else', async () => {
  const simulator = await simulate({ organizations: 2 });
  const client = sdk(simulator);
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

// The official SDK as the client: what it can use is what Cloudflare's own API looks like.

test('the SDK lists organizations with its filters', async () => {
  const simulator = await simulate({ organizations: 8 });
  const client = sdk(simulator);
  const all = await client.organizations.list({ page_size: 1000 });
  expect(all.result).toHaveLength(8);
  const first = all.result[0];
  expect(first).toMatchObject({ id: organizationAt(simulator), name: 'Northwind Traders' });
  expect(first?.meta.hierarchy_tags).toEqual([first?.id]);
  const named = await client.organizations.list({ name: { startsWith: 'NORTH' } });
  expect(named.result.map(({ id }) => id)).toEqual([first?.id]);
  const ids = all.result.slice(2, 5).map(({ id }) => id);
  expect((await client.organizations.list({ id: ids })).result.map(({ id }) => id)).toEqual(ids);
  const roots = await client.organizations.list({ parent: { id: 'null' } });
  expect(roots.result.every(({ parent }) => parent === undefined)).toBe(true);
});

test('the SDK creates, gets, changes and deletes an organization; each change leaves an audit entry', async () => {
  const simulator = await simulate();
  const client = sdk(simulator);
  const parent = await client.organizations.create({ name: 'Parent' });
  const created = await client.organizations.create({ name: 'New', parent: { id: parent.id } });
  expect(created).toMatchObject({ name: 'New', parent: { id: parent.id, name: 'Parent' } });
  expect(created.meta.hierarchy_tags).toEqual([parent.id, created.id]);
  expect(new Date(created.create_time).getTime()).toBe(startMs);
  const updated = await client.organizations.update(created.id, { name: 'Renamed' });
  expect(updated.name).toBe('Renamed');
  expect(await client.organizations.get(created.id)).toEqual(updated);
  const own = await client.organizations.logs.audit.list(created.id, { ...window, direction: 'asc' });
  expect(own.result.map(({ action }) => action?.description)).toEqual(['Create Organization', 'Update Organization']);
  expect(own.result[0]).toMatchObject({
    action: { type: 'create', result: 'success' },
    actor: { context: 'api_token', type: 'user' },
    organization: { id: created.id },
    raw: { method: 'POST', uri: '/organizations', status_code: 200 },
    resource: { product: 'organizations', request: { name: 'New', parent: { id: parent.id } }, scope: 'organizations' },
  });
  expect(await client.organizations.delete(created.id)).toEqual({ id: created.id });
  await expect(client.organizations.get(created.id)).rejects.toMatchObject({ status: 404 });
  const parents = await client.organizations.logs.audit.list(parent.id, window);
  expect(parents.result[0]).toMatchObject({ action: { type: 'delete' }, resource: { id: created.id } });
});

test('the SDK gets and changes a profile', async () => {
  const simulator = await simulate();
  const client = sdk(simulator);
  const { id } = await client.organizations.create({ name: 'New' });
  await expect(client.organizations.organizationProfile.get(id)).rejects.toMatchObject({ status: 404 });
  const profile = {
    business_address: 'Quay 1',
    business_email: 'a@example.com',
    business_name: 'New Ltd',
    business_phone: '+1',
    external_metadata: 'x',
  };
  await client.organizations.organizationProfile.update(id, profile);
  expect(await client.organizations.organizationProfile.get(id)).toEqual(profile);
  expect((await client.organizations.get(id)).profile).toEqual(profile);
  const log = await client.organizations.logs.audit.list(id, window);
  expect(log.result[0]?.action?.description).toBe('Update Organization Profile');
});

test('an organization that is not empty cannot be deleted', async () => {
  const simulator = await simulate();
  const client = sdk(simulator);
  const refused = client.organizations.delete(organizationAt(simulator));
  await expect(refused).rejects.toMatchObject({ status: 409, errors: [{ code: 1003 }] });
  const parent = await client.organizations.create({ name: 'Parent' });
  const child = await client.organizations.create({ name: 'Child', parent: { id: parent.id } });
  await expect(client.organizations.delete(parent.id)).rejects.toMatchObject({ status: 409 });
  await client.organizations.delete(child.id);
  await client.organizations.delete(parent.id);
});

test('the SDK lists audit logs with its filters', async () => {
  const simulator = await simulate({ entries: 200 });
  const client = sdk(simulator);
  const page = await client.organizations.logs.audit.list(organizationAt(simulator), {
    ...window,
    limit: 1000,
    action_type: { not: ['view', 'update'] },
  });
  const types = new Set(page.result.map(({ action }) => action?.type));
  expect([...types].sort()).toEqual(['create', 'delete']);
  const [newest, older] = page.result;
  expect(Date.parse(newest?.action?.time ?? '')).toBeGreaterThanOrEqual(Date.parse(older?.action?.time ?? ''));
});

test('documented fact: the SDK stops after the first page of audit logs, unless the cursor is where it looks', async () => {
  const asDocumented = await simulate({ entries: 250 });
  const asTheSdkReads = await simulate({ entries: 250, cursorField: 'cursors.after' });
  const count = async (simulator: Simulator): Promise<number> => {
    let entries = 0;
    const pages = sdk(simulator).organizations.logs.audit.list(organizationAt(simulator), { ...window, limit: 100 });
    for await (const _ of pages) entries++;
    return entries;
  };
  expect(await count(asDocumented)).toBe(100);
  expect(await count(asTheSdkReads)).toBe(250);
});

test('the SDK sends email and key where it has no token', async () => {
  const simulator = await simulate({ credentials: [{ email: 'a@example.com', key: 'secret' }] });
  expect((await sdkWithKey(simulator).organizations.list()).result).toHaveLength(1);
  const bad = sdkWithKey(simulator, 'a@example.com', 'x').organizations.list();
  await expect(bad).rejects.toMatchObject({ status: 403, errors: [{ code: 10000 }] });
});

// What Cloudflare's OpenAPI, its SDK and reports from the live API say, where the simulator once did otherwise.

const profile = {
  business_address: 'Quay 1',
  business_email: 'a@example.com',
  business_name: 'New Ltd',
  business_phone: '+1',
  external_metadata: 'x',
};

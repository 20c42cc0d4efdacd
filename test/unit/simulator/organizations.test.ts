import { expect, test } from 'vitest';
import type { Simulator } from '../../../src/simulator/interface.ts';
import { sdk, window } from './accounts/simulated-accounts.ts';
import { type Listing, listingOf, organizationAt, simulate, startMs } from './simulated-cloudflare.ts';

test('pages of ten by default, a token until the end, the total on every page', async () => {
  const simulator = await simulate({ organizations: 23 });
  const pages = [await list(simulator)];
  for (let { token } = pages[0] as Listing; token !== undefined; token = pages.at(-1)?.token) {
    pages.push(await list(simulator, `page_token=${encodeURIComponent(token)}`));
  }
  expect(pages.map(({ ids, total }) => [ids.length, total])).toEqual([10, 10, 3].map((size) => [size, 23]));
  expect(pages.at(-1)?.body.result_info).toEqual({ total_size: 23 });
  expect(new Set(pages.flatMap(({ ids }) => ids)).size).toBe(23);
});

test('page_size from 1 to 1000; 0 is the default; the rest is refused', async () => {
  const simulator = await simulate({ organizations: 12 });
  expect((await list(simulator, 'page_size=1')).ids).toHaveLength(1);
  expect((await list(simulator, 'page_size=0')).ids).toHaveLength(10);
  expect((await list(simulator, 'page_size=1000')).ids).toHaveLength(12);
  for (const bad of ['1001', '-1', 'x', '1.5']) {
    const { status, body } = await list(simulator, `page_size=${bad}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ success: false, errors: [{ code: 1001 }], result: null });
  }
});

test('a page token with other filters than those it came with is refused, so is an invented one', async () => {
  const simulator = await simulate({ organizations: 20 });
  const { token = '' } = await list(simulator, 'parent.id=null&page_size=5');
  const sent = `page_size=5&page_token=${encodeURIComponent(token)}`;
  expect((await list(simulator, `parent.id=null&${sent}`)).status).toBe(200);
  expect((await list(simulator, sent)).status).toBe(400);
  expect((await list(simulator, `parent.id=null&name.contains=a&${sent}`)).status).toBe(400);
  expect((await list(simulator, 'page_token=abc')).status).toBe(400);
});

test('every filter of the listing', async () => {
  const simulator = await simulate({ organizations: 24 });
  type Organization = { id: string; name: string; parent?: object; meta: { hierarchy_tags: string[] } };
  const all: Organization[] = (await list(simulator, 'page_size=1000')).body.result;
  const child = all.find(({ parent }) => parent !== undefined);
  const above = child?.meta.hierarchy_tags.slice(0, -1) ?? [];
  const idsOf = (isMeant: (organization: Organization, n: number) => boolean): string[] =>
    all.filter(isMeant).map(({ id }) => id);
  const traders = idsOf(({ name }) => name === 'Northwind Traders');
  const northwind = idsOf(({ name }) => /^Northwind Traders( 2)?$/.test(name));
  const { accountIds, userIds, id } = simulator.summary().organizations[4] ?? { accountIds: [], userIds: [], id: '' };
  expect([traders.length, northwind.length]).toEqual([1, 2]);
  for (const [query, expected] of [
    ['name=Northwind+Traders', traders],
    ['name=northwind+TRADERS', traders],
    ['name.startsWith=NORTHWIND', northwind],
    ['name.endsWith=traders', traders],
    ['name.contains=WIND', northwind],
    [`id=${all[3]?.id}&id=${all[1]?.id}`, [all[1]?.id, all[3]?.id]],
    [`parent.id=${above.at(-1)}`, idsOf(({ meta }) => meta.hierarchy_tags.at(-2) === above.at(-1))],
    ['parent.id=null', idsOf(({ parent }) => parent === undefined)],
    [`containing.organization=${child?.id}`, idsOf((one) => above.includes(one.id))],
    [`containing.account=${accountIds[0]}`, [id]],
    [`containing.user=${userIds[0]}`, [id]],
    ['containing.account=unknown', []],
    ['containing.user=unknown', []],
    ['unknown=1', idsOf(() => true)],
  ] as const) {
    expect((await list(simulator, `page_size=1000&${query}`)).ids, query).toEqual(expected);
  }
});

test('what cannot be is refused with a code and says why', async () => {
  const simulator = await simulate({ organizations: 1 });
  const id = organizationAt(simulator);
  const cases: [string, string, string, number, string][] = [
    ['POST', '/organizations', '{', 400, 'not JSON'],
    ['POST', '/organizations', '{}', 400, 'name'],
    ['POST', '/organizations', '{"name":"a","parent":{"id":"none"}}', 400, 'does not exist'],
    ['POST', '/organizations', '{"name":"a","profile":{"business_name":1}}', 400, 'business_address'],
    ['PUT', `/organizations/${id}`, '{"name":" "}', 400, 'name'],
    ['PUT', `/organizations/${id}/profile`, '{}', 400, 'business_address'],
    ['PUT', '/organizations/none', '{"name":"a"}', 404, 'Could not route to /client/v4/organizations/none'],
    ['PUT', `/organizations/${'0'.repeat(32)}`, '{"name":"a"}', 404, 'not found'],
    ['PATCH', `/organizations/${id}`, '{}', 405, 'not allowed'],
    ['POST', `/organizations/${id}/logs/audit`, '{}', 405, 'not allowed'],
    ['DELETE', '/nowhere', '', 404, 'No route'],
  ];
  for (const [method, path, body, status, why] of cases) {
    const answer = await fetch(simulator.baseUrl + path, { method, headers: { authorization: 'Bearer test' }, body });
    const text = await answer.text();
    expect({ path, status: answer.status }).toEqual({ path, status });
    expect(text).toContain(why);
    const { success, errors } = JSON.parse(text);
    expect(success).toBe(false);
    for (const { code } of errors) expect(code).toEqual(expect.any(Number));
    expect(errors.length).toBeGreaterThan(0);
  }
  expect(simulator.summary().entries).toBe(0);
});

test('organizations nest five levels deep and no deeper', async () => {
  const client = sdk(await simulate({ organizations: 0 }));
  let { id } = await client.organizations.create({ name: 'n' });
  for (let level = 2; level <= 5; level++) ({ id } = await client.organizations.create({ name: 'n', parent: { id } }));
  await expect(client.organizations.create({ name: 'n', parent: { id } })).rejects.toMatchObject({ status: 400 });
});

test('the SDK lists, creates, gets, renames and deletes organizations; each change leaves an entry', async () => {
  const simulator = await simulate();
  const client = sdk(simulator);
  const other = organizationAt(simulator);
  const listed = await client.organizations.list({
    id: [other],
    name: { startsWith: 'NORTH' },
    parent: { id: 'null' },
  });
  expect(listed.result).toMatchObject([{ id: other, name: 'Northwind Traders', meta: { hierarchy_tags: [other] } }]);
  const parent = await client.organizations.create({ name: 'Parent' });
  const created = await client.organizations.create({ name: 'New', parent: { id: parent.id } });
  expect(created).toMatchObject({ name: 'New', parent: { id: parent.id, name: 'Parent' } });
  expect(created.meta.hierarchy_tags).toEqual([parent.id, created.id]);
  expect(new Date(created.create_time).getTime()).toBe(startMs);
  const updated = await client.organizations.update(created.id, { name: 'Renamed', parent: { id: other }, profile });
  expect(updated).toEqual({ ...created, name: 'Renamed' });
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

test('a profile is none until it is put, which answers 204 without a body; the SDK reads that as nothing', async () => {
  const simulator = await simulate();
  const client = sdk(simulator);
  const { organizationProfile } = client.organizations;
  const { id } = await client.organizations.create({ name: 'New' });
  await expect(organizationProfile.get(id)).rejects.toMatchObject({ status: 404 });
  expect(await organizationProfile.update(id, profile)).toBeNull();
  expect(await organizationProfile.get(id)).toEqual(profile);
  expect((await client.organizations.get(id)).profile).toEqual(profile);
  const init = { method: 'PUT', headers: { authorization: 'Bearer test' }, body: JSON.stringify(profile) };
  const answer = await fetch(`${simulator.baseUrl}/organizations/${id}/profile`, init);
  expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([204, null, '']);
  expect((await client.organizations.logs.audit.list(id, window)).result[0]).toMatchObject({
    action: { description: 'Update Organization Profile' },
    raw: { method: 'PUT', status_code: 204 },
  });
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

test('flags have the name of today in some organizations and the older one in others, never both', async () => {
  const simulator = await simulate({ organizations: 24 });
  const names = (await list(simulator, 'page_size=100')).body.result.map(({ meta }: { meta: object }) =>
    ['flags', 'tenant_flags'].filter((name) => name in meta),
  );
  expect(new Set(names.map(String))).toEqual(new Set(['flags', 'tenant_flags']));
});

const list = (simulator: Simulator, query = ''): Promise<Listing> => listingOf(simulator, `/organizations?${query}`);

const profile = {
  business_address: 'Quay 1',
  business_email: 'a@example.com',
  business_name: 'New Ltd',
  business_phone: '+1',
  external_metadata: 'x',
};

import { expect, test } from 'vitest';
import type { Simulator } from '../../../src/simulator/simulator-interface.ts';
import { type Listing, listingOf, organizationAt, simulate } from './simulated-cloudflare.ts';

test('pages of ten by default, a token until the end, the total on every page', async () => {
  const simulator = await simulate({ organizations: 23 });
  const ids: string[] = [];
  const sizes: number[] = [];
  let query = '';
  for (;;) {
    const page = await list(simulator, query);
    expect(page.total).toBe(23);
    ids.push(...page.ids);
    sizes.push(page.ids.length);
    if (page.token === undefined) {
      expect(page.body.result_info).toEqual({ total_size: 23 });
      break;
    }
    query = `page_token=${encodeURIComponent(page.token)}`;
  }
  expect(sizes).toEqual([10, 10, 3]);
  expect(new Set(ids).size).toBe(23);
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
  const all = await list(simulator, 'page_size=1000');
  const names = async (query: string): Promise<string[]> =>
    (await list(simulator, `page_size=1000&${query}`)).body.result.map(({ name }: { name: string }) => name);
  expect(await names('name=Northwind+Traders')).toEqual(['Northwind Traders']);
  expect(await names('name=northwind+TRADERS')).toEqual(['Northwind Traders']);
  expect(await names('name.startsWith=NORTHWIND')).toEqual(['Northwind Traders', 'Northwind Traders 2']);
  expect(await names('name.endsWith=traders')).toEqual(['Northwind Traders']);
  expect(await names('name.contains=WIND')).toEqual(['Northwind Traders', 'Northwind Traders 2']);
  expect((await list(simulator, `id=${all.ids[3]}&id=${all.ids[1]}`)).ids).toEqual([all.ids[1], all.ids[3]]);
  const organizations: { id: string; parent?: { id: string }; meta: { hierarchy_tags: string[] } }[] = all.body.result;
  const child = organizations.find(({ parent }) => parent !== undefined);
  const parentId = child?.parent?.id;
  expect((await list(simulator, `parent.id=${parentId}`)).ids).toContain(child?.id);
  const roots = organizations.filter(({ parent }) => parent === undefined).map(({ id }) => id);
  expect((await list(simulator, 'parent.id=null&page_size=1000')).ids).toEqual(roots);
  const above = child?.meta.hierarchy_tags.slice(0, -1) ?? [];
  const containing = await list(simulator, `page_size=1000&containing.organization=${child?.id}`);
  expect(containing.ids.sort()).toEqual([...above].sort());
  const { accountIds, userIds, id } = simulator.summary().organizations[4] ?? { accountIds: [], userIds: [], id: '' };
  expect((await list(simulator, `containing.account=${accountIds[0]}`)).ids).toEqual([id]);
  expect((await list(simulator, `containing.user=${userIds[0]}`)).ids).toEqual([id]);
  expect((await list(simulator, 'containing.account=unknown')).ids).toEqual([]);
  expect((await list(simulator, 'containing.user=unknown')).ids).toEqual([]);
  expect((await list(simulator, 'page_size=1000&unknown=1')).ids).toHaveLength(24);
});

test('organizations below others can be left out of the plain listing', async () => {
  const simulator = await simulate({ organizations: 12, listsSubOrganizations: false });
  const plain = await list(simulator, 'page_size=1000');
  expect(plain.body.result.every((organization: object) => !('parent' in organization))).toBe(true);
  expect(plain.total).toBeLessThan(12);
});

test('what cannot be is refused with a code and says why', async () => {
  const simulator = await simulate({ organizations: 1 });
  const send = async (method: string, path: string, body: string): Promise<{ status: number; text: string }> => {
    const headers = { authorization: 'Bearer test' };
    const response = await fetch(simulator.baseUrl + path, { method, headers, body });
    return { status: response.status, text: await response.text() };
  };
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
    const answer = await send(method, path, body);
    expect({ path, status: answer.status }).toEqual({ path, status });
    expect(answer.text).toContain(why);
    const { success, errors } = JSON.parse(answer.text);
    expect(success).toBe(false);
    for (const { code } of errors) expect(code).toEqual(expect.any(Number));
    expect(errors.length).toBeGreaterThan(0);
  }
  expect(simulator.summary().entries).toBe(0);
});

test('organizations nest five levels deep and no deeper', async () => {
  const simulator = await simulate({ organizations: 0 });
  const create = async (parent: string | undefined): Promise<Response> => {
    const body = JSON.stringify({ name: 'n', ...(parent === undefined ? {} : { parent: { id: parent } }) });
    return fetch(`${simulator.baseUrl}/organizations`, {
      method: 'POST',
      headers: { authorization: 'Bearer x' },
      body,
    });
  };
  let parent: string | undefined;
  for (let level = 1; level <= 5; level++) {
    const response = await create(parent);
    expect(response.status).toBe(200);
    parent = ((await response.json()) as { result: { id: string } }).result.id;
  }
  expect((await create(parent)).status).toBe(400);
});

const list = (simulator: Simulator, query = ''): Promise<Listing> => listingOf(simulator, `/organizations?${query}`);

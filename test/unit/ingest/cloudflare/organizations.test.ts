import type { RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { createOrganizationsApi } from '../../../../src/ingest/cloudflare/audit-api.ts';
import { PartialListingError } from '../../../../src/ingest/sync/discovery/discover.ts';
import { answer, type LocalServer, startHttpServer } from './local-server.ts';
import { apiErrorOf, createTestClient, startApi } from './test-client.ts';

const signal = new AbortController().signal;

describe('list', () => {
  it('sends all filters again with every token, and yields each organization once', async () => {
    await using test = await startApi([
      page([{ id: 'a' }, { id: 'b' }, { id: 'a' }], 't=1+/'),
      page([{ id: 'b' }, { id: 'c' }], 't2'),
      page([]),
    ]);
    const api = createOrganizationsApi(test.client);
    expect(await idsOf(api, { ids: ['a', 'b', 'c'], pageSize: 7 })).toEqual([['a', 'b'], ['c'], []]);
    const filters = 'page_size=7&id=a&id=b&id=c';
    expect(queries(test.server)).toEqual([filters, `${filters}&page_token=t%3D1%2B%2F`, `${filters}&page_token=t2`]);
  });

  it('asks for full pages and for everything, by default', async () => {
    await using test = await startApi(page([]));
    await idsOf(createOrganizationsApi(test.client));
    await idsOf(createOrganizationsApi(test.client), { ids: [] });
    expect(queries(test.server)).toEqual(['page_size=1000', 'page_size=1000']);
  });

  it('splits many ids over several walks', async () => {
    await using test = await startApi([page([{ id: 'id7' }]), page([{ id: 'id7' }, { id: 'id100' }])]);
    const ids = Array.from({ length: 101 }, (_, index) => `id${index}`);
    expect(await idsOf(createOrganizationsApi(test.client), { ids })).toEqual([['id7'], ['id100']]);
    expect(queries(test.server)[1]).toBe('page_size=1000&id=id100');
  });

  it('yields none that was not asked for', async () => {
    await using test = await startApi([page([{ id: 'a' }, { id: 'stranger' }], 't'), page([{ id: 'other' }])]);
    expect(await idsOf(createOrganizationsApi(test.client), { ids: ['a', 'b'] })).toEqual([['a'], []]);
  });

  it.each([undefined, null, ''])('ends at the token %j', async (token) => {
    await using test = await startApi(page([{ id: 'a' }], token));
    expect(await idsOf(createOrganizationsApi(test.client))).toEqual([['a']]);
    expect(test.server.requests).toHaveLength(1);
  });

  it('follows a token on an empty page', async () => {
    await using test = await startApi([page([], 't'), page([{ id: 'a' }])]);
    expect(await idsOf(createOrganizationsApi(test.client))).toEqual([[], ['a']]);
  });

  it('ends with an error when a token comes twice', async () => {
    await using test = await startApi([page([], 't1'), page([], 't2'), page([], 't1')]);
    expect(await apiErrorOf(idsOf(createOrganizationsApi(test.client)))).toMatchObject({ failure: 'unreadable' });
    expect(test.server.requests).toHaveLength(3);
  });

  it('ends with an error when the same page comes again and again, under other tokens', async () => {
    for (const again of [[{ id: 'a' }], []]) {
      await using test = await startApi([...'1234567'.split('').map((token) => page(again, token))]);
      expect(await apiErrorOf(idsOf(createOrganizationsApi(test.client)))).toMatchObject({ failure: 'unreadable' });
      expect(test.server.requests.length).toBeLessThanOrEqual(4);
    }
  });

  it('says that it was short, after all its pages, if it counts more and must be whole', async () => {
    const listed = (key: string, count: number) =>
      answer(200, { success: true, result: [{ id: 'a' }, { id: 'a' }, { id: 'b' }], result_info: { [key]: count } });
    await using test = await startApi([
      listed('total_size', 40),
      listed('total_size', 40),
      listed('total_count', 3),
      listed('total_size', 2),
    ]);
    const api = createOrganizationsApi(test.client);
    expect(await idsOf(api), 'that does not count here').toEqual([['a', 'b']]);
    const pages = api.list({ signal, mustBeWhole: true });
    expect((await pages.next()).value).toHaveLength(2);
    const short = await pages.next().catch((error: unknown) => error);
    expect(short).toBeInstanceOf(PartialListingError);
    expect(short).toMatchObject({ failure: 'unreadable', message: expect.stringContaining('2 of 40') });
    await expect(idsOf(api, { mustBeWhole: true })).rejects.toBeInstanceOf(PartialListingError);
    expect(await idsOf(api, { mustBeWhole: true })).toEqual([['a', 'b']]);
  });

  it('skips and reports what has no id', async () => {
    const broken = [{ id: '' }, { id: 7 }, { name: 'x' }, null, 'a'];
    await using test = await startApi(page([...broken, { id: 'a' }]));
    const unreadable: unknown[] = [];
    const api = createOrganizationsApi(test.client, (item) => unreadable.push(item));
    expect(await idsOf(api)).toEqual([['a']]);
    expect(unreadable).toEqual(broken);
  });

  // biome-ignore format: a table
  it.each([
    '<html></html>', '{"result":{}}', '{"success":true}', '[]', 'null', '{"success":false,"result":[]}', '{"result":[',
  ])('asks again for %s, and calls it unreadable in the end', async (body) => {
    await using test = await startApi(answer(200, body));
    const error = await apiErrorOf(idsOf(createOrganizationsApi(test.client)));
    expect(error.failure).toBe('unreadable');
    expect(error.message).not.toContain('html');
    expect(test.server.requests).toHaveLength(2);
  });

  it('takes an envelope that has only the result beside its success, and none that names an error or has no success', async () => {
    await using server = await startHttpServer(
      answer(200, { success: true, result: [{ id: 'a' }] }),
      answer(200, { success: true, result: [], errors: [], result_info: null }),
    );
    await using failing = await startHttpServer(
      ...Array(9).fill(answer(200, { success: true, result: [], errors: 'no' })),
    );
    await using test = createTestClient(server.baseUrl);
    expect(await idsOf(createOrganizationsApi(test.client))).toEqual([['a']]);
    expect(await idsOf(createOrganizationsApi(test.client))).toEqual([[]]);
    await using other = createTestClient(failing.baseUrl);
    await expect(idsOf(createOrganizationsApi(other.client))).rejects.toThrow('names an error');
  });
});

it('an organization is read with everything it has, wherever managed_by is', async () => {
  const meta = { flags: { account_creation: '1' }, managed_by: 'partner', hierarchy_tags: ['p', 'o'] };
  const profile = { business_name: 'Acme' };
  await using test = await startApi([
    page({
      id: 'o',
      name: 'Acme',
      create_time: '2026-04-06T01:02:03Z',
      parent: { id: 'p', name: 'P' },
      meta,
      profile,
    }),
    page({ id: 'o', managed_by: 'someone' }),
  ]);
  const api = createOrganizationsApi(test.client);
  expect(await api.get('o/1', signal)).toEqual({
    id: 'o',
    name: 'Acme',
    createTime: '2026-04-06T01:02:03.000Z',
    parentId: 'p',
    managedBy: 'partner',
    meta,
    profile,
  });
  expect(await api.get('o', signal)).toEqual({ id: 'o', managedBy: 'someone', meta: undefined });
  expect(test.server.requests[0]?.url).toBe('/client/v4/organizations/o%2F1');
});

it('an organization is read in spite of fields of any other type', async () => {
  const odd = { id: 'o', name: 7, create_time: 'never', parent: null, managed_by: {}, meta: 'x', profile: [1] };
  await using test = await startApi(page([odd, { id: 'p', create_time: {}, parent: { id: 7 } }]));
  const { value } = await createOrganizationsApi(test.client).list({ signal }).next();
  expect(value).toEqual([
    { id: 'o', meta: 'x', profile: [1] },
    { id: 'p', meta: undefined },
  ]);
});

it('an organization and its profile may not exist; that they are refused is an error', async () => {
  await using test = await startApi([answer(404), answer(404), answer(403)]);
  const api = createOrganizationsApi(test.client);
  expect([await api.get('o', signal), await api.getProfile('o', signal)]).toEqual([undefined, undefined]);
  expect(await apiErrorOf(api.getProfile('o', signal))).toMatchObject({ failure: 'refused' });
});

it('an organization has a profile of its own address', async () => {
  await using test = await startApi([page({ business_name: 'Acme' }), page(null)]);
  const api = createOrganizationsApi(test.client);
  expect(await api.getProfile('o', signal)).toEqual({ business_name: 'Acme' });
  expect(await api.getProfile('o', signal)).toBeUndefined();
  expect(test.server.requests[0]?.url).toBe('/client/v4/organizations/o/profile');
  expect(test.observed[0]).toBe('organization_profile 200');
});

it('an organization without an id is unreadable', async () => {
  await using test = await startApi(page({ name: 'x' }));
  expect(await apiErrorOf(createOrganizationsApi(test.client).get('o', signal))).toMatchObject({
    failure: 'unreadable',
  });
});

const page = (result: unknown, next?: unknown): RequestListener =>
  answer(200, { success: true, errors: [], messages: [], result, result_info: { next_page_token: next } });

const queries = (server: LocalServer) => server.requests.map((request) => request.url?.split('?')[1]);

type Api = ReturnType<typeof createOrganizationsApi>;

async function idsOf(api: Api, options: Partial<Parameters<Api['list']>[0]> = {}): Promise<string[][]> {
  const pages: string[][] = [];
  for await (const page of api.list({ signal, ...options })) pages.push(page.map(({ id }) => id));
  return pages;
}

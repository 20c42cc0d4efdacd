import { expect, test } from 'vitest';
import { listingOf, organizationAt } from '../simulated-cloudflare.ts';
import { accountAt, accountPath, sdk, simulateAccounts, window } from './simulated-accounts.ts';

test('the SDK lists every account once, by page number, and gets each', async () => {
  const simulator = await simulateAccounts();
  const client = sdk(simulator);
  const seen: string[] = [];
  for await (const account of client.accounts.list({ per_page: 5 })) seen.push(account.id);
  expect(seen).toEqual(simulator.summary().accounts.map(({ id }) => id));
  // It reads on until a page is empty: one request more than there are pages.
  expect(simulator.requestCount).toBe(4);
  const first = await client.accounts.get({ account_id: seen[0] ?? '' });
  const [organization] = simulator.summary().organizations;
  const managed_by = { parent_org_id: organization?.id, parent_org_name: organization?.name };
  expect(first).toMatchObject({ name: 'Northwind Traders Production', managed_by });
  expect(Date.parse(first.created_on ?? '')).toBeLessThan(simulator.summary().nowMs);
  expect(await client.accounts.get({ account_id: seen.at(-1) ?? '' })).not.toHaveProperty('managed_by');
});

test('the accounts of an organization, by page token, with its filters and orders', async () => {
  const simulator = await simulateAccounts({ accounts: 12 });
  const id = organizationAt(simulator, 1);
  const own = simulator.summary().accounts.filter(({ organizationId }) => organizationId === id);
  const ids = own.map((account) => account.id);
  const read = (query = '') => listingOf(simulator, `/organizations/${id}/accounts?${query}`);
  const first = await read();
  expect(first.ids).toEqual(ids.slice(0, 10));
  expect(first.body.result_info).toEqual({ next_page_token: expect.any(String), total_size: 12 });
  expect(first.body.result[0]).toMatchObject({ type: expect.any(String), name: own[0]?.name });
  expect(first.body.result[0].settings).toHaveProperty('api_access_enabled');
  expect(first.body.result[0]).not.toHaveProperty('managed_by');
  const token = `page_token=${encodeURIComponent(first.token ?? '')}`;
  const rest = await read(token);
  expect([rest.ids, rest.body.result_info]).toEqual([ids.slice(10), { total_size: 12 }]);
  const byName = own.toSorted((a, b) => (a.name < b.name ? 1 : -1)).map((account) => account.id);
  expect((await read('page_size=1000&order_by=account_name&direction=desc')).ids).toEqual(byName);
  expect((await read('name.contains=STAGING&page_size=0')).ids).toHaveLength(2);
  expect((await read('name.endsWith=sandbox')).ids).toHaveLength(1);
  expect((await read(`name=${encodeURIComponent(own[2]?.name ?? '')}`)).ids).toEqual([ids[2]]);
  // The SDK has no method for it; it sends these filters to any path.
  const query = { page_size: 3, name: { startsWith: 'contoso' } };
  const { result } = await sdk(simulator).get<{ result: { id: string }[] }>(`/organizations/${id}/accounts`, { query });
  expect(result.map((account) => account.id)).toEqual(ids.slice(0, 3));
  for (const bad of [`${token}&direction=desc`, 'page_size=1001', 'order_by=id', 'page_token=x']) {
    expect({ bad, status: (await read(bad)).status }).toEqual({ bad, status: 400 });
  }
  expect((await listingOf(simulator, `/organizations/${'0'.repeat(32)}/accounts`)).status).toBe(404);
});

test('an organization knows its accounts, and cannot be deleted while it has some', async () => {
  const simulator = await simulateAccounts();
  const { id, organizationId } = accountAt(simulator, 4);
  expect((await listingOf(simulator, `/organizations?containing.account=${id}`)).ids).toEqual([organizationId]);
  await expect(sdk(simulator).organizations.delete(organizationId ?? '')).rejects.toMatchObject({ status: 409 });
});

test('the third account has the id of the third organization, and a log of its own', async () => {
  const simulator = await simulateAccounts({ entries: 300 });
  const { id } = accountAt(simulator, 2);
  expect(id).toBe(organizationAt(simulator, 2));
  const client = sdk(simulator);
  const ofAccount = await client.accounts.logs.audit.list({ account_id: id, ...window, limit: 1000 });
  const ofOrganization = await client.organizations.logs.audit.list(id, { ...window, limit: 1000 });
  const ids = [ofAccount, ofOrganization].map(({ result }) => result.map((entry) => entry.id));
  const truth = [...simulator.truth()].filter(({ sourceId }) => sourceId === id);
  for (const [n, kind] of ['account', 'organization'].entries()) {
    const expected = truth.filter(({ sourceKind }) => sourceKind === kind).map((entry) => entry.id);
    expect(expected.length).toBeGreaterThan(5);
    expect(ids[n]?.toSorted()).toEqual(expected.toSorted());
  }
  expect(ofAccount.result.every((entry) => entry.account?.id === id && !('organization' in entry))).toBe(true);
  expect(ofOrganization.result.every((entry) => entry.organization?.id === id && !('account' in entry))).toBe(true);
});

test('the control API changes accounts: name, organization, refusal, and removes them', async () => {
  const simulator = await simulateAccounts();
  const [{ id }, { organizationId: other }] = [accountAt(simulator, 0), accountAt(simulator, 5)];
  const change = async (body: object, accountId = id): Promise<number> =>
    (await fetch(`${simulator.controlUrl}/accounts/${accountId}`, { method: 'POST', body: JSON.stringify(body) }))
      .status;
  expect(await change({ name: 'New name', organization_id: other })).toBe(200);
  expect((await listingOf(simulator, `/accounts/${id}`)).body.result).toMatchObject({
    name: 'New name',
    managed_by: { parent_org_id: other },
  });
  expect((await listingOf(simulator, `/organizations/${other}/accounts`)).ids).toContain(id);
  expect((await listingOf(simulator, `/organizations?containing.account=${id}`)).ids).toEqual([other]);
  expect(await change({ organization_id: null })).toBe(200);
  expect(accountAt(simulator)).toMatchObject({ organizationId: null });
  expect(await change({ refused: true })).toBe(200);
  expect((await listingOf(simulator, accountPath(id))).status).toBe(403);
  expect(await change({ removed: true })).toBe(200);
  expect((await listingOf(simulator, '/accounts')).ids).not.toContain(id);
  expect((await listingOf(simulator, `/accounts/${id}`)).status).toBe(403);
  for (const bad of [{ name: 1 }, { refused: 'x' }, { organization_id: 1 }]) {
    expect({ bad, status: await change(bad, other ?? '') }).toEqual({ bad, status: 400 });
  }
  expect(await change({ name: 'x' }, 'none')).toBe(400);
  expect(await change({ organization_id: 'none' }, accountAt(simulator).id)).toBe(400);
});

import { expect, test } from 'vitest';
import { auditPage, get, organizationAt } from '../simulated-cloudflare.ts';
import { accountAt, accountPage, sdk, simulateAccounts, window } from './simulated-accounts.ts';

test('accounts have logs of their own, whose totals are as asked for', async () => {
  const simulator = await simulateAccounts({ entries: 100, accountEntries: 1000 });
  const { organizations, accounts, entries } = simulator.summary();
  const sum = (list: readonly { entries: number }[]): number => list.reduce((all, one) => all + one.entries, 0);
  expect([sum(organizations), sum(accounts), entries]).toEqual([100, 1000, 1100]);
  const kinds = Map.groupBy(simulator.truth(), ({ sourceKind }) => sourceKind);
  expect([kinds.get('organization')?.length, kinds.get('account')?.length]).toEqual([100, 1000]);
  expect([...simulator.truth({ kind: 'account' })]).toHaveLength(1000);
});

test('entries of accounts: an account, zones, every scope, sign-ins, and actors that are no people', async () => {
  const world = { organizations: 1, accounts: 1, standaloneAccounts: 0, accountEntries: 3000 };
  const simulator = await simulateAccounts(world);
  const { id, name, zoneIds } = accountAt(simulator);
  const { result } = await sdk(simulator).accounts.logs.audit.list({ account_id: id, ...window, limit: 1000 });
  expect(result.every(({ account }) => account?.id === id && account.name === name)).toBe(true);
  const scopes = new Set(result.map(({ resource }) => resource?.scope));
  expect(scopes).toEqual(new Set(['accounts', 'zone', 'user', 'memberships']));
  expect(new Set(result.map(({ zone }) => zone?.id))).toEqual(new Set([undefined, ...zoneIds]));
  expect(result.every(({ zone, resource }) => (zone !== undefined) === (resource?.scope === 'zone'))).toBe(true);
  const types = Map.groupBy(result, ({ actor }) => actor?.type);
  expect([...types.keys()].sort()).toEqual(['account', 'cloudflare_admin', 'delegated_service', 'system', 'user']);
  const ofSystem = types.get('system');
  expect(ofSystem?.every(({ actor, raw }) => actor?.email === undefined && raw?.uri === undefined)).toBe(true);
  const ofAccount = types.get('account');
  expect(ofAccount?.every(({ actor }) => actor?.id === id && actor.token_id !== undefined && !actor.email)).toBe(true);
  const logins = result.filter(({ action }) => action?.type === 'login');
  expect(new Set(logins.map(({ action }) => action?.description))).toEqual(new Set(['LOGIN', 'SSO_LOGIN']));
  for (const product of ['dns_records', 'zones', 'workers', 'access', 'gateway']) {
    expect(result.map(({ resource }) => resource?.product)).toContain(product);
  }
});

test('user entries stand in several accounts under one id, apart from the account with the same text', async () => {
  const simulator = await simulateAccounts({ accountEntries: 3000 });
  const truth = [...simulator.truth({ kind: 'account' })];
  const byId = Map.groupBy(truth, ({ id }) => id);
  const repeated = [...byId.values()].filter((copies) => copies.length > 1);
  expect(repeated.length).toBeGreaterThan(20);
  for (const copies of repeated) {
    expect(new Set(copies.map(({ sourceId }) => sourceId)).size).toBe(copies.length);
    const texts = copies.map((copy) => {
      const { account, ...rest } = JSON.parse(copy.raw());
      expect(account.id).toBe(copy.sourceId);
      expect(['user', 'memberships']).toContain(rest.resource.scope);
      return JSON.stringify(rest);
    });
    expect(new Set(texts).size).toBe(1);
  }
  const others = truth.filter(({ raw }) => !/"scope":"(user|memberships)"/.test(raw()));
  expect(new Set(others.map(({ sourceId, id }) => `${sourceId} ${id}`)).size).toBe(others.length);
});

test('generated: entries of one account, and user entries of those that are named', async () => {
  const simulator = await simulateAccounts({ entries: 0 });
  const ids = [0, 3, 9].map((n) => accountAt(simulator, n).id);
  const post = (body: object) =>
    fetch(`${simulator.controlUrl}/entries`, { method: 'POST', body: JSON.stringify(body) });
  await post({ account_id: ids[0], count: 4 });
  await post({ account_ids: ids, count: 2, action_time: '2026-05-01T00:00:00Z' });
  await post({ account_id: ids[0], entries: ['{"id":"x","action":{"time":"2026-06-01T00:00:00Z"}}'] });
  expect(simulator.summary().accounts.map(({ entries }) => entries)).toEqual([7, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0]);
  const copies = (await accountPage(simulator, ids[0] ?? '')).result.slice(0, 2).map((entry) => entry.id);
  for (const id of ids.slice(1)) {
    expect((await accountPage(simulator, id)).result.map((entry) => entry.id)).toEqual(copies);
  }
  expect((await post({ account_id: 'none', count: 1 })).status).toBe(400);
  expect((await post({ account_ids: ['none'], count: 1 })).status).toBe(400);
});

test('a renamed account has its new name in later entries alone', async () => {
  const simulator = await simulateAccounts({ accountEntries: 200 });
  const { id, name } = accountAt(simulator);
  simulator.changeAccount(id, { name: 'Other' });
  simulator.generate({ kind: 'account', id }, 3);
  const names = (await accountPage(simulator, id)).result.map(({ account }) => account.name);
  expect(names.slice(-3)).toEqual(['Other', 'Other', 'Other']);
  expect(new Set(names.slice(0, -3))).toEqual(new Set([name]));
});

test('product_category: repeatable, in any letter case, united with resource_product; an unknown one is 400', async () => {
  const simulator = await simulateAccounts({ accountEntries: 2000 });
  const { id } = accountAt(simulator);
  const client = sdk(simulator);
  const products = async (more: object): Promise<string[]> => {
    const page = await client.accounts.logs.audit.list({ account_id: id, ...window, limit: 1000, ...more });
    return [...new Set(page.result.map(({ resource }) => resource?.product ?? ''))].sort();
  };
  expect(await products({ product_category: ['ZeroTrust'] })).toEqual(['access', 'gateway']);
  expect(await products({ product_category: ['zerotrust', 'dns'] })).toEqual(['access', 'dns_records', 'gateway']);
  const united = await products({ product_category: ['dns'], resource_product: ['workers'] });
  expect(united).toEqual(['dns_records', 'workers']);
  await expect(products({ product_category: ['none'] })).rejects.toMatchObject({ status: 400 });
  const categories = [];
  for await (const one of client.accounts.logs.audit.productCategories({ account_id: id })) categories.push(one);
  const known = categories.flatMap((category) => category.products?.map(({ value }) => value) ?? []);
  expect(categories.find(({ value }) => value === 'zerotrust')).toMatchObject({ label: 'Zero Trust' });
  for (const product of await products({})) expect(known).toContain(product);
});

test('history: by the URI, by product and type, and not found', async () => {
  const simulator = await simulateAccounts({ accountEntries: 1500, entries: 200 });
  const { id: account_id } = accountAt(simulator);
  const client = sdk(simulator);
  const all = (await accountPage(simulator, account_id)).result;
  const read = async (entry: Entry, more = '') => {
    const { status, text } = await get(simulator, historyPath(account_id, entry) + more);
    return { status, body: JSON.parse(text) };
  };
  const zone = all.find(({ raw }) => /^\/zones\/\w+\/dns_records$/.test(raw.uri));
  const exact = await read(zone, '&limit=1000&direction=asc');
  expect(exact.body).toMatchObject({ errors: [], messages: [], success: true });
  const same = all.filter(({ raw }) => raw.uri === zone.raw.uri);
  expect(exact.body.result).toEqual(same);
  expect(exact.body.result_info).toEqual({ count: same.length, history_status: 'exact' });
  const system = all.find(({ actor }) => actor.type === 'system');
  const likely = await read(system, '&limit=1000');
  expect(likely.body.result_info).toMatchObject({ history_status: 'approximate' });
  const { product, type } = system.resource;
  const alike = all.filter(({ resource }) => resource.product === product && resource.type === type);
  expect(likely.body.result).toEqual(alike.toReversed());
  const { audit } = client.accounts.logs;
  const typed = await audit.history(zone.id, { account_id, action_time: zone.action.time, ...window });
  expect(typed[0]?.id).toBe(same.at(-1).id);
  const missing = await read({ ...zone, id: '0'.repeat(32) });
  expect(missing).toMatchObject({ status: 404, body: { result_info: { history_status: 'unavailable' } } });
  const [own] = (await auditPage(simulator)).result;
  const place = { organization_id: organizationAt(simulator), action_time: own.action.time, ...window };
  const ofOrganization = await client.organizations.logs.audit.history(own.id, place);
  expect(ofOrganization.map((entry) => entry.id)).toContain(own.id);
});

type Entry = { readonly id: string; readonly action: { readonly time: string } };

function historyPath(accountId: string, { id, action }: Entry): string {
  const query = new URLSearchParams({ action_time: action.time, ...window });
  return `/accounts/${accountId}/logs/audit/${id}/history?${query}`;
}

import Cloudflare from 'cloudflare';
import { expect, test } from 'vitest';
import type { Simulator } from '../../../src/simulator/simulator-interface.ts';
import { organizationAt, simulate, startMs } from './simulated-cloudflare.ts';

// The official SDK as the client: what it can use is what Cloudflare's own API looks like.

const window = { since: '2026-01-01', before: '2027-01-01' };

function sdk(simulator: Simulator): Cloudflare {
  return new Cloudflare({ baseURL: simulator.baseUrl, apiToken: 'test', maxRetries: 0 });
}

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
  const good = new Cloudflare({
    baseURL: simulator.baseUrl,
    apiToken: null,
    apiEmail: 'a@example.com',
    apiKey: 'secret',
  });
  expect((await good.organizations.list()).result).toHaveLength(1);
  const bad = new Cloudflare({ baseURL: simulator.baseUrl, apiToken: null, apiEmail: 'a@example.com', apiKey: 'x' });
  await expect(bad.organizations.list()).rejects.toMatchObject({ status: 403, errors: [{ code: 10000 }] });
});

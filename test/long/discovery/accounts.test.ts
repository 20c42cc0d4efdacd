import { describe, expect, test } from 'vitest';
import { withStates } from '../../../src/status/source-state.ts';
import { countGoneAccounts, readStatus } from '../../../src/status/status.sql.ts';
import { servedIds } from '../../support/sources/served-logs.ts';
import { openRunning } from '../../support/sync/running-world.ts';
import { auditRequests, openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe('accounts are found', () => {
  test('by the listing of each organization and by that of the credential; each is read once and knows its organization', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    const { accounts } = world.simulator.summary();
    expect(accounts).toHaveLength(7);
    const known = await query<{ id: string; organization_id: string | null; name: string }>(
      world,
      'select id, organization_id, name from accounts order by id',
    );
    const expected = accounts.map(({ id, organizationId, name }) => ({ id, organization_id: organizationId, name }));
    expect(known).toEqual(expected.sort((a, b) => (a.id < b.id ? -1 : 1)));
    const sources = await query(world, "select id from sources where kind = 'account' and organization_id is null");
    expect(sources).toHaveLength(7);
    await world.expectExactTruth();
  });

  test('all of them by one sync, however many listings there are', async () => {
    await using world = await openRunning({ organizations: 45, entries: 90, accounts: 1, accountEntries: 90 }, env);
    expect(await world.sync()).toMatchObject({ sources: 90, failed: [] });
    await world.expectExactTruth();
  });

  test('one that a process found which ended before it had a source has it after the next listing', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    await query(world, "insert into accounts (id, name) values (repeat('f', 32), 'found')");
    await world.setClocks(LATER_MS);
    await world.sync();
    expect(await query(world, "select from sources where id = repeat('f', 32)")).toHaveLength(1);
  });

  test('not at all, and nothing is asked about them, if only organizations are read', async () => {
    await using world = await openWorld(options);
    await using run = await world.open({ ORGTRAIL_SOURCES: 'organizations' });
    await run.sync();
    expect(await query(world, 'select from accounts')).toEqual([]);
    expect(world.simulator.requests().filter(({ path }) => path.includes('accounts'))).toEqual([]);
  });

  test('without a setting, and the log says once what that means', async () => {
    await using world = await openRunning(options);
    await world.sync();
    const accounts = await query(world, 'select from accounts');
    expect(accounts.length).toBeGreaterThan(0);
    await world.cycle();
    const lines = world
      .log()
      .split('\n')
      .filter((line) => line.includes('the audit logs of accounts are read from now on'));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { accounts: accounts.length, requestsAtLeast: accounts.length },
    ]);
  });

  test('those of the organizations that are named, or those that are named themselves, and no others', async () => {
    await using world = await openWorld(options, env);
    const { organizations, accounts } = world.simulator.summary();
    const [first = { id: '' }] = organizations;
    const read = async (more: Readonly<Record<string, string>>) => {
      await using run = await world.open(more);
      await run.sync();
      const rows = await query<{ source_id: string }>(
        world,
        "select distinct source_id from audit_events where source_kind = 'account' order by 1",
      );
      return rows.map((row) => row.source_id);
    };
    const ofFirst = accounts.filter(({ organizationId }) => organizationId === first.id).map(({ id }) => id);
    expect(await read({ ORGTRAIL_ORGANIZATIONS: first.id })).toEqual(ofFirst.toSorted());
    const alone = accounts.find(({ organizationId }) => organizationId === null)?.id ?? '';
    expect(await read({ ORGTRAIL_ORGANIZATIONS: first.id, ORGTRAIL_ACCOUNTS: alone })).toEqual(
      [...ofFirst, alone].toSorted(),
    );
  });

  test('by GET /accounts alone if organizations refuse theirs; the refusal is said once, and retried after an hour', async () => {
    await using world = await openRunning({ ...options, keysOnly: true }, env);
    await world.sync();
    await world.sync();
    const rows = await query<{ scope: string; last_failure: string | null; rest: number }>(
      world,
      `select scope, last_failure, extract(epoch from next_at - last_attempt_at)::integer as rest
       from account_listings where scope like 'organization:%'`,
    );
    expect(rows.length).toBe(3);
    for (const row of rows) expect(row).toMatchObject({ last_failure: 'refused', rest: 3_600 });
    expect(world.log().match(/listing accounts failed/g)).toHaveLength(3);
    expect(world.simulator.requests().filter(({ path }) => /organizations\/\w+\/accounts/.test(path))).toHaveLength(3);
    await world.expectExactTruth();
  });

  test('that the log of an organization tells of, before its listing is due', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    // The history may end with an entry about accounts, which makes the listing due once.
    await world.sync();
    const [organization = { id: '' }] = world.simulator.summary().organizations;
    const listed = () =>
      world.simulator.requests().filter(({ path }) => path.includes(`organizations/${organization.id}/accounts`))
        .length;
    const before = listed();
    await world.sync();
    expect(listed()).toBe(before);
    const told = {
      id: 'tells of an account',
      action: { time: new Date().toISOString(), type: 'create', result: 'success' },
      resource: { product: 'accounts', type: 'account' },
    };
    world.simulator.append(organization.id, [JSON.stringify(told)]);
    await world.setClocks(LATER_MS);
    // The first one stores the entry, the second one lists.
    await world.sync();
    await world.sync();
    expect(listed()).toBe(before + 1);
  });
});

describe('an account', () => {
  test('moves: that is noted, its source stays, and later events are of its new organization', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    const { accounts, organizations } = world.simulator.summary();
    const moving = accounts.find(({ organizationId }) => organizationId === organizations[0]?.id);
    const to = organizations[1]?.id ?? '';
    const id = moving?.id ?? '';
    world.simulator.changeAccount(id, { organizationId: to });
    await endPauses(world);
    await world.sync();
    expect(await changes(world, id)).toEqual(['appeared', 'moved']);
    world.simulator.generate({ kind: 'account', id }, 3);
    await world.setClocks(LATER_MS);
    await world.sync();
    const rows = await query<{ organization_id: string; events: number }>(
      world,
      `select organization_id, count(*)::integer as events from audit_events where source_kind = 'account' and source_id = $1
       group by 1 order by max(position)`,
      [id],
    );
    expect(rows.map((row) => row.organization_id)).toEqual([organizations[0]?.id, to]);
    expect(rows[1]?.events).toBe(3);
    expect(await stored(world, id)).toEqual(servedIds(world.simulator, 'account', id));
  });

  test('refuses: it alone is refused, and is restored when it answers again', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    const [{ id } = { id: '' }] = world.simulator.summary().accounts;
    world.simulator.setRefused({ kind: 'account', id }, true);
    world.simulator.generate({ kind: 'account', id }, 2);
    // Within one second of the first sync there would be nothing to ask for.
    await world.setClocks(LATER_MS);
    await world.sync();
    const refused = await query<{ id: string }>(world, "select id from sources where access = 'refused'");
    expect(refused.map((row) => row.id)).toEqual([id]);
    expect(await query(world, "select from organizations where state <> 'active'")).toEqual([]);
    world.simulator.setRefused({ kind: 'account', id }, false);
    await world.setClocks(2 * LATER_MS);
    await world.endRests();
    await world.sync();
    expect(await changes(world, id)).toEqual(['appeared', 'refused', 'restored']);
    await world.expectExactTruth();
  });

  test('vanishes: gone after two complete listings of all that showed it, since its log goes on refusing; its events stay', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    const [gone] = world.simulator.summary().accounts;
    const { id, name, organizationId } = gone ?? { id: '', name: '', organizationId: '' };
    const before = await stored(world, id);
    world.simulator.removeAccount(id);
    const states = [];
    for (let listing = 0; listing < 4; listing += 1) {
      await endPauses(world);
      await world.endRests();
      await world.setClocks((listing + 1) * (LATER_MS / 3));
      await world.sync();
      const [account] = await query<{ state: string }>(world, 'select state from accounts where id = $1', [id]);
      states.push(account?.state);
      if (listing === 2) await world.ageRefusals();
    }
    expect(states).toEqual(['active', 'active', 'active', 'gone']);
    expect(await changes(world, id)).toEqual(['appeared', 'refused', 'gone']);
    const { pool } = world.database;
    expect(await countGoneAccounts(pool)).toEqual({ gone: 1, vanished: 1 });
    const { vanished } = withStates(await readStatus(pool), world.config);
    expect(vanished).toMatchObject([{ accountId: id, accountName: name, organizationId }]);
    expect((await readStatus(pool, { kinds: ['organization'] })).gone).toEqual([]);
    expect((await readStatus(pool, { organizationIds: [organizationId ?? ''] })).gone).toHaveLength(1);
    expect((await readStatus(pool, { organizationIds: ['another'] })).gone).toEqual([]);
    await query(world, "update account_changes set changed_at = changed_at - interval '25 hours'");
    expect(await countGoneAccounts(pool), 'a day later').toEqual({ gone: 1, vanished: 0 });
    expect(await stored(world, id)).toEqual(before);
  });

  test('whose id is that of an organization: both logs are complete, and neither is in the other', async () => {
    await using world = await openRunning(options, env);
    await world.sync();
    const { accounts, organizations } = world.simulator.summary();
    const shared = accounts.filter(({ id }) => organizations.some((organization) => organization.id === id));
    expect(shared).toHaveLength(1);
    const [{ id } = { id: '' }] = shared;
    const logs = ['account', 'organization'] as const;
    for (const kind of logs) expect(await stored(world, id, kind)).toEqual(servedIds(world.simulator, kind, id));
    const [ofAccount = [], ofOrganization = []] = await Promise.all(logs.map((kind) => stored(world, id, kind)));
    expect(Math.min(ofAccount.length, ofOrganization.length)).toBeGreaterThan(0);
    expect(ofAccount.filter((entry) => ofOrganization.includes(entry))).toEqual([]);
    // One that refuses is not the other one.
    world.simulator.setRefused({ kind: 'account', id }, true);
    for (const kind of logs) world.simulator.generate({ kind, id }, 2);
    await world.setClocks(LATER_MS);
    await world.sync();
    expect(await query(world, "select kind, id from sources where access = 'refused'")).toEqual([
      { kind: 'account', id },
    ]);
    expect(await query(world, "select from organizations where state <> 'active'")).toEqual([]);
    expect(await stored(world, id, 'organization')).toEqual(servedIds(world.simulator, 'organization', id));
    expect(await stored(world, id)).toEqual(ofAccount);
    world.simulator.setRefused({ kind: 'account', id }, false);
    await world.endRests();
    await world.sync();
    await world.expectExactTruth();
  });
});

test('a log of an account begins when Cloudflare began to keep it', async () => {
  await using world = await openRunning(options, { ...env, ORGTRAIL_HISTORY: '548d' });
  await world.sync();
  const accounts = world.simulator
    .requests()
    .filter(({ path }) => /\/accounts\/\w+\/logs\/audit/.test(path))
    .map(({ path }) => Date.parse(new URL(path, 'http://localhost').searchParams.get('since') ?? ''));
  expect(Math.min(...accounts)).toBeGreaterThan(Date.UTC(2026, 2, 9));
  const organizations = auditRequests(world.simulator).map(({ sinceMs }) => sinceMs);
  expect(Math.min(...organizations)).toBeLessThan(Date.now() - 547 * 86_400_000);
});

describe('only accounts are read', () => {
  const alone = { ORGTRAIL_SOURCES: 'accounts' };

  test('by the token of one account: all of that account, and organizations are asked for once', async () => {
    await using world = await openRunning(
      { ...options, credentials: [{ token: 'cfat_of-one', account: 2 }] },
      { ...alone, CLOUDFLARE_API_TOKEN: 'cfat_of-one' },
    );
    const { id } = world.simulator.summary().accounts[2] ?? { id: '' };
    expect(await world.sync()).toMatchObject({ sources: 1, failed: [], discoveryError: undefined });
    await world.sync();
    expect(await stored(world, id)).toEqual(servedIds(world.simulator, 'account', id));
    const asked = world.simulator.requests().filter(({ path }) => /\/organizations(\?|$)/.test(path));
    expect(asked.map(({ status }) => status)).toEqual([403]);
  });

  test('of all organizations, whose own logs are not read', async () => {
    await using world = await openRunning(options, alone);
    expect(await world.sync()).toMatchObject({ sources: 7, failed: [] });
    expect(auditRequests(world.simulator)).toEqual([]);
    for (const { id } of world.simulator.summary().accounts) {
      expect(await stored(world, id)).toEqual(servedIds(world.simulator, 'account', id));
    }
  });

  test('a listing that fails otherwise is a failure', async () => {
    await using world = await openRunning({ ...options, faults: { server_error: { probability: 1 } } }, alone);
    await expect(world.sync()).rejects.toThrow(/answered with 50\d/);
  });
});

const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };
/** What is as young as the latest second cannot be claimed yet. */
const LATER_MS = 30_000;
const options = { accounts: 2, standaloneAccounts: 1, accountEntries: 300 };

const query = async <T extends object>(world: SyncWorld, sql: string, parameters: readonly unknown[] = []) => {
  const { rows } = await world.database.pool.query<T>(sql, [...parameters]);
  return rows;
};

/** What became of each account, in order. */
const changes = async (world: SyncWorld, accountId: string): Promise<readonly string[]> => {
  const rows = await query<{ change: string }>(
    world,
    'select change from account_changes where account_id = $1 order by id',
    [accountId],
  );
  return rows.map(({ change }) => change);
};

/** All listings of accounts are due again. */
const endPauses = (world: SyncWorld) => query(world, 'update account_listings set next_at = null');

const stored = async (world: SyncWorld, id: string, kind = 'account'): Promise<readonly string[]> => {
  const rows = await query<{ id: string }>(
    world,
    'select id from audit_events where source_kind = $1 and source_id = $2',
    [kind, id],
  );
  return rows.map((row) => row.id).sort();
};

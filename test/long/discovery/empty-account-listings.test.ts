import { describe, expect, test } from 'vitest';
import { discoverInTurn } from '../../../src/ingest/sync/discovery/discover.ts';
import { discoverAccounts } from '../../../src/ingest/sync/discovery/discover-accounts.ts';
import { type CredentialsWorld, openCredentialsWorld } from '../../support/sync/credentials-world.ts';
import type { SyncRun } from '../../support/sync/sync-world.ts';

describe('of several credentials', () => {
  test('accounts of an organization are listed with the next one if the first one shows none', async () => {
    await using world = await openCredentialsWorld(world2, both);
    world.simulator.faults.set({ empty_account_listing: { operation: 'organization_accounts', credential: alice } });
    await using run = await world.start({ ORGTRAIL_ACCOUNTS: 'organizations' });
    await discoverOnce(run);
    expect(await accountsOf(world)).toHaveLength(ALL);
    expect(await run.sync()).toMatchObject({ failed: [] });
    await world.expectExactTruth();
  });
});

describe('an empty listing is not believed until it has come again', () => {
  test.each(['accounts', 'organization_accounts'] as const)('%s: it is listed again soon', async (operation) => {
    const scope = operation === 'accounts' ? 'credential:%' : 'organization:%';
    await using world = await openCredentialsWorld(world2, { a: both.a }, {});
    world.simulator.faults.set({ empty_account_listing: 1 });
    await using run = await world.start(operation === 'accounts' ? {} : { ORGTRAIL_ACCOUNTS: 'organizations' });
    await discoverOnce(run);
    expect(await accountsOf(world)).toEqual([]);
    expect(run.log()).toContain('listings of accounts are empty');
    world.simulator.faults.set({ empty_account_listing: null });
    await passTwoMinutes(world);
    await discoverOnce(run);
    const listed = await world.query('select from account_listings where scope like $1 and accounts > 0', [scope]);
    expect(listed).toHaveLength(operation === 'accounts' ? 1 : 2);
    expect(await accountsOf(world)).toHaveLength(ALL);
    expect(await run.sync()).toMatchObject({ failed: [] });
    await world.expectExactTruth();
  });

  test('a command lists once more at once', async () => {
    await using world = await openCredentialsWorld(world2, { a: both.a }, {});
    world.simulator.faults.set({ empty_account_listing: { operation: 'accounts', count: 1 } });
    await using run = await world.start();
    await run.sync();
    const listed = await world.query("select accounts from account_listings where scope like 'credential:%'");
    expect(listed).toEqual([{ accounts: ALL }]);
    await world.expectExactTruth();
  });

  test('what was known is missed by the second one, and gone only if its log refuses as well', async () => {
    await using world = await openCredentialsWorld(world2, { a: both.a }, {});
    await using run = await world.start();
    await run.sync();
    const missed = () => world.query<{ missed: number }>('select distinct missed from account_organizations');
    const again = async () => {
      await world.query('update account_listings set next_at = null');
      await discoverOnce(run);
    };
    world.simulator.faults.set({ empty_account_listing: 1 });
    await again();
    expect(await missed(), 'not by the first one').toEqual([{ missed: 0 }]);
    for (const expected of [1, 2, 3]) {
      await again();
      expect(await missed()).toEqual([{ missed: expected }]);
    }
    expect(await accountsOf(world)).toHaveLength(ALL);
    world.simulator.faults.set({ empty_account_listing: null });
    await again();
    expect(await missed()).toEqual([{ missed: 0 }]);
  });
});

// A listing of accounts that is answered (200), and is empty although there are accounts.

const [alice, bob] = ['alice@example.com', 'bob@example.com'];
const world2 = {
  organizations: 2,
  entries: 20,
  accounts: 2,
  accountEntries: 40,
  subOrganizations: false,
  credentials: [
    { token: 'token-of-alice', user: alice },
    { email: bob, key: 'key-of-bob' },
  ],
} as const;
const both = { a: { token: 'token-of-alice' }, b: { email: bob, key: 'key-of-bob' } };
const ALL = 4;

/** One discovery of the daemon. */
const discoverOnce = async (run: SyncRun) => {
  const { signal } = new AbortController();
  await discoverInTurn(run.app.sync, 0, signal);
  await discoverAccounts(run.app.sync, signal, { forMs: 30_000 });
};

/** What rests for two minutes at most is due. */
const passTwoMinutes = (world: CredentialsWorld) =>
  world.query("update account_listings set next_at = next_at - interval '2 minutes'");

const accountsOf = (world: CredentialsWorld) => world.query("select from accounts where state <> 'gone'");

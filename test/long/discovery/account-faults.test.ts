import { describe, expect, test } from 'vitest';
import { healthOf } from '../../../src/http/health.ts';
import { readCauses } from '../../../src/status/causes.sql.ts';
import { withStates } from '../../../src/status/source-state.ts';
import { readStatus } from '../../../src/status/status.sql.ts';
import { openRunning, type RunningWorld } from '../../support/sync/running-world.ts';
import type { SyncWorld } from '../../support/sync/sync-world.ts';

describe('listings of accounts that misbehave end nothing, and all is read once they are well', () => {
  test.each([
    ['the pages of GET /accounts shift on', { shifted_account_page: { by: 3 } }],
    ['the pages of GET /accounts shift back', { shifted_account_page: { by: -3 } }],
    ['accounts are missing from pages at random', { missing_account: 0.2 }],
    ['GET /accounts is refused', { account_listing_403: { operation: 'accounts' } }],
    ['both listings are refused', { account_listing_403: 1 }],
  ] as const)('%s', async (_, faults) => {
    await using world = await openRunning(options);
    await again(world);
    expect(await states(world)).toEqual({ active: 54 });
    world.simulator.faults.set(faults);
    for (const { id } of world.simulator.summary().accounts) world.simulator.generate({ kind: 'account', id }, 2);
    await world.setClocks(LATER_MS);
    await again(world, 4);
    expect(await states(world), 'while it misbehaves').toEqual({ active: 54 });
    await world.expectExactTruth();
  });

  test.each([
    ['the pages of GET /accounts shift on', { shifted_account_page: { by: 3 } }, 'that it counts', 'incomplete'],
    ['accounts are missing from pages at random', { missing_account: 0.2 }, 'that it counts', 'incomplete'],
    ['both listings are refused', { account_listing_403: 1 }, 'no credential may list accounts', 'refused'],
    [
      'one of both is refused, which is no failure',
      { account_listing_403: { operation: 'accounts' } },
      undefined,
      undefined,
    ],
  ] as const)('from the first look on: %s', async (_, faults, reason, shown) => {
    await using world = await openRunning({ ...options, faults });
    const { accountsError } = await again(world, 2);
    if (reason === undefined) expect(accountsError).toBeUndefined();
    else expect(accountsError?.message).toContain(reason);
    expect((await states(world))['gone']).toBeUndefined();
    expect(await troubleShown(world)).toBe(shown);
    world.simulator.faults.set({ preset: 'none' });
    expect((await again(world)).accountsError).toBeUndefined();
    expect(await troubleShown(world)).toBeUndefined();
    expect(await states(world)).toEqual({ active: 54 });
    await world.expectExactTruth();
  });
});

describe('access to an account', () => {
  test('that is lost for a time: gone, its events kept; restored with what happened meanwhile', async () => {
    await using world = await openRunning(options);
    await again(world);
    const id = world.simulator.summary().accounts[0]?.id ?? '';
    world.simulator.faults.set({ lost_access: { accountId: id } });
    // Its log is asked for only if there is time that has not been read.
    await world.setClocks(LATER_MS / 2);
    await again(world, 3);
    expect(await states(world), 'refused for a moment').toEqual({ active: 54 });
    await world.ageRefusals();
    await again(world);
    expect(await states(world)).toEqual({ active: 53, gone: 1 });
    world.simulator.generate({ kind: 'account', id }, 7);
    await world.setClocks(LATER_MS);
    world.simulator.faults.set({ lost_access: null });
    await again(world, 2);
    expect((await changesOf(world, id)).at(-1)).toBe('restored');
    expect(await states(world)).toEqual({ active: 54 });
    await world.expectExactTruth();
  });
});

/** 12 accounts in three organizations and 42 of none: two pages of GET /accounts. */
const options = { accounts: 4, standaloneAccounts: 42, accountEntries: 216, entries: 90 };
const LATER_MS = 30_000;

const states = async (world: SyncWorld): Promise<Readonly<Record<string, number>>> => {
  const { rows } = await world.database.pool.query<{ state: string; count: number }>(
    'select state, count(*)::integer as count from accounts group by 1',
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
};

const changesOf = async (world: SyncWorld, id: string): Promise<readonly string[]> => {
  const { rows } = await world.database.pool.query<{ change: string }>(
    'select change from account_changes where account_id = $1 order by id',
    [id],
  );
  return rows.map(({ change }) => change);
};

/** Every listing of accounts is due again, nothing rests, and time has gone on. */
const again = async (world: RunningWorld, rounds = 1) => {
  let report = await once(world);
  for (let round = 1; round < rounds; round += 1) report = await once(world);
  return report;
};

const once = async (world: RunningWorld) => {
  await world.database.pool.query('update account_listings set next_at = null');
  await world.endRests();
  return await world.sync();
};

/** What status and health alike say of the listings of accounts. */
const troubleShown = async (world: RunningWorld): Promise<'refused' | 'incomplete' | undefined> => {
  const { pool } = world.database;
  const status = withStates(await readStatus(pool), world.config);
  const { accountsRefused, shortListings } = status.discovery;
  const causes = await readCauses(pool, world.config, status, [], {});
  const health = healthOf(status, [], causes, { tickMs: world.config.tickMs });
  expect(health.discovery.accounts_refused).toBe(accountsRefused);
  expect(health.status === 'refused').toBe(accountsRefused !== undefined);
  expect(health.discovery.state === 'incomplete').toBe(shortListings.length > 0);
  const { discovery } = await readStatus(pool, { kinds: ['organization'] });
  expect(discovery).toMatchObject({ shortListings: [] });
  expect(discovery).not.toHaveProperty('accountsRefused');
  const [trouble] = health.discovery.troubles ?? [];
  if (trouble?.startsWith('incomplete: ') === true) {
    expect(trouble).toMatch(/named \d+ accounts of \d+ .+ ORGTRAIL_ACCOUNTS$/);
    return 'incomplete';
  }
  return accountsRefused === undefined ? undefined : 'refused';
};

import { describe, expect, test } from 'vitest';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { startDistortedApi } from '../../support/network/distorted-api.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored } from '../../support/sync/claims.ts';

/** As many listings as make an organization gone whose log refuses. */
const MORE_LISTINGS = 4;

const listings = ({ simulator }: LeastPrivilegedWorld): number =>
  simulator.requests().filter(({ path }) => /\/organizations(\?|$)/.test(path)).length;

const expectAllActive = async (world: LeastPrivilegedWorld): Promise<void> => {
  const { rows } = await world.database.pool.query(
    'select state, count(*)::integer as n from organizations group by 1',
  );
  expect(rows).toEqual([{ state: 'active', n: world.ids.length }]);
  expect(await world.number("select count(*) from organization_changes where change = 'gone'")).toBe(0);
};

describe.concurrent('D7: the listing', () => {
  test('breaks on its second page, at the first start: the organizations of the first are pulled', async () => {
    await using world = await openLeastPrivileged({
      organizations: 5,
      entries: 500,
      subOrganizations: false,
      faults: { broken_listing_page: { page: 2 } },
    });
    const rewrite = ({ pathname, searchParams }: URL) => {
      if (pathname.endsWith('/organizations')) searchParams.set('page_size', '2');
    };
    await using front = await startDistortedApi(world.simulator.baseUrl, { rewrite });
    await using daemon = await world.run({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await world.untilStored(200);
    expect(world.simulator.faults.fired().broken_listing_page).toBeGreaterThan(0);
    const { discovery } = JSON.parse((await daemon.get('/healthz')).text);
    expect(discovery, 'it says that others may be missing').toMatchObject({ state: 'behind' });
    expect(await world.stored()).toBe(200);
    world.simulator.faults.set({ broken_listing_page: null });
    await world.untilAllStored();
    await expectAllActive(world);
    expect(await daemon.stop()).toBe(143);
    await world.expectExactTruth();
  });

  test.each([
    ['empty', { empty_listing: {} }],
    ['partial', { partial_listing: { firstOrganizations: 2 } }],
  ])('is %s, while all audit logs answer: all are pulled on, and none is gone', async (_what, faults) => {
    await using world = await openLeastPrivileged({ organizations: 6, entries: 300 });
    await using daemon = await world.run();
    await world.untilAllStored();
    world.simulator.faults.set(faults);
    const before = listings(world);
    await until('more listings', async () => listings(world) >= before + MORE_LISTINGS);
    world.generate(5);
    await world.untilAllStored();
    await expectAllActive(world);
    const health = JSON.parse((await daemon.get('/healthz')).text);
    expect(health.sources).toHaveLength(6);
    expect(await daemon.stop()).toBe(143);
    await world.expectExactTruth();
    await expectClaimedImpliesStored(world.database.pool, world.simulator);
  });

  test('is away with 503 across a restart: what is known is pulled on', async () => {
    await using world = await openLeastPrivileged({ organizations: 5, entries: 300 });
    const before = await world.run();
    await world.untilAllStored();
    expect(await before.stop()).toBe(143);
    world.simulator.faults.set({ listing_away: { status: 503 } });
    world.generate(5);
    await using after = await world.run();
    await world.untilAllStored();
    world.generate(5);
    await world.untilAllStored();
    expect(world.simulator.faults.fired().listing_away).toBeGreaterThan(0);
    expect(await after.stop()).toBe(143);
    await expectAllActive(world);
    await world.expectExactTruth();
  });
});

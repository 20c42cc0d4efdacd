import { describe, expect, test } from 'vitest';
import { openWorld } from '../../support/sync/sync-world.ts';

describe('organizations below others', () => {
  test('are found where the listing does not show them, are not gone for that, and are asked for once a day', async () => {
    await using world = await openWorld({ organizations: 12, entries: 600, listsSubOrganizations: false });
    const below = world.simulator.summary().organizations.filter(({ parentId }) => parentId !== null);
    expect(below.length, 'the simulator has some').toBeGreaterThan(0);
    await using run = await world.open();
    expect(await run.sync({ retries: 3 })).toMatchObject({ sources: 12, failed: [] });
    await world.expectExactTruth();

    const asked = world.simulator.requestCount;
    for (let cycle = 0; cycle < 3; cycle += 1) await run.cycle();
    await run.sync();
    const paths = world.simulator
      .requests()
      .slice(asked)
      .map(({ path }) => path);
    expect(listings(paths).filter((path) => path.includes('parent.id'))).toEqual([]);
    const { rows } = await world.database.pool.query(
      `select count(*)::integer as count from organizations where listed_under is not null and state = 'active'`,
    );
    expect(rows).toEqual([{ count: below.length }]);
  });

  test('are not asked for where the listing shows some', async () => {
    await using world = await openWorld({ organizations: 12, entries: 120 });
    await using run = await world.open();
    await run.sync();
    expect(listings(world.simulator.requests().map(({ path }) => path)).length).toBeGreaterThan(0);
    expect(world.simulator.requests().filter(({ path }) => path.includes('parent.id'))).toEqual([]);
    await world.expectExactTruth();
  });
});

const listings = (paths: readonly string[]) => paths.filter((path) => /\/organizations\?/.test(path));

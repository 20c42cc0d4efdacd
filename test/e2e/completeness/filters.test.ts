import { describe, expect, test } from 'vitest';
import type { TrueEntry } from '../../../src/simulator/world/true-entry.ts';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored } from '../../support/sync/claims.ts';

const filtered = { ORGTRAIL_FILTERS: 'action_type.not=delete' };

/**
 * Walks of many small pages that take their time: a restart comes in the middle of them. Ticks are rare, so that the daemon that follows
 * finds the listing of the one before and lists no organizations itself.
 */
const openSlowWorld = (): Promise<LeastPrivilegedWorld> =>
  openLeastPrivileged(
    {
      organizations: 2,
      entries: 600,
      pageCap: 20,
      faults: { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs: 100 },
    },
    { ORGTRAIL_SCHEDULE: '0 * * * * *' },
  );

const isDelete = (entry: TrueEntry): boolean => JSON.parse(entry.raw()).action.type === 'delete';
/** `none` stands for no filters, any other hash for the one that these tests set. */
const passes = (filterHash: string, entry: TrueEntry): boolean => filterHash === 'none' || !isDelete(entry);

describe.concurrent('D3: another filter set', () => {
  test.each([2, 4, 7, 11, 16, 21, 26])(
    'a filter that is removed by a restart after request %i: nothing is claimed that was not read',
    async (requests) => {
      await using world = await openSlowWorld();
      const { simulator } = world;
      const daemon = await world.run(filtered);
      await until(`${requests} requests`, async () => simulator.requestCount >= requests);
      // Every second time as an operator does, else as a crash.
      daemon.process.child.kill(requests % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
      await daemon.process.ended;
      await expectClaimedImpliesStored(world.database.pool, simulator, passes);
      await using next = await world.run();
      await world.untilAllStored();
      expect(await next.stop()).toBe(143);
      expect([...simulator.truth()].filter(isDelete).length, 'that the filter would have hidden').toBeGreaterThan(10);
      await expectClaimedImpliesStored(world.database.pool, simulator, passes);
      await world.expectExactTruth();
    },
  );

  test('two replicas with different ones at the same time: each reads its own to the end, and nothing is lost under either', async () => {
    await using world = await openSlowWorld();
    await using one = await world.run(filtered);
    await using two = await world.run();
    await world.untilAllStored();
    const complete = `select count(distinct filter_hash) from coverage
      where pass = 0 and source_id = $1 and ranges @> tstzrange(to_timestamp($2) - interval '2 days 12 hours', to_timestamp($2))`;
    for (const id of world.ids) {
      await until(
        'both filter sets are read',
        async () => (await world.number(complete, [id, world.startMs / 1_000])) === 2,
      );
    }
    expect(await one.stop()).toBe(143);
    expect(await two.stop()).toBe(143);
    await expectClaimedImpliesStored(world.database.pool, world.simulator, passes);
    await world.expectExactTruth();
  });
});

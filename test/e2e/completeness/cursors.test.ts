import { describe, expect, test } from 'vitest';
import type { FaultPatch } from '../../../src/simulator/faults/fault-plan.ts';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { expectClaimedImpliesStored } from '../../support/sync/claims.ts';

/** Everything is stored, nothing is a hole, what comes into being meanwhile too; and what is claimed is stored. */
const expectComplete = async (world: LeastPrivilegedWorld): Promise<void> => {
  await using daemon = await world.run();
  await world.untilAllStored();
  world.generate(5);
  await world.untilAllStored();
  expect(await daemon.stop()).toBe(143);
  expect(await world.number('select count(*) from coverage_holes')).toBe(0);
  expect(await expectClaimedImpliesStored(world.database.pool, world.simulator)).toBeGreaterThan(0);
  await world.expectExactTruth();
};

describe.concurrent('D2: cursors that are dead', () => {
  test.each([400, 404, 410, 500])('every one, with %i: all is read, by windows of one page each', async (status) => {
    await using world = await openLeastPrivileged({
      organizations: 2,
      entries: 400,
      faults: { dead_cursor: { status } },
    });
    await expectComplete(world);
    expect(world.simulator.faults.fired().dead_cursor).toBeGreaterThan(1);
  });

  test.each([404, 410, 500])(
    'those of the first seconds, with %i, as after a restart of the API: the walk begins again',
    async (status) => {
      // Longer than a look at the table takes: the first 200 are seen while cursors of the others are still to come.
      const faults: FaultPatch = { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs: 300 };
      await using world = await openLeastPrivileged({ organizations: 2, entries: 1_200, faults });
      await using daemon = await world.run();
      await world.untilStored(200);
      const issuedBefore = world.simulator.summary().nowMs;
      world.simulator.faults.set({ slow_body: null, dead_cursor: { status, issuedBefore } });
      world.generate(5);
      await world.untilAllStored();
      expect(world.simulator.faults.fired().dead_cursor).toBeGreaterThan(0);
      expect(await daemon.stop()).toBe(143);
      await world.expectExactTruth();
      await expectClaimedImpliesStored(world.database.pool, world.simulator);
    },
  );
});

describe.concurrent('D9: cursors that go in a circle', () => {
  test.each([2, 30])('of %i pages: noticed, and all is read', async (pages) => {
    await using world = await openLeastPrivileged({
      organizations: 1,
      entries: 1_600,
      pageCap: 10,
      faults: { cursor_cycle: { pages } },
    });
    await expectComplete(world);
    expect(world.simulator.faults.fired().cursor_cycle).toBeGreaterThan(0);
    // A walk in a circle that is not noticed would ask without end.
    expect(world.simulator.requestCount).toBeLessThan(3_000);
  });
});

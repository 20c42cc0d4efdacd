import { expect, test } from 'vitest';
import { openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { expectClaimedImpliesStored } from '../../support/sync/claims.ts';

test.concurrent.each([
  ['half an hour', 30],
  ['ninety minutes', 90],
])(
  'D10: 3,500 entries of one millisecond %s ago, cursors refused: they are read, and what lies behind them',
  async (_what, minutes) => {
    await using world = await openLeastPrivileged({
      organizations: 2,
      entries: 200,
      pageCap: 1_000,
      faults: { dead_cursor: { status: 400 } },
    });
    const { simulator } = world;
    const [id = ''] = world.ids;
    const heapMs = world.startMs - minutes * 60_000;
    simulator.generate(id, 3_500, { actionTimeMs: heapMs });
    simulator.generate(id, 40, { actionTimeMs: heapMs - 40_000, spacingMs: 2_000 });
    await using daemon = await world.run();
    world.generate(5);
    await world.untilAllStored();
    world.generate(5);
    await world.untilAllStored();
    expect(await daemon.stop()).toBe(143);
    expect(await world.number('select count(*) from coverage_holes')).toBe(0);
    await expectClaimedImpliesStored(world.database.pool, simulator);
    await world.expectExactTruth();
  },
);

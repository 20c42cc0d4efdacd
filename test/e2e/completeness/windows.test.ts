import { describe, expect, test } from 'vitest';
import { openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { latenessOf, ticksUnasked } from '../../support/process/live-progress.ts';
import { expectClaimedImpliesStored } from '../../support/sync/claims.ts';

const dayMs = 86_400_000;

describe.concurrent('D1: the API refuses windows wider than 90 days', () => {
  test.each([400, 504])(
    'with %i: all history of 20 organizations is read, and their live tails do not wait for it',
    async (status) => {
      await using world = await openLeastPrivileged(
        {
          organizations: 20,
          entries: 1_000,
          historyMs: 545 * dayMs,
          liveRate: 20,
          faults: { window_limit: { maxDays: 90, status } },
        },
        { ORGTRAIL_HISTORY: '548d' },
      );
      await using daemon = await world.run();
      await world.untilAllStored(world.startMs);
      expect(await daemon.stop()).toBe(143);
      expect(world.simulator.faults.fired().window_limit, 'windows were refused').toBeGreaterThan(0);
      expect(await world.number('select count(*) from coverage_holes')).toBe(0);
      expect(await expectClaimedImpliesStored(world.database.pool, world.simulator)).toBeGreaterThan(900);
      const unasked = ticksUnasked(world.simulator, world.ids);
      const lateness = await latenessOf(world.database.pool, world.simulator);
      console.log(
        `windows refused with ${status}: ticks without a live answer p99 ${unasked.p99}, most ${unasked.most}; lateness p99 ${lateness.p99Ms} ms of ${lateness.entries}`,
      );
      // A machine with very much else to do is late with answers, and ticks meanwhile.
      expect(unasked.p99).toBeLessThanOrEqual(8);
    },
  );
});

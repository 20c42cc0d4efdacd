import { describe, expect, test } from 'vitest';
import { openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { latenessOf, ticksUnasked } from '../../support/process/live-progress.ts';
import { until } from '../../support/process/until.ts';

/** More than the 30 s after which an attempt is given up: so that attempts, and those that follow, are seen. */
const TICKS = 45;

describe.concurrent('D6: organizations that never answer', () => {
  test.each([4, 10])('%i of 40: the others are asked as often as if all answered', async (hung) => {
    await using world = await openLeastPrivileged({
      organizations: 40,
      entries: 400,
      historyMs: 3_600_000,
      liveRate: 20,
      faults: { hung_organization: { firstOrganizations: hung } },
    });
    const { simulator, database } = world;
    const healthy = world.ids.slice(hung);
    await using daemon = await world.run();
    const listings = () => simulator.requests().filter(({ path }) => /\/organizations(\?|$)/.test(path)).length;
    await until('many ticks have passed', async () => listings() >= TICKS);
    expect(await daemon.stop()).toBe(143);
    const unasked = ticksUnasked(simulator, healthy);
    const lateness = await latenessOf(database.pool, simulator, healthy);
    console.log(
      `${hung} of 40 hung: ticks without a live answer p99 ${unasked.p99}, most ${unasked.most}; lateness p99 ${lateness.p99Ms} ms of ${lateness.entries}`,
    );
    expect(simulator.faults.fired().hung_organization).toBeGreaterThanOrEqual(hung);
    // A machine with very much else to do is late with answers, and ticks meanwhile. Where hung ones held up others, it was 30 and more.
    expect(unasked.p99).toBeLessThanOrEqual(8);
  });
});

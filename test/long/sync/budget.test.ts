import { describe, expect, test } from 'vitest';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('the request budget (invariant 11)', () => {
  test('two replicas together send no more at once than a tenth of the budget, and then at its pace (invariant 11)', async () => {
    // 6,000 in 5 minutes: 600 at once, then 17.7 a second.
    const budget = 6_000;
    await using world = await openWorld({ organizations: 40, entries: 16_000, pageCap: 20 });
    await using one = await world.open({ ORGTRAIL_API_BUDGET: String(budget), ORGTRAIL_CONCURRENCY: '4' });
    await using two = await world.open({ ORGTRAIL_API_BUDGET: String(budget), ORGTRAIL_CONCURRENCY: '4' });
    await Promise.all([one.cycle(), two.cycle()]);
    const timesMs = world.simulator.requests().map(({ timeMs }) => timeMs);
    expect(timesMs.length).toBeGreaterThan(800);
    const perSecond = (budget - budget / 10) / 305;
    for (const seconds of [1, 2, 5, 10]) {
      expect(mostWithin(timesMs, seconds * 1_000)).toBeLessThanOrEqual(budget / 10 + seconds * perSecond + 16);
    }
    const throttledSeconds = async () => {
      const text = await one.metrics.registry.getSingleMetricAsString('orgtrail_api_throttled_seconds_total');
      return Number(text.split(' ').at(-1));
    };
    // A machine that is slower than the budget has not waited for it so far.
    await until('a request waits for the budget, and that is counted', async () => {
      // All that may go out at once, and what comes free in two seconds more.
      await world.database.pool.query(
        "update api_budget set next_free_at = clock_timestamp() + $1 * interval '1 second'",
        [budget / 10 / perSecond + 2],
      );
      await one.cycle();
      return (await throttledSeconds()) > 0;
    });
  });

  test('with a limit as strict as its own budget, Cloudflare never has to refuse anything', async () => {
    await using world = await openWorld({
      organizations: 10,
      entries: 2_000,
      pageCap: 20,
      budget: { requests: 6_000, windowMs: 300_000, blockMs: 300_000 },
    });
    await using run = await world.open({ ORGTRAIL_API_BUDGET: '6000' });
    await run.cycle();
    expect(world.simulator.requests().filter(({ status }) => status === 429)).toEqual([]);
    await world.expectExactTruth();
  });

  test('a block (429 for every request) is waited for, and then all is read', async () => {
    // Cloudflare's quota is far below the budget: the 61st request begins a block of two seconds.
    await using world = await openWorld({ budget: { requests: 61, windowMs: 2_000, blockMs: 2_000 }, pageCap: 8 });
    await using run = await world.open({ ORGTRAIL_CONCURRENCY: '4' });
    expect(await run.cycle()).toMatchObject({ failed: [], finished: true });
    const requests = world.simulator.requests();
    const refused = requests.filter(({ status }) => status === 429);
    expect(refused.length).toBeLessThan(requests.length / 4);
    await world.expectExactTruth();
  });
});

/** The most requests that any stretch of this length saw. */
const mostWithin = (timesMs: readonly number[], windowMs: number): number =>
  Math.max(
    ...timesMs.map((fromMs) => timesMs.filter((timeMs) => timeMs >= fromMs && timeMs < fromMs + windowMs).length),
  );

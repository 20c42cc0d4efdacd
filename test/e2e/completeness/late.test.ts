import { expect, test } from 'vitest';
import { openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { until } from '../../support/process/until.ts';

const dayMs = 86_400_000;
/** Where the simulated time begins: an API that is behind the database's clock is believed. */
const BEGIN_DAYS = -120;

/**
 * The settings are the default ones, passes after 10 m, 24 h, 7 d and 30 d; what is compressed is time itself: the simulator's clock is
 * put on by days, and the daemon goes by its `Date`.
 */
test.concurrent.each([3, 20])('D8: entries that appear %i days late are stored without a command', async (lateDays) => {
  await using world = await openLeastPrivileged(
    {
      organizations: 2,
      entries: 200,
      clockOffsetMs: BEGIN_DAYS * dayMs,
      historyMs: 5 * dayMs,
      startMs: Date.now() + BEGIN_DAYS * dayMs - 60_000,
    },
    { ORGTRAIL_SETTLE: '10m,24h,7d,30d', ORGTRAIL_HISTORY: '200d' },
  );
  const { simulator } = world;
  await using daemon = await world.run();
  await world.untilAllStored();
  const putOn = (days: number) => simulator.setClockOffset((BEGIN_DAYS + days) * dayMs);
  for (const id of world.ids) simulator.generate(id, 5, { visibleAfterMs: lateDays * dayMs });
  const lateMs = simulator.summary().nowMs;
  // Read on, past their time, before they appear.
  putOn(1);
  const covers = `select count(*) from coverage where pass = 0 and upper(ranges) > to_timestamp($1::float8 / 1000)`;
  await until('their time is claimed', async () => (await world.number(covers, [lateMs + dayMs / 2])) === 2);
  expect(await world.stored()).toBe(200);

  for (let days = 2; (await world.stored()) < 210 && days < -BEGIN_DAYS; days += 2) {
    putOn(days);
    const nowMs = simulator.summary().nowMs;
    await until('that day is read', async () => (await world.number(covers, [nowMs - dayMs / 2])) === 2);
    // A settle pass, if one is due, begins with the same tick.
    const asked = simulator.requestCount;
    await until('two ticks have passed', async () => simulator.requestCount >= asked + 8);
    if (days < lateDays) expect(await world.stored(), 'not to be seen yet').toBe(200);
  }
  const foundAfter = (simulator.summary().nowMs - lateMs) / dayMs;
  console.log(`${lateDays} days late: stored when they were ${foundAfter.toFixed(1)} days old`);
  expect(await world.stored()).toBe(210);
  await world.untilAllStored();
  expect(await daemon.stop()).toBe(143);
  await world.expectExactTruth();
});

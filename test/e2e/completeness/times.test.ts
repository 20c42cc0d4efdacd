import { describe, expect, test } from 'vitest';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { latenessOf, ticksUnasked } from '../../support/process/live-progress.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored, expectComplete } from '../../support/sync/claims.ts';

describe.concurrent('D1: the API refuses windows wider than 90 days', () => {
  test('all history of 8 organizations is read, and their live tails do not wait for it', async () => {
    await using world = await openLeastPrivileged(
      {
        organizations: 8,
        entries: 400,
        historyMs: 545 * dayMs,
        liveRate: 8,
        faults: { window_limit: { maxDays: 90, status: 504 } },
      },
      { ORGTRAIL_HISTORY: '548d' },
    );
    await using daemon = await world.run();
    await world.untilAllStored(world.startMs);
    expect(await daemon.stop()).toBe(143);
    expect(world.simulator.faults.fired().window_limit, 'windows were refused').toBeGreaterThan(0);
    expect(await world.number('select count(*) from coverage_holes')).toBe(0);
    expect(await expectClaimedImpliesStored(world.database.pool, world.simulator)).toBeGreaterThan(360);
    const unasked = ticksUnasked(world.simulator, world.ids);
    const lateness = await latenessOf(world.database.pool, world.simulator);
    console.log(
      `windows refused: ticks without a live answer p99 ${unasked.p99}, most ${unasked.most}; lateness p99 ${lateness.p99Ms} ms of ${lateness.entries}`,
    );
    // A machine with very much else to do is late with answers, and ticks meanwhile.
    expect(unasked.p99).toBeLessThanOrEqual(8);
  });
});

const hourSeconds = 3_600;

/** The dates are wrong for so long, and in so many answers, which a busy machine gets later. */
const WRONG_SECONDS = 12;
const WRONG_ANSWERS = 4;

/** Where coverage of each pass ends, behind the true now. Seconds; negative: in the future. */
const endsBehindNow = async ({
  database,
  simulator,
}: LeastPrivilegedWorld): Promise<{ pass: number; behind: number }[]> => {
  const { rows } = await database.pool.query<{ pass: number; behind: number }>(
    `select pass, ($1::float8 / 1000 - extract(epoch from max(upper(ranges))))::float8 as behind
     from coverage where not isempty(ranges) group by pass order by pass`,
    [simulator.summary().nowMs],
  );
  return rows;
};

describe.concurrent('D5: the API says a wrong time', () => {
  test.each([
    ['an hour ahead on the listing', hourSeconds, 'organizations'],
    ['an hour ahead on audit logs', hourSeconds, 'audit'],
    ['an hour behind', -hourSeconds, undefined],
  ] as const)(
    '%s, for a while: nothing of the future is claimed, and all that comes into being is stored soon after',
    async (_what, offsetSeconds, operation) => {
      await using world = await openLeastPrivileged(
        { organizations: 4, entries: 200, liveRate: 8 },
        { ORGTRAIL_SETTLE: '10s,1h' },
      );
      const { simulator, database } = world;
      await using daemon = await world.run();
      await world.untilAllStored(world.startMs);
      simulator.faults.set({ wrong_date: { offsetSeconds, ...(operation !== undefined && { operation: operation }) } });
      const longEnoughMs = simulator.summary().nowMs + WRONG_SECONDS * 1_000;
      const wrongAnswers = () => simulator.faults.fired().wrong_date ?? 0;
      await until(
        'the dates have been wrong',
        async () => simulator.summary().nowMs > longEnoughMs && wrongAnswers() >= WRONG_ANSWERS,
      );
      simulator.faults.set({ wrong_date: null });
      const wrongUntilMs = simulator.summary().nowMs;
      const askedBefore = simulator.requestCount;
      await world.untilAllStored(wrongUntilMs);
      console.log(
        `${_what}: stored ${(simulator.summary().nowMs - wrongUntilMs) / 1_000} s after, in ${simulator.requestCount - askedBefore} requests`,
      );
      // And what it claims by then is of the past, in every pass.
      const delays = [0, 10, hourSeconds];
      const isOfThePast = async () =>
        (await endsBehindNow(world)).every(({ pass, behind }) => behind >= (delays[pass] ?? 0));
      await until('nothing of the future is claimed', isOfThePast);
      world.generate(5);
      await world.untilAllStored(simulator.summary().nowMs);
      expect(await daemon.stop()).toBe(143);
      await expectClaimedImpliesStored(database.pool, simulator);
    },
  );
});

/** Where the simulated time begins: an API that is behind the database's clock is believed. */
const BEGIN_DAYS = -120;

/**
 * The settings are the default ones, passes after 10 m, 24 h, 7 d and 30 d; what is compressed is time itself: the simulator's clock is
 * put on by days, and the daemon goes by its `Date`.
 */
test.concurrent('D8: entries that appear 3 and 20 days late are stored without a command', async () => {
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
  const late = [3, 20];
  for (const days of late) for (const id of world.ids) simulator.generate(id, 5, { visibleAfterMs: days * dayMs });
  const lateMs = simulator.summary().nowMs;
  // Read on, past their time, before they appear.
  putOn(1);
  const covers = `select count(*) from coverage where pass = 0 and upper(ranges) > to_timestamp($1::float8 / 1000)`;
  await until('their time is claimed', async () => (await world.number(covers, [lateMs + dayMs / 2])) === 2);
  expect(await world.stored()).toBe(200);

  for (let days = 4; (await world.stored()) < 220 && days < -BEGIN_DAYS; days += 4) {
    putOn(days);
    const nowMs = simulator.summary().nowMs;
    await until('that day is read', async () => (await world.number(covers, [nowMs - dayMs / 2])) === 2);
    // A settle pass, if one is due, begins with the same tick.
    const asked = simulator.requestCount;
    await until('two ticks have passed', async () => simulator.requestCount >= asked + 8);
    const seen = late.filter((lateDays) => lateDays <= days).length;
    expect(await world.stored(), 'not to be seen yet').toBeLessThanOrEqual(200 + 10 * seen);
  }
  const foundAfter = (simulator.summary().nowMs - lateMs) / dayMs;
  console.log(`20 days late: stored when they were ${foundAfter.toFixed(1)} days old`);
  expect(await world.stored()).toBe(220);
  await world.untilAllStored();
  expect(await daemon.stop()).toBe(143);
  await world.expectExactTruth();
});

test.concurrent('D10: 3,500 entries of one millisecond half an hour ago, and ninety minutes, cursors refused: they are read, and what lies behind them', async () => {
  await using world = await openLeastPrivileged({
    organizations: 2,
    entries: 200,
    pageCap: 1_000,
    faults: { dead_cursor: { status: 400 } },
  });
  const { simulator } = world;
  for (const [index, minutes] of [30, 90].entries()) {
    const heapMs = world.startMs - minutes * minuteMs;
    simulator.generate(world.ids[index] ?? '', 3_500, { actionTimeMs: heapMs });
    simulator.generate(world.ids[index] ?? '', 40, { actionTimeMs: heapMs - 40_000, spacingMs: 2_000 });
  }
  await expectComplete(world);
});

const minuteMs = 60_000;
const dayMs = 86_400_000;

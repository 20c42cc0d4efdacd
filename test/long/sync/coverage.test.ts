import { describe, expect, test } from 'vitest';
import { openRunning, untilClean } from '../../support/sync/running-world.ts';
import { auditRequests, openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

describe.concurrent('coverage', () => {
  test.each([
    ['an hour behind', -hourMs],
    ['ten days behind', -10 * dayMs],
  ])(
    "with Cloudflare's clock %s the host, coverage never ends later than that clock, and nothing is lost (invariant 8)",
    async (_what, offsetMs) => {
      await using world = await openRunning({ clockOffsetMs: offsetMs });
      for (let step = 1; step <= 4; step += 1) {
        const beganMs = world.simulator.summary().nowMs;
        await world.cycle();
        const ends = await coverageEnds(world);
        expect(ends).toHaveLength(3);
        for (const endMs of ends) {
          expect(endMs).toBeLessThanOrEqual(world.simulator.summary().nowMs - 1_000);
          // A `Date` is a whole second, and another second is left for the next walk.
          expect(endMs).toBeGreaterThan(beganMs - 2_500);
        }
        for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 15);
        world.simulator.setClockOffset(offsetMs + step * 20_000);
      }
      await world.cycle();
      const { stored } = await world.expectExactTruth();
      expect(stored).toBe(600 + 4 * 3 * 15);
    },
  );

  test("with Cloudflare's clock an hour ahead of the database, nothing of the future is claimed, and nothing of it is lost once it has come (invariant 8)", async () => {
    await using world = await openRunning({ clockOffsetMs: hourMs, ownClock: true });
    const { pool } = world.database;
    const ahead = async () => {
      const { rows } = await pool.query<{ seconds: number }>(
        `select max(extract(epoch from upper(ranges) - own.clock_timestamp()))::float8 as seconds from coverage`,
      );
      return rows[0]?.seconds;
    };
    for (let step = 0; step <= 3; step += 1) {
      await world.setClocks(step * 20_000);
      world.simulator.setClockOffset(hourMs + step * 20_000);
      for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 15);
      await world.cycle();
      expect(await ahead()).toBeLessThanOrEqual(-1);
    }
    const { missing, stored } = await world.compare();
    expect(missing, 'what has a time that has yet to come').toBeGreaterThanOrEqual(4 * 3 * 15);
    expect(stored).toBeGreaterThan(500);
    expect(world.log()).toContain('clock');
    await world.setClocks(hourMs + 90_000);
    await world.cycle();
    await world.expectExactTruth();
  });

  test('a clock that is set back does not claim anything, and what happens then is not lost (invariant 8)', async () => {
    await using world = await openRunning({ ownClock: true });
    await world.setClocks(hourMs);
    await world.cycle();
    const before = await coverageEnds(world);
    world.simulator.setClockOffset(0);
    await world.cycle();
    expect(await coverageEnds(world)).toEqual(before);
    await world.setClocks(1.5 * hourMs);
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 5);
    await world.setClocks(2 * hourMs);
    await world.cycle();
    await world.expectExactTruth();
  });

  test('a log that is younger than the horizon takes four requests, if others have larger pages: all of it from both sides, and the time before and after it', async () => {
    const sizes = { organizations: 20, entries: 6_000, distribution: 'zipf' } as const;
    const options = { ...sizes, pageCap: 1_000, historyMs: 180 * 86_400_000 };
    await using world = await openRunning(options, { ORGTRAIL_HISTORY: '548d' });
    expect(await world.sync()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
    expect(auditRequests(world.simulator).length).toBeLessThanOrEqual(4 * options.organizations);
  });

  test.each([
    [true, false],
    [true, true],
    [false, false],
    [false, true],
  ])(
    'since inclusive: %s, before inclusive: %s: exactly the truth, also at the edges of walks',
    async (sinceInclusive, beforeInclusive) => {
      // Broken walks begin again at the time of an entry, and many have the same one.
      await using world = await openRunning({
        sinceInclusive,
        beforeInclusive,
        faults: { expired_cursor: 0.3, equal_timestamps: 0.6, full_page_no_cursor: 0.1 },
        pageCap: 100,
        entries: 1_500,
      });
      await untilClean(world);
      for (let step = 1; step <= 5; step += 1) {
        for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 10);
        world.simulator.setClockOffset(step * 1_500);
        await untilClean(world);
      }
      world.simulator.setClockOffset(30_000);
      await untilClean(world);
      await world.expectExactTruth();
    },
  );

  test.each([
    ['a duration', '36h', 36 * hourMs],
    ['a date older than the retention', '2020-01-01', 548 * dayMs],
  ])(
    'nothing older than ORGTRAIL_HISTORY (%s) is asked for, but for the second of overlap',
    async (_what, history, reachMs) => {
      await using world = await openWorld();
      await using run = await world.open({ ORGTRAIL_HISTORY: history });
      await run.cycle();
      const oldest = auditRequests(world.simulator).reduce((a, b) => (b.sinceMs < a.sinceMs ? b : a));
      // The cycle's now lies between the whole second of the listing's Date and the first page.
      const earliestNowMs = Math.floor((world.simulator.requests()[0]?.timeMs ?? 0) / 1_000) * 1_000;
      expect(oldest.sinceMs).toBeGreaterThanOrEqual(earliestNowMs - reachMs - 2_000);
      expect(oldest.sinceMs).toBeLessThanOrEqual(oldest.timeMs - reachMs - 1_000);
    },
  );

  test('nothing older than ORGTRAIL_HISTORY (a time) is asked for, but for the second of overlap', async () => {
    await using world = await openWorld();
    const start = new Date(Math.floor((Date.now() - 5 * hourMs) / 1_000) * 1_000);
    await using run = await world.open({ ORGTRAIL_HISTORY: start.toISOString() });
    await run.cycle();
    const sinces = auditRequests(world.simulator).map(({ sinceMs }) => sinceMs);
    expect(Math.min(...sinces)).toBe(start.getTime() - 1_000);
  });
});

const coverageEnds = async (world: SyncWorld): Promise<number[]> => {
  const { rows } = await world.database.pool.query<{ upper: number }>(
    'select (extract(epoch from upper(ranges)) * 1000)::float8 as upper from coverage where pass = 0',
  );
  return rows.map((row) => row.upper);
};

import { describe, expect, test } from 'vitest';
import { openRunning, untilClean } from '../../support/sync/running-world.ts';
import {
  type AuditRequest,
  afterADay,
  auditRequests,
  openWorld,
  type SyncWorld,
} from '../../support/sync/sync-world.ts';

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

  test('a response without entries claims only up to a second before now, and the second is read by the next', async () => {
    await using world = await openRunning({
      organizations: 1,
      entries: 0,
      clock: () => 1_800_000_000_000,
      ownClock: true,
    });
    await world.cycle();
    const [endMs = 0] = await coverageEnds(world);
    expect(endMs).toBeLessThan(1_800_000_000_000);
    expect(endMs).toBeGreaterThanOrEqual(1_800_000_000_000 - 1_000);
    // Born after the response, within the second in which it was given.
    world.simulator.generate(world.simulator.summary().organizations[0]?.id ?? '', 3);
    await world.setClocks(5_000);
    await world.cycle();
    expect(await world.expectExactTruth()).toMatchObject({ stored: 3 });
  });

  test('a log that is younger than the horizon takes three requests, if others have larger pages: all of it from both sides, and the time before it', async () => {
    const sizes = { organizations: 20, entries: 6_000, distribution: 'zipf' } as const;
    const options = { ...sizes, pageCap: 1_000, historyMs: 180 * 86_400_000 };
    await using world = await openRunning(options, { ORGTRAIL_HISTORY: '548d' });
    expect(await world.sync()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
    expect(auditRequests(world.simulator).length).toBeLessThanOrEqual(3 * options.organizations + 8);
  });

  test('requests ask for a second more at both ends than coverage claims, the same ones with every cursor', async () => {
    // Of a first page with ten entries or more the end would be in doubt.
    await using world = await openWorld({ organizations: 1, entries: 360 });
    await using run = await world.open({ ORGTRAIL_FILTERS: 'action_type.not=view&actor_email.not=a@b.example' });
    await run.cycle();
    const walks = [...walksOf(auditRequests(world.simulator)).values()];
    expect(walks.some(({ length }) => length > 4)).toBe(true);
    for (const walk of walks) {
      const parameters = new Set(
        walk.map(({ query }) =>
          [...query]
            .filter(([name]) => name !== 'cursor')
            .map((pair) => pair.join('='))
            .join('&'),
        ),
      );
      expect(parameters.size).toBe(1);
      expect(walk.filter(({ cursor }) => cursor === null)).toHaveLength(1);
      expect(new Set(walk.map(({ cursor }) => cursor)).size).toBe(walk.length);
    }
    const directions = walks.map(([first]) => first?.query.get('direction'));
    expect(directions, 'a first look, then from the oldest on').toEqual([
      'desc',
      ...directions.slice(1).map(() => 'asc'),
    ]);
    const sinceMs = Math.min(...walks.flatMap((walk) => walk.map((request) => request.sinceMs)));
    const beforeMs = Math.max(...walks.flatMap((walk) => walk.map((request) => request.beforeMs)));
    const { rows } = await world.database.pool.query<{ lower: number; upper: number }>(
      `select (extract(epoch from lower(ranges)) * 1000)::float8 as lower,
         (extract(epoch from upper(ranges)) * 1000)::float8 as upper from coverage where pass = 0`,
    );
    expect(rows).toEqual([{ lower: sinceMs + 1_000, upper: beforeMs - 1_000 }]);
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

  test('entries that lie exactly on the edges of coverage are found, whatever is inclusive', async () => {
    await using world = await openWorld({
      organizations: 1,
      entries: 0,
      sinceInclusive: false,
      beforeInclusive: false,
      clock: () => 1_800_000_000_000,
      ownClock: true,
    });
    const id = world.simulator.summary().organizations[0]?.id ?? '';
    await using run = await world.open();
    await run.cycle();
    const [endMs = 0] = await coverageEnds(world);
    const text = (timeMs: number) =>
      JSON.stringify({ id: `at-${timeMs}`, action: { time: new Date(timeMs).toISOString(), type: 'update' } });
    world.simulator.append(id, [endMs, endMs - 1_000, endMs - 1, endMs + 1, endMs + 1_000].sort().map(text));
    await world.setClocks(10_000);
    await run.cycle();
    const { rows } = await world.database.pool.query('select id from audit_events');
    expect(rows.map((row) => row.id)).toEqual(
      expect.arrayContaining([`at-${endMs - 1}`, `at-${endMs}`, `at-${endMs + 1}`, `at-${endMs + 1_000}`]),
    );
  });

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

  test('filters go out with every page, and coverage belongs to the filter set', async () => {
    const newestMs = Date.now() - 180_000;
    await using world = await openWorld();
    const filters = 'action_type=create&action_type=update&actor_type.not=system';
    const sync = async (set: string) => {
      const asked = world.simulator.requestCount;
      await using run = await world.open({ ORGTRAIL_FILTERS: set });
      await run.cycle();
      return auditRequests(world.simulator, asked);
    };
    const filtered = await sync(filters);
    expect(filtered.some(({ cursor }) => cursor !== null)).toBe(true);
    for (const { query } of filtered) {
      expect(query.getAll('action_type')).toEqual(['create', 'update']);
      expect(query.getAll('actor_type.not')).toEqual(['system']);
    }
    const types = await world.database.pool.query('select distinct action_type from audit_events order by 1');
    expect(types.rows).toEqual([{ action_type: 'create' }, { action_type: 'update' }]);

    const everything = await sync('');
    expect(everything.length, 'all of it is read again without them').toBeGreaterThanOrEqual(15);
    for (const { query } of everything) expect([...query.keys()].some((name) => name.startsWith('action'))).toBe(false);
    await world.expectExactTruth();
    // In another order they are the same set: what was read under it still counts.
    await afterADay(world);
    const again = await sync('actor_type.not=system&action_type=update&action_type=create');
    expect(again.length).toBeLessThanOrEqual(3);
    for (const { sinceMs } of again) expect(sinceMs).toBeGreaterThan(newestMs);
    await world.expectExactTruth();
  });

  test('one entry in a second sync of a quiet source costs one request', async () => {
    await using world = await openRunning();
    await world.cycle();
    await afterADay(world);
    world.simulator.setClockOffset(30_000);
    const asked = world.simulator.requestCount;
    await world.cycle();
    const requests = auditRequests(world.simulator, asked);
    expect(requests).toHaveLength(3);
    for (const { sinceMs, beforeMs } of requests) expect(beforeMs - sinceMs).toBeLessThan(hourMs);
  });
});

const coverageEnds = async (world: SyncWorld): Promise<number[]> => {
  const { rows } = await world.database.pool.query<{ upper: number }>(
    'select (extract(epoch from upper(ranges)) * 1000)::float8 as upper from coverage where pass = 0',
  );
  return rows.map((row) => row.upper);
};

const walksOf = (requests: readonly AuditRequest[]): Map<string, AuditRequest[]> =>
  Map.groupBy(
    requests,
    ({ organizationId, query }) => `${organizationId} ${query.get('since')} ${query.get('before')}`,
  );

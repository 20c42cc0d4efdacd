import { describe, expect, test } from 'vitest';
import { openRunning, type RunningWorld } from '../../support/sync/running-world.ts';
import {
  type AuditRequest,
  afterADay,
  auditRequests,
  openWorld,
  type SyncRun,
  type SyncWorld,
  stillClock,
} from '../../support/sync/sync-world.ts';

describe.concurrent('the scrub lane', () => {
  test('finds what was removed from the store by hand within one round, says so, and leaves a proof for every day (invariant 8)', async () => {
    await using world = await openRunning(longHistory, scrubbing);
    await world.sync();
    await afterADay(world);
    const removed = await removeByHand(world);
    expect(removed.length).toBeGreaterThan(36);
    const requests = await scrubRound(world);
    expect(await metricOf(world, 'orgtrail_scrub_found_total')).toBe(removed.length);
    const { missing, extra, duplicates, positionsMissing } = await world.compare();
    // What was removed has a new position; its old one is the hole that the hand has left.
    expect({ missing, extra, duplicates, positionsMissing }).toEqual({
      missing: 0,
      extra: 0,
      duplicates: 0,
      positionsMissing: removed.length,
    });
    const found = world
      .log()
      .split('\n')
      .filter((line) => line.includes('re-reading history found missing entries'))
      .map((line) => JSON.parse(line));
    expect(found.reduce((sum, { entries }) => sum + entries, 0)).toBe(removed.length);
    for (const { level, source, since, before, pass } of found) {
      expect({ level, source: typeof source, pass: typeof pass }).toEqual({
        level: 'error',
        source: 'string',
        pass: 'number',
      });
      expect(Date.parse(before)).toBeGreaterThan(Date.parse(since));
    }
    // Windows of about a page, none wider than 90 days and their overlaps, from the other side and with another limit.
    const windows = Map.groupBy(requests, ({ organizationId, sinceMs }) => `${organizationId} ${sinceMs}`);
    expect(requests.length).toBeLessThanOrEqual(windows.size + 3);
    for (const { query, sinceMs, beforeMs } of requests) {
      expect(query.get('limit')).toBe('997');
      expect(beforeMs - sinceMs).toBeLessThanOrEqual(90 * dayMs + 2_000);
    }
    const { rows: proof } = await world.database.pool.query(
      `select to_char(day, 'YYYY-MM-DD') as day, organization_id, method, number, direction, found::integer, unproven_seconds
       from coverage_proof order by day`,
    );
    const yesterday = new Date(Date.now() - dayMs).toISOString().slice(0, 10);
    // The first day is older than the horizon in part.
    const whole = proof.filter(({ day }) => day < yesterday).slice(3);
    expect(whole.length).toBeGreaterThan(3 * 290);
    for (const row of whole) {
      expect(row).toMatchObject({ method: 'scrub', number: 1, direction: 'desc', unproven_seconds: 0 });
    }
    const foundByDay = new Map<string, number>();
    for (const { day, found: entries } of whole) foundByDay.set(day, (foundByDay.get(day) ?? 0) + entries);
    for (const day of new Set(removed.map((each) => each.day))) {
      expect(foundByDay.get(day), day).toBe(removed.filter((each) => each.day === day).length);
    }
    expect([...foundByDay.values()].reduce((sum, entries) => sum + entries)).toBe(removed.length);
  });

  test('a round goes on after a restart, on any replica, and the next one begins when it is due', async () => {
    await using world = await openWorld(longHistory, { ...scrubbing, ORGTRAIL_SCRUB_EVERY: '1h' });
    await using first = await world.open();
    await first.sync();
    await afterADay(world);
    await first.cycle();
    await first.close();
    await using second = await world.open();
    await using third = await world.open();
    const stateOf = async () => {
      const { rows } = await world.database.pool.query<{ round: { number: number; beganMs: number } }>(
        "select state -> 'round' as round from lanes where lane = 'scrub' order by source_id",
      );
      return rows.map(({ round }) => round);
    };
    const begun = await stateOf();
    expect(begun).toHaveLength(3);
    for (let before = -1; before < scrubRequests(world).length; ) {
      before = scrubRequests(world).length;
      await second.cycle();
      await third.cycle();
    }
    const windows = scrubRequests(world).map(({ path }) => path);
    expect(new Set(windows).size).toBe(windows.length);
    expect(await stateOf()).toMatchObject(begun.map(({ number, beganMs }) => ({ number, beganMs })));
    const askedAtMs = Date.now();
    const ageSeconds = await metricOf(third, 'orgtrail_scrub_round_age_seconds');
    expect(ageSeconds).toBeGreaterThan((askedAtMs - Math.min(...begun.map(({ beganMs }) => beganMs))) / 1_000 - 5);
    world.simulator.setClockOffset(1.5 * 3_600_000);
    await second.cycle();
    // As far ahead as is credible: the round is not due by the clock of the database.
    expect((await stateOf()).every(({ number }) => number === 1)).toBe(true);
    await world.database.pool.query(
      `update lanes set state = jsonb_set(state, '{round,beganMs}', to_jsonb((state #>> '{round,beganMs}')::float8 - 3600000))
       where lane = 'scrub'`,
    );
    await second.cycle();
    expect(await stateOf()).toMatchObject(begun.map(() => ({ number: 2 })));
  });

  test('what version 0.1 has claimed is proven first, the newest part of it first', async () => {
    await using world = await openRunning(longHistory, scrubbing);
    await world.sync();
    await afterADay(world);
    const now = Date.now();
    const since = new Date(now - 150 * dayMs).toISOString();
    const before = new Date(now - 20 * dayMs).toISOString();
    await world.database.pool.query('update coverage set proven = proven - $1::tstzmultirange', [
      `{[${since},${before})}`,
    ]);
    const from = world.simulator.requestCount;
    await world.cycle();
    const first = scrubRequests(world, from);
    expect(first).toHaveLength(3);
    for (const { beforeMs } of first) expect(Math.abs(beforeMs - (now - 20 * dayMs))).toBeLessThan(3_000);
    await scrubRound(world);
    const { rows } = await world.database.pool.query('select unproven_seconds from sync_status');
    expect(rows).toEqual(Array.from({ length: 3 }, () => ({ unproven_seconds: 0 })));
  });

  test('it asks for nothing where its share is 0, and its age is not a number', async () => {
    await using world = await openRunning({}, { ORGTRAIL_SCRUB_SHARE: '0' });
    await world.sync();
    await afterADay(world);
    await world.cycle();
    await world.cycle();
    expect(scrubRequests(world)).toEqual([]);
    expect(await metricOf(world, 'orgtrail_scrub_round_age_seconds')).toBeNaN();
  });

  test('nor while the budget is needed', async () => {
    // Time stands still: what has been sent would soon be free again.
    await using world = await openRunning({ ...longHistory, clock: stillClock(), ownClock: true }, scrubbing);
    await world.sync();
    await afterADay(world);
    // More than half of what may go out at once has just been sent.
    const { rows } = await world.database.pool.query(
      `update api_budget set next_free_at = own.clock_timestamp() + interval '20 seconds' returning 1`,
    );
    expect(rows.length).toBeGreaterThan(0);
    const from = world.simulator.requestCount;
    await world.cycle();
    expect(scrubRequests(world, from)).toEqual([]);
    await world.database.pool.query('update api_budget set next_free_at = own.clock_timestamp()');
    await world.cycle();
    expect(scrubRequests(world, from).length).toBeGreaterThan(0);
  });

  test('a second that the API does not serve again is a hole of its own, and the round goes on around it', async () => {
    await using world = await openRunning({ historyMs: 60 * dayMs, entries: 900, pageCap: 1_000 }, scrubbing);
    await world.sync();
    await afterADay(world);
    const [poisoned] = world.simulator.summary().organizations;
    const { rows } = await world.database.pool.query<{ id: string }>(
      `select id from audit_events where source_id = $1 and action_time < now() - interval '20 days'
       order by action_time desc limit 1`,
      [poisoned?.id],
    );
    expect(rows).toHaveLength(1);
    world.simulator.faults.set({ poison_page: { ids: [rows[0]?.id ?? ''], status: 400 } });
    const holesNow = async () => {
      const { rows: holes } = await world.database.pool.query(
        'select pass, extract(epoch from before - since)::float8 as seconds from coverage_holes',
      );
      return holes;
    };
    const left = async () => {
      const { rows: rounds } = await world.database.pool.query<{ left: number }>(
        `select sum(jsonb_array_length(state #> '{round,read}'))::integer as left from lanes where lane = 'scrub'`,
      );
      return rounds[0]?.left;
    };
    // Halved at each tick, from 60 days to a second.
    for (let quiet = 0; quiet < 2; ) {
      const from = world.simulator.requestCount;
      await world.cycle();
      await world.endRests();
      quiet = scrubRequests(world, from).length === 0 ? quiet + 1 : 0;
    }
    const holes = await holesNow();
    // An entry at a full second is at the edge of two.
    expect([1, 2]).toContain(holes.length);
    for (const hole of holes) expect(hole).toEqual({ pass: 100, seconds: 1 });
    // All of the two others, and what is before and after the hole.
    expect(await left()).toBe(4);
    // Nothing is missing from the first reading, and its health says nothing else.
    const { rows: status } = await world.database.pool.query('select sum(holes)::integer as holes from sync_status');
    expect(status).toEqual([{ holes: 0 }]);
    world.simulator.faults.set({ preset: 'none' });
    await world.database.pool.query("update coverage_holes set next_attempt_at = now() - interval '1 second'");
    await scrubRound(world);
    expect(await holesNow()).toEqual([]);
  });
});

const dayMs = 86_400_000;
const scrubbing = { ORGTRAIL_SCRUB_SHARE: '5%', ORGTRAIL_HISTORY: '300d' };
const longHistory = { historyMs: 200 * dayMs, entries: 3_600, pageCap: 1_000 };

const scrubRequests = (world: SyncWorld, from = 0): AuditRequest[] =>
  auditRequests(world.simulator, from).filter(
    // A live poll that looks far back asks from the other side as well, up to now.
    ({ query }) => query.get('direction') === 'desc' && Date.parse(query.get('before') ?? '') < Date.now() - dayMs / 48,
  );

/** Ticks until a tick reads nothing again. Returns the requests of the lane. */
const scrubRound = async (world: RunningWorld): Promise<AuditRequest[]> => {
  const from = world.simulator.requestCount;
  for (let before = -1, now = 0; now > before; ) {
    before = now;
    await world.cycle();
    now = scrubRequests(world, from).length;
  }
  return scrubRequests(world, from);
};

const metricOf = async (run: SyncRun, name: string): Promise<number> => {
  const text = await run.metrics.scrape(run.app.metricsSource);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
};

/** As the owner of the tables may: of each so many days, the events of one organization by turns. */
const removeByHand = async ({ database }: SyncWorld): Promise<readonly { id: string; day: string }[]> => {
  const { rows } = await database.pool.query<{ id: string; day: string }>(
    `delete from audit_events e using (
       select position, action_time, row_number() over (order by action_time) as n from audit_events
       where action_time < date_trunc('day', now(), 'UTC') - interval '1 day') numbered
     where e.position = numbered.position and e.action_time = numbered.action_time
       and (n % 97 = 0 or e.action_time between now() - interval '75 hours' and now() - interval '72 hours')
     returning e.id, to_char(e.action_time at time zone 'UTC', 'YYYY-MM-DD') as day`,
  );
  return rows;
};

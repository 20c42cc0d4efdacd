import { describe, expect, test } from 'vitest';
import type { FaultName } from '../../../src/simulator/faults/fault-catalogue.ts';
import type { FaultPatch } from '../../../src/simulator/faults/fault-plan.ts';
import { openRunning, untilClean } from '../../support/sync/running-world.ts';
import { afterADay, openWorld, stillClock } from '../../support/sync/sync-world.ts';

const cases: readonly (readonly [what: string, fault: FaultName, setting: FaultPatch])[] = [
  ['enum values that no document has', 'unknown_enums', { unknown_enums: 0.4 }],
  ['raw.cf_rayid instead of raw.cf_ray_id', 'cf_rayid', { cf_rayid: 0.4 }],
  ['entries that stand behind later ones, across pages', 'out_of_order', { out_of_order: 0.2 }],
];

describe.concurrent('faults of the data', () => {
  test.each(cases)('%s: ends with exactly the truth', async (_what, fault, setting) => {
    await using world = await openRunning({ faults: setting });
    await untilClean(world);
    expect(world.simulator.faults.fired()[fault]).toBeGreaterThan(0);
    await world.expectExactTruth();
  });

  test('unknown enum values and the older name of the Ray id land in their columns', async () => {
    await using world = await openRunning({ faults: { unknown_enums: 0.5, cf_rayid: 0.5 } });
    await world.cycle();
    const { rows } = await world.database.pool.query(
      `select count(*) filter (where action_type in ('login', 'rotate', 'View'))::integer > 50 as strange,
         count(*) filter (where raw_cf_ray_id is null)::integer as without_ray,
         count(*) filter (where raw::text like '%cf_rayid%')::integer > 50 as older,
         count(*) filter (where defects is not null)::integer as defective from audit_events`,
    );
    expect(rows).toEqual([{ strange: true, without_ray: 0, older: true, defective: 0 }]);
  });

  test('every kind of defect, in half of all entries: each stored to the byte (invariants 2 and 4)', async () => {
    await using world = await openWorld({ entries: 900, pageCap: 60, faults: { defectRate: 0.5 } });
    const defective: number[] = [];
    await using run = await world.open({}, { pageCommitted: (page) => defective.push(page.defective) });
    expect(await run.cycle()).toMatchObject({ failed: [], finished: true });
    const comparison = await world.expectExactTruth();
    expect(comparison.stored).toBeGreaterThan(800);
    const { rows } = await world.database.pool.query(
      `select count(*)::integer as defective,
         (select count(distinct d)::integer from audit_events, unnest(defects) d) as kinds
       from audit_events where defects is not null`,
    );
    expect(defective.reduce((a, b) => a + b, 0)).toBe(rows[0].defective);
    expect(rows[0].kinds).toBeGreaterThanOrEqual(8);
    const unsaid = await world.database.pool.query(
      "select id from audit_events where defects is null and (id like 'sha256:%' or action_time = '-infinity')",
    );
    expect(unsaid.rows).toEqual([]);
    // The view must give every row, defective or not.
    const view = await world.database.pool.query(
      'select count(payload)::integer, count(*)::integer as all from audit_history',
    );
    expect(view.rows[0].all).toBe(comparison.stored);
  });

  test('defects together with every fault of the wire and of paging', async () => {
    // A listing that misses an organization is made good by a later one: see organizations.test.ts.
    const faults = { preset: 'all', missing_organization: 0, defectRate: 0.3, slowBodyMs: 20 } as const;
    await using world = await openRunning({ faults });
    await untilClean(world, 12);
    // Late entries of the history are all visible by now.
    await world.expectExactTruth();
  });

  test('content that changes under a known id: the first is kept, the change is recorded and counted (invariant 5)', async () => {
    await using world = await openWorld({ organizations: 2, entries: 100, ownClock: true });
    await using run = await world.open({ ORGTRAIL_SETTLE: '1h,2d' });
    await run.cycle();
    const before = await world.database.pool.query('select id, raw::text from audit_events order by position');
    // The second pass reads it all again, two days later by the simulator's clock.
    world.simulator.faults.set({ changed_content: { count: 2 } });
    await world.setClocks(4 * 86_400_000);
    await using second = await world.open({ ORGTRAIL_SETTLE: '1h,2d', ORGTRAIL_HISTORY: '10d' });
    await second.cycle();
    expect(world.simulator.faults.fired().changed_content).toBe(2);
    await world.expectExactTruth();
    const after = await world.database.pool.query('select id, raw::text from audit_events order by position');
    expect(after.rows).toEqual(before.rows);
    const changes = [...world.simulator.truth()].filter((entry) => entry.changes.length > 0);
    const recorded = await world.database.pool.query<{ event_id: string; raw_sha256: string; position: string }>(
      `select c.event_id, c.raw_sha256 from audit_event_changes c
       join audit_events e on e.position = c.position and e.id = c.event_id`,
    );
    // Both may have happened to the same entry.
    const expected = changes.flatMap(({ id, changes }) => changes.map((sha256) => `${id} ${sha256}`)).sort();
    expect(expected).toHaveLength(2);
    expect(recorded.rows.map(({ event_id, raw_sha256 }) => `${event_id} ${raw_sha256}`).sort()).toEqual(expected);
    expect(await second.metrics.registry.getSingleMetricAsString('orgtrail_entries_changed_total')).toMatch(
      /\norgtrail_entries_changed_total 2$/,
    );
  });

  test('late entries are found by a settle pass, not by the live lane', async () => {
    const minuteMs = 60_000;
    await using world = await openWorld({ clock: stillClock(), ownClock: true });
    const stored = { live: 0, settle: 0, backfill: 0, scrub: 0 };
    await using run = await world.open(
      { ORGTRAIL_SETTLE: '6m,30m' },
      {
        pageCommitted: (page) => {
          stored[page.lane] += page.stored;
        },
      },
    );
    await run.cycle();
    await afterADay(world);
    await world.expectExactTruth();
    const history = { ...stored };
    // By the simulator's clock: 60 entries that can be seen after three to six minutes, and one that can at once.
    const [first, second] = world.simulator.summary().organizations;
    world.simulator.faults.set({ late: 1, lateDelayMs: 6 * minuteMs });
    world.simulator.generate(first?.id ?? '', 30);
    world.simulator.generate(second?.id ?? '', 30);
    world.simulator.faults.set({ preset: 'none' });
    world.simulator.generate(second?.id ?? '', 1);
    await world.setClocks(20_000);
    await run.cycle();
    expect(stored).toEqual({ ...history, live: history.live + 1 });
    // Half a minute before each: the first entry can be seen after three, and the live lane then looks back for two.
    for (let minutes = 1; minutes <= 15; minutes += 1) {
      await world.setClocks((minutes - 0.5) * minuteMs);
      await run.cycle();
    }
    expect(world.simulator.faults.fired().late).toBe(60);
    expect(stored).toEqual({ ...history, live: history.live + 1, settle: history.settle + 60 });
    await world.expectExactTruth();
  });
});

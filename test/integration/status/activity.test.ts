import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  countChangedEntries,
  readActivity,
  readOrganizationChanges,
  readOrganizationHours,
} from '../../../src/status/overview/activity.sql.ts';
import { readCoverage } from '../../../src/status/overview/coverage-status.sql.ts';
import type { Activity } from '../../../src/status/overview/overview.ts';
import { until } from '../../support/process/until.ts';
import { withinHour } from '../../support/process/within-hour.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
let ids: readonly string[];

beforeAll(async () => {
  world = await openWorld();
  await using run = await world.open();
  await run.cycle();
  ids = world.simulator.summary().organizations.map(({ id }) => id);
});
afterAll(() => world[Symbol.asyncDispose]());

test('events per hour and result, by action time: each hour is there, this one the last, and both ways of counting agree', async () => {
  const { pool } = world.database;
  await pool.query(
    `update audit_events e set action_result = r.result
     from (select position, (array['Success', 'FAILURE', 'denied', null])[1 + row_number() over (order by action_time desc) % 4] as result
       from audit_events where action_time < now() order by action_time desc limit 8) r where r.position = e.position`,
  );
  for (const organizationId of [undefined, ids[0]]) {
    const { beganMs, activity, ofOrganization } = await withinHour(async () => ({
      beganMs: Date.now(),
      activity: await readActivity(pool, 24, organizationId),
      ofOrganization: organizationId === undefined ? undefined : await hoursInTime(organizationId),
    }));
    const { hours, bySource } = activity;
    expect(hours).toHaveLength(24);
    expect(beganMs - (hours.at(-1)?.startMs ?? 0)).toBeLessThan(HOUR_MS);
    const counted = hours.reduce((sum, hour) => sum + totalOf(hour), 0);
    for (const { startMs, success, failure, other } of hours) {
      const { rows } = await pool.query(
        `select count(*) filter (where lower(action_result) = 'success')::integer as success,
           count(*) filter (where lower(action_result) = 'failure')::integer as failure,
           count(*) filter (where lower(action_result) not in ('success', 'failure') or action_result is null)::integer as other
         from audit_events where action_time >= to_timestamp($1::float8 / 1000)
           and action_time < to_timestamp($1::float8 / 1000) + interval '1 hour' and ($2::text is null or organization_id = $2)`,
        [startMs, organizationId ?? null],
      );
      expect({ success, failure, other }, new Date(startMs).toISOString()).toEqual(rows[0]);
    }
    if (organizationId === undefined) {
      expect([...bySource.values()].reduce((sum, events) => sum + events, 0)).toBe(counted);
      expect([...bySource.keys()].sort()).toEqual(ids.map((id) => `organization/${id}`).sort());
      const truth = [...world.simulator.truth()].length;
      expect(counted).toBeGreaterThan(truth / 4);
      expect(counted).toBeLessThan(truth);
      expect(hours.some(({ other }) => other > 0)).toBe(true);
    } else expect(ofOrganization).toEqual(hours);
  }
});

test('the hours of an organization that cannot be counted in time are left out', async () => {
  const { pool } = world.database;
  const client = await pool.connect();
  try {
    await client.query('begin; lock table audit_events in access exclusive mode');
    expect(await readOrganizationHours(pool, 24, ids[0] ?? '')).toBeUndefined();
  } finally {
    await client.query('rollback');
    client.release();
  }
  expect(await hoursInTime(ids[0])).toHaveLength(24);
});

test('coverage has the gaps of the view, the settle passes and the walks, of the organizations asked for', async () => {
  const { pool } = world.database;
  const id = ids[1] ?? '';
  await pool.query(
    `update coverage set ranges = ranges - tstzmultirange(tstzrange('2026-01-01 10:00Z', '2026-01-01 11:00Z'),
       tstzrange(now() - interval '30 h', now() - interval '29 h')) where source_id = $1`,
    [id],
  );
  const [shown, ...others] = await readCoverage(pool, [{ kind: 'organization', id }]);
  expect(others).toEqual([]);
  const { rows } = await pool.query<{ since: Date; before: Date }>(
    'select since, before from coverage_gaps where source_id = $1 order by since',
    [id],
  );
  expect(rows.length).toBeGreaterThanOrEqual(2);
  // The last one ends now, and now is a little later each time.
  const starts = rows.map(({ since }) => since.getTime());
  expect(shown?.gaps.map(([fromMs]) => Math.floor(fromMs))).toEqual(starts);
  expect(shown?.gaps.slice(0, -1).map(([, toMs]) => Math.floor(toMs))).toEqual(
    rows.slice(0, -1).map(({ before }) => before.getTime()),
  );
  expect(shown?.passes.map(({ pass }) => pass)).toEqual([1, 2]);
  expect(shown?.walks).toEqual([]);
  expect(await readCoverage(pool, [])).toEqual([]);
});

test('changes come newest first, of all or of one; changed entries are counted up to a limit', async () => {
  const { pool } = world.database;
  await pool.query(
    "insert into organization_changes (organization_id, change, new_value) values ($1, 'renamed', 'x')",
    [ids[2]],
  );
  expect((await readOrganizationChanges(pool, 2)).map(({ change }) => change)).toEqual(['renamed', 'appeared']);
  expect(await readOrganizationChanges(pool, 10, ids[0])).toMatchObject([
    { organizationId: ids[0], change: 'appeared' },
  ]);
  await pool.query(
    `insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
     select source_kind, source_id, id, position, raw, id from audit_events limit 5`,
  );
  expect([await countChangedEntries(pool, 10), await countChangedEntries(pool, 3)]).toEqual([5, 3]);
});

const HOUR_MS = 3_600_000;

/** Of one organization, once they are counted in the time of a page: a busy machine may need longer at first. */
const hoursInTime = async (organizationId = ''): Promise<Activity['hours']> => {
  let hours: Activity['hours'] | undefined;
  await until('the hours are counted in time', async () => {
    hours = await readOrganizationHours(world.database.pool, 24, organizationId);
    return hours !== undefined;
  });
  return hours ?? [];
};

const totalOf = ({ success, failure, other }: Activity['hours'][number]): number => success + failure + other;

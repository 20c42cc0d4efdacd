import { Pool } from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { readScrubRounds, readScrubTotals, readVerifyRuns } from '../../../src/status/checks.sql.ts';
import {
  type Activity,
  countChangedEntries,
  readActivity,
  readCoverage,
  readOrganizationChanges,
  readOrganizationHours,
} from '../../../src/status/overview.sql.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { newSource } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { withinHour } from '../../support/process/within-hour.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { afterADay, auditRequests, openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

let ids: readonly string[];

const world = forAllTests(() => openWorld());
beforeAll(async () => {
  await using run = await world.open();
  await run.cycle();
  ids = world.simulator.summary().organizations.map(({ id }) => id);
});

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

test('a round of the scrub lane leaves its result for each log, once, and the page shows it', async () => {
  await using world = await openWorld({}, { ORGTRAIL_SCRUB_SHARE: '5%' });
  await using run = await world.open();
  await using served = await serve(run);
  expect(await checksOf(served)).toContain('None yet. The daemon begins one');
  const misspelt = await fetch(`${served.server.url}/checks?fuond=true`);
  expect([misspelt.status, await misspelt.text()]).toEqual([
    400,
    expect.stringContaining('<p>Unknown parameter &quot;fuond&quot;; did you mean &quot;found&quot;?</p>'),
  ]);
  await run.sync();
  await afterADay(world);
  const removed = await removeByHand(world);
  expect(removed).toBeGreaterThan(5);
  const { rows: before } = await world.database.pool.query('select count(*)::integer as stored from audit_events');
  await scrubRound(world, run);

  const { pool } = world.database;
  const { rows } = await readScrubRounds(pool, all);
  expect(rows).toHaveLength(3);
  const sum = (of: 'missing' | 'fixedMissing' | 'changed' | 'compared'): number =>
    rows.reduce((total, row) => total + row[of], 0);
  expect([sum('missing'), sum('fixedMissing'), sum('changed')]).toEqual([removed, removed, 0]);
  // An hour before the round at most is not read again; windows overlap by a second.
  expect(sum('compared')).toBeGreaterThanOrEqual((before[0].stored + removed) * 0.9);
  for (const row of rows) {
    expect(row).toMatchObject({ round: 1, share: expect.closeTo(1, 2), doneAs: 'orgtrail_test_daemon' });
    expect(row.endedAt).not.toBeNull();
    expect(row.name).not.toBeNull();
  }
  expect(await readScrubTotals(pool)).toMatchObject({ sources: 3, underWay: 0, missing: removed });
  const page = await checksOf(served, '?found=true');
  expect(page).toContain(`found ${removed} missing and 0 changed entries, and stored them`);
  expect(page).toContain('found, stored');
  expect(page).toContain('organization, round 1');
});

test('a run of verify is kept with who, what and how it ended; the page has the command that repairs, which works', async () => {
  await using world = await openWorld();
  await using run = await world.open();
  await run.cycle();
  await using served = await serve(run);
  const window = ['--since', new Date(Date.now() - 2 * 86_400_000).toISOString(), '--before', 'now'];
  expect(await checksOf(served)).toContain('orgtrail verify --since 30d --before now');
  expect(await runInProcess(['verify', ...window, '--by', 'jane.doe'], world.env)).toMatchObject({
    code: 0,
    stderr: '',
  });
  const removed = await removeByHand(world);
  expect((await runInProcess(['verify', ...window, '--json'], world.env)).code).toBe(1);

  const { rows } = await readVerifyRuns(world.database.pool, all);
  expect(rows).toMatchObject([
    { missing: removed, fixedMissing: 0, fixes: false, sources: 3, doneBy: null, doneAs: 'orgtrail_test_daemon' },
    { missing: 0, compared: rows[0]?.compared, failed: 0, doneBy: 'jane.doe', findings: [] },
  ]);
  expect(rows[0]?.findings.reduce((sum, { missing }) => sum + missing, 0)).toBe(removed);
  const page = await checksOf(served);
  expect(page).toMatch(/found, not repaired.*by jane\.doe, database account orgtrail_test_daemon ok/);
  expect(await checksOf(served, '?found=true')).not.toContain('jane.doe');

  const status = JSON.parse((await runInProcess(['status', '--json'], world.env)).stdout);
  expect(status.checks).toMatchObject({ lastVerify: { missing: removed, fixes: false }, scrub: { sources: 0 } });

  const command = /orgtrail (verify --since \S+ --before \S+ --organization [^<]*? --fix)/.exec(page)?.[1] ?? '';
  expect((await runInProcess(command.split(' '), world.env)).code).toBe(0);
  expect(await world.compare()).toMatchObject({ missing: 0, extra: 0 });
  expect((await readVerifyRuns(world.database.pool, all)).rows[0]).toMatchObject({
    missing: removed,
    fixedMissing: removed,
    fixes: true,
  });
  expect(await checksOf(served)).toContain('found, repaired');
});

test('the newest are kept, in a bounded number, and the account of the daemon changes none by hand', async () => {
  const database = await createTestDatabase();
  const daemon = new Pool({ connectionString: database.daemonUrl, max: 1 });
  try {
    await newSource(database.pool, 'org');
    await daemon.query(
      `select orgtrail_note_verification(jsonb_build_object('by', 'run ' || n)) from generate_series(1, 1005) n`,
    );
    const runs = await readVerifyRuns(database.pool, { ...all, limit: 2_000 });
    expect(runs.rows).toHaveLength(1_000);
    expect([runs.rows[0]?.doneBy, runs.rows.at(-1)?.doneBy]).toEqual(['run 1005', 'run 6']);

    // Every third round finds something; the others are sooner forgotten.
    await daemon.query(
      `select orgtrail_note_scrub('organization', 'org', 'f', 'owner',
         jsonb_build_object('round', n, 'beganMs', 1.7e12 + n, 'entries', 10, 'missing', case when n % 3 = 0 then 2 else 0 end, 'changed', 0))
       from generate_series(1, 90) n`,
    );
    const rounds = (await readScrubRounds(database.pool, all)).rows.map(({ round }) => round);
    expect(rounds.filter((round) => round % 3 === 0)).toEqual(Array.from({ length: 20 }, (_, n) => 90 - 3 * n));
    expect(rounds.filter((round) => round % 3 !== 0).length).toBeLessThanOrEqual(4);
    await expect(daemon.query("select orgtrail_note_scrub('organization', 'nosuch', 'f', 'o', '{}')")).rejects.toThrow(
      /no such source/,
    );
    for (const sql of [
      "insert into checks (kind, since, before, began_at, fixes) values ('verify', now(), now(), now(), true)",
      'update checks set missing = 0',
      'delete from checks',
    ]) {
      await expect(daemon.query(sql), sql).rejects.toThrow(/permission denied/);
    }
    const pages: number[] = [];
    for (let before: number | undefined, more = true; more; more = before !== undefined) {
      const page = await readVerifyRuns(database.pool, { before, limit: 300, found: false });
      pages.push(page.rows.length);
      before = page.nextBefore;
    }
    expect(pages).toEqual([300, 300, 300, 100]);
  } finally {
    await daemon.end();
    await database.close();
  }
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

const all = { before: undefined, limit: 100, found: false };

const textOf = (page: string): string =>
  page
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&#39;', "'")
    .replace(/\s+/g, ' ');

const checksOf = async (served: Served, query = ''): Promise<string> => textOf(await served.text(`/checks${query}`));

/** As the owner of the tables may. */
const removeByHand = async ({ database }: SyncWorld): Promise<number> =>
  (
    await database.pool.query(
      `delete from audit_events where action_time < now() - interval '3 hours' and position % 20 = 0`,
    )
  ).rowCount ?? 0;

/** Ticks until a tick reads nothing again. */
const scrubRound = async ({ simulator }: SyncWorld, run: SyncRun): Promise<void> => {
  const seen = (): number =>
    auditRequests(simulator, 0).filter(({ query }) => query.get('direction') === 'desc').length;
  for (let before = -1; before < seen(); ) {
    before = seen();
    await run.cycle();
  }
};

import { describe, expect, test } from 'vitest';
import { startDistortedApi } from '../../support/network/distorted-api.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

// The simulator's clock goes on while it is asked what can be seen.
test('with 5 % of entries late by up to 6 hours, verify reports 0 missing after the settle passes (invariant 3)', {
  retry: 1,
}, async () => {
  const faults = { late: 0.05, lateDelayMs: 6 * hourMs };
  const settings = { ORGTRAIL_HISTORY: '10d', ORGTRAIL_SETTLE: '10m,24h' };
  await using world = await openWorld({ entries: 6_000, pageCap: 500, ownClock: true, faults }, settings);
  const { simulator, env } = world;
  expect(await runInProcess(['sync'], env)).toMatchObject({ code: 0 });
  await world.setClocks(20_000);
  for (const { id } of simulator.summary().organizations) simulator.generate(id, 500);
  await world.setClocks(50_000);
  expect(await runInProcess(['sync'], env)).toMatchObject({ code: 0 });
  const invisible = simulator.summary().organizations.reduce((sum, each) => sum + each.invisible, 0);
  const late = 7_500 - (await world.compare()).stored;
  expect(late, 'entries that could not be seen by then').toBeGreaterThan(75);
  // Some may have come to be seen since they were asked for.
  expect(late - invisible, `${invisible} cannot be seen`).toBeGreaterThanOrEqual(0);
  expect(late - invisible, `${invisible} cannot be seen`).toBeLessThan(10);
  // Seven hours later they can all be seen, and nothing has read their time again.
  await world.setClocks(7 * hourMs);
  const before = await verify(world);
  expect(before.code, before.stderr).toBe(1);
  expect(before.report).toMatchObject({ ...exact, compared: 7_500, missing: late, organizations: 3 });
  expect(await world.compare()).toMatchObject({ missing: late });

  await world.setClocks(26 * hourMs);
  const sync = await runOrgtrail(['sync', '--json'], env);
  expect(JSON.parse(sync.stdout)).toMatchObject({ stored: late, failed: [] });
  expect(sync.stderr).toContain('the final re-read found new entries');
  const after = await verify(world, [], runOrgtrail);
  expect(after.code, after.stderr).toBe(0);
  expect(after.report).toMatchObject({ ...exact, compared: 7_500 });
  await world.expectExactTruth();
});

describe.concurrent('verify', () => {
  test('finds a row that was deleted, one that was made up and one that was altered; --fix repairs what it can', async () => {
    await using world = await openWorld({}, { ORGTRAIL_SETTLE: '10m,24h' });
    const { pool } = world.database;
    await runInProcess(['sync'], world.env);
    world.simulator.setClockOffset(600_000);
    expect((await verify(world)).report).toMatchObject({ ...exact, compared: 600 });

    const { rows } = await pool.query<{ id: string; source_id: string; position: string }>(
      `select id, source_id, position from (
         select id, source_id, position, row_number() over (partition by source_id order by action_time) as n from audit_events) e where n = 20`,
    );
    const [deleted, altered, copied] = rows;
    await pool.query('delete from audit_events where id = $1', [deleted?.id]);
    await pool.query(`update audit_events set raw = '{"id":"other"}' where id = $1`, [altered?.id]);
    await pool.query(
      `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
       select source_kind, source_id, organization_id, 'made up', $2, action_time, raw from audit_events where id = $1`,
      [copied?.id, deleted?.position],
    );
    const found = await verify(world);
    expect(found.code).toBe(1);
    expect(found.report).toMatchObject({
      compared: 600,
      missing: 1,
      extra: 1,
      changed: 1,
      fixedMissing: 0,
      fixedChanged: 0,
    });
    const of = (id = '') =>
      found.report.sources.find((source: { organizationId: string }) => source.organizationId === id);
    expect(of(deleted?.source_id).missingIds).toEqual([deleted?.id]);
    expect(of(altered?.source_id).changedIds).toEqual([altered?.id]);
    expect(of(copied?.source_id).extraIds).toEqual(['made up']);

    const text = await runInProcess(['verify', ...wholePeriod(world)], world.env);
    expect(text.code).toBe(1);
    expect(text.stdout).toContain(`missing in ${deleted?.source_id}: ${deleted?.id}\n`);
    expect(text.stdout).toContain(`changed in ${altered?.source_id}: ${altered?.id}\n`);
    expect(text.stdout).toContain(`extra in ${copied?.source_id}: made up\n`);
    expect(text.stdout).toMatch(/\ncompared 600 entries of 3 organizations, .*: 1 missing, 1 extra, 1 changed\n$/);
    // Another process holds the source, and has left a settle walk open: it is waited for, and the walk stays.
    await pool.query(
      `insert into lanes (source_kind, source_id, filter_hash, lane, state)
       values ('organization', $1, 'none', 'settle', '{"walk": {"cursor": "open", "pages": 1}}')
       on conflict (source_kind, source_id, filter_hash, lane) do update set state = excluded.state`,
      [deleted?.source_id],
    );
    const held = await pool.query<{ until: Date }>(
      `update sources set lease_owner = 'elsewhere/1/x', lease_until = clock_timestamp() + interval '1500 ms' where id = $1
       returning lease_until as until`,
      [deleted?.source_id],
    );
    const fixed = await verify(world, ['--fix']);
    expect(fixed.code).toBe(0);
    const repaired = await pool.query<{ at: Date }>('select received_at as at from audit_events where position = 601');
    expect(repaired.rows[0]?.at.getTime()).toBeGreaterThanOrEqual(held.rows[0]?.until.getTime() ?? 0);
    const walks = await pool.query(
      "select state -> 'walk' as walk from lanes where lane = 'settle' and source_id = $1",
      [deleted?.source_id],
    );
    expect(walks.rows).toEqual([{ walk: { cursor: 'open', pages: 1 } }]);
    expect(fixed.report).toMatchObject({ missing: 1, changed: 1, extra: 1, fixedMissing: 1, fixedChanged: 1 });
    expect(fixed.stderr).toContain('late entries arrived after the final re-read and were found only by chance');
    const events = await pool.query('select position::integer from audit_events where id = $1', [deleted?.id]);
    expect(events.rows, 'a new position: who follows the feed sees it').toEqual([{ position: 601 }]);
    const changes = await pool.query('select event_id from audit_event_changes');
    expect(changes.rows).toEqual([{ event_id: altered?.id }]);
    // What was made up is still there: nothing is ever deleted.
    const again = await verify(world);
    expect(again.code).toBe(0);
    expect(again.report).toMatchObject({ ...exact, extra: 1, compared: 600 });
  });

  test('works and repairs beside a running daemon, and claims nothing', async () => {
    await using world = await openWorld(
      {},
      { ORGTRAIL_HTTP_PORT: '0', ORGTRAIL_SCHEDULE: '* * * * * *', ORGTRAIL_SETTLE: '5d' },
    );
    const { pool } = world.database;
    await runInProcess(['sync'], world.env);
    world.simulator.setClockOffset(600_000);
    const daemon = startOrgtrail(['run'], world.env);
    try {
      await daemon.waitFor('orgtrail started');
      await pool.query('create table covered_before as select * from coverage');
      // Older than what the daemon looks back over.
      const { rowCount: deleted } = await pool.query(
        "delete from audit_events where position % 5 = 0 and action_time < now() - interval '1 hour'",
      );
      expect(deleted).toBeGreaterThan(100);
      const fixed = await verify(world, ['--fix']);
      // The daemon may find some first, where it looks far back.
      const { missing, fixedMissing } = fixed.report;
      expect(missing).toBeLessThanOrEqual(deleted ?? 0);
      expect(fixedMissing).toBeLessThanOrEqual(missing);
      expect(fixed.report).toMatchObject({ ...exact, missing, fixedMissing, compared: 600 });
      expect(fixed.code).toBe(0);
      const lost = await pool.query(
        `select from covered_before b left join coverage c using (source_kind, source_id, filter_hash, pass)
         where c.ranges is null or not b.ranges <@ c.ranges`,
      );
      expect(lost.rowCount).toBe(0);
      expect(daemon.child.exitCode).toBeNull();
    } finally {
      daemon.child.kill('SIGTERM');
      expect(await daemon.ended).toBe(143);
    }
    expect(await verify(world)).toMatchObject({ code: 0, report: { ...exact, compared: 600 } });
  });

  test('an organization that is refused fails alone, and one that is not known is named: exit 1', async () => {
    await using world = await openWorld();
    await runInProcess(['sync'], world.env);
    const [refused = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    world.simulator.setRefused(refused, true);
    const headers = { authorization: 'Bearer token-of-the-test', 'content-type': 'application/json' };
    await fetch(`${world.simulator.baseUrl}/organizations`, { method: 'POST', headers, body: '{"name":"new one"}' });
    world.simulator.setClockOffset(600_000);
    const { code, report } = await verify(world);
    expect(code).toBe(1);
    expect(report).toMatchObject({ ...exact, compared: 400, failed: 1, unknownOrganizations: [expect.any(String)] });
    const failed = report.sources.find((source: { organizationId: string }) => source.organizationId === refused);
    expect(failed).toMatchObject({ compared: 0, failure: expect.stringContaining('403') });
  });

  test('under filters, what was stored without them is not called extra', async () => {
    await using world = await openWorld();
    await runInProcess(['sync'], world.env);
    world.simulator.setClockOffset(600_000);
    const filtered = { ...world, env: { ...world.env, ORGTRAIL_FILTERS: 'action_type=create' } };
    const { code, report } = await verify(filtered);
    expect(code).toBe(0);
    expect(report).toMatchObject(exact);
    expect(report.compared).toBeGreaterThan(50);
    expect(report.compared + report.storedUnderOtherFilters).toBe(600);
  });

  test('--organization compares those named, and no others, also if the API lists them unasked', async () => {
    await using world = await openWorld();
    const rewrite = (url: URL) => url.searchParams.delete('id');
    await using front = await startDistortedApi(world.simulator.baseUrl, { rewrite });
    await runInProcess(['sync'], world.env);
    world.simulator.setClockOffset(600_000);
    const [one = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    const alone = { ...exact, compared: 200, organizations: 1, unknownOrganizations: [] };
    for (const CLOUDFLARE_BASE_URL of [world.simulator.baseUrl, front.baseUrl]) {
      const env = { ...world.env, CLOUDFLARE_BASE_URL };
      expect(await verify({ ...world, env }, ['--organization', one])).toMatchObject({ code: 0, report: alone });
    }
    const unknown = await verify(world, ['--organization', 'unknown']);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('unknown organization "unknown"') });
  });

  test.each([
    [
      'not over yet',
      -dayMs,
      0,
      /--before must be at least 2 minutes in the past \(Cloudflare's clock: \S+Z\)\nTry: --before \S+ or earlier/,
    ],
    [
      'older than the retention',
      -549 * dayMs,
      -540 * dayMs,
      /--since .* is older than the 18 months that Cloudflare keeps.*\nTry: --since/,
    ],
    ['the wrong way round', -dayMs, -2 * dayMs, /--before must be later than --since/],
  ])('a window that is %s: exit 2, and says so', async (_what, sinceMs, beforeMs, message) => {
    await using world = await openWorld({ organizations: 1, entries: 0 });
    const [since, before] = [sinceMs, beforeMs].map((ms) => new Date(Date.now() + ms).toISOString()) as [
      string,
      string,
    ];
    const { code, stderr } = await runInProcess(['verify', '--since', since, '--before', before], world.env);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

const exact = { missing: 0, extra: 0, changed: 0, failed: 0 };

/** The window of everything that a world has, closed by the simulator's clock. */
const wholePeriod = (world: SyncWorld, lengthMs = 9 * dayMs): string[] => {
  const nowMs = Math.floor(world.simulator.summary().nowMs / 1_000) * 1_000;
  const time = (timeMs: number) => new Date(timeMs).toISOString();
  return ['--since', time(nowMs - lengthMs), '--before', time(nowMs - 121_000)];
};

const verify = async (world: SyncWorld, args: readonly string[] = [], run: typeof runOrgtrail = runInProcess) => {
  const result = await run(['verify', ...wholePeriod(world), '--json', ...args], world.env);
  return { ...result, report: result.stdout === '' ? undefined : JSON.parse(result.stdout) };
};

import { describe, expect, test } from 'vitest';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { serve } from '../../support/sync/served.ts';
import { afterADay, auditRequests, openWorld, stillClock } from '../../support/sync/sync-world.ts';

describe.concurrent('/metrics', () => {
  test('has every metric before the first cycle, and after a sync its values are those of the sync', async () => {
    // The last page is not as large as pages get: its end is beyond doubt.
    const options = { entries: 570, historyMs: 50 * 60_000 };
    await using world = await openWorld({ ...options, faults: { html_ok: { count: 1, operation: 'audit' } } });
    const [first = '', , refused = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    world.simulator.setRefused(refused, true);
    await using run = await world.open();
    await using served = await serve(run);
    const text = await served.text('/metrics');
    // docs/reference/metrics.md, which is generated, is the contract.
    for (const { name, type } of run.metrics.registry.getMetricsAsArray()) {
      if (name.startsWith('orgtrail_')) expect(text).toContain(`\n# TYPE ${name} ${type}\n`);
      expect(text).toMatch(new RegExp(`# HELP ${name} \\S.+\\n`));
    }
    const before = parseMetrics(text);
    expect(before.get('orgtrail_feed_position')).toBe(0);
    expect(before.get('orgtrail_events_stored_total')).toBe(0);
    expect(before.get('orgtrail_api_budget_available')).toBeGreaterThan(0);
    expect(before.get('orgtrail_api_blocked_seconds')).toBe(0);
    expect(before.get('orgtrail_discovery_age_seconds')).toBe(Number.POSITIVE_INFINITY);
    await run.cycle();
    const samples = parseMetrics(await served.text('/metrics'));
    const value = (name: string) => samples.get(name);

    expect(value('orgtrail_events_stored_total')).toBe(380);
    expect(value('orgtrail_feed_position')).toBe(380);
    // The sentinels of two windows of each log: entries that are stored, and must come again. So do some of the first look's page.
    expect(value('orgtrail_entries_duplicate_total')).toBeGreaterThanOrEqual(4);
    expect(value('orgtrail_entries_duplicate_total')).toBeLessThan(40);
    expect(value('orgtrail_entries_defective_total')).toBe(0);
    expect(value('orgtrail_entries_changed_total')).toBe(0);
    // What the first look finds is history.
    expect(value('orgtrail_event_lateness_seconds_count')).toBe(0);
    expect(value('orgtrail_entries_beyond_last_pass_total')).toBe(0);
    expect([...samples.keys()].filter((name) => name.startsWith('orgtrail_entries_late_total'))).toEqual([]);
    expect(value('orgtrail_organizations{state="active"}')).toBe(2);
    expect(value('orgtrail_organizations{state="refused"}')).toBe(1);
    expect(value('orgtrail_organizations{state="gone"}')).toBe(0);

    const pages = auditRequests(world.simulator);
    const answered = (status: number) => pages.filter((page) => page.status === status).length;
    const requests = (status: string) =>
      value(`orgtrail_api_requests_total{endpoint="organization_audit_logs",status="${status}"}`);
    expect(requests('200')).toBe(answered(200) - 1);
    expect(requests('unreadable')).toBe(1);
    expect(requests('403')).toBe(answered(403));
    expect(value('orgtrail_api_requests_total{endpoint="organizations",status="200"}')).toBe(1);
    expect(value('orgtrail_api_request_duration_seconds_count{endpoint="organization_audit_logs"}')).toBe(pages.length);
    expect(value('orgtrail_page_commit_duration_seconds_count')).toBe(answered(200) - 1);
    expect(value('orgtrail_walks_total{lane="live",result="done"}')).toBe(2);
    expect(value('orgtrail_walks_total{lane="live",result="failed"}')).toBe(1);
    expect(value('orgtrail_lease_epochs_total')).toBeGreaterThanOrEqual(3);

    const of = (name: string, id: string) => value(`${name}{organization_id="${id}"}`) ?? Number.NaN;
    expect(of('orgtrail_source_lag_seconds', first)).toBeLessThan(600);
    expect(of('orgtrail_source_gap_seconds', first)).toBeLessThan(600);
    expect(of('orgtrail_source_gap_seconds', refused)).toBeGreaterThan(2.9 * 86_400);
    expect(of('orgtrail_source_last_success_timestamp_seconds', first)).toBeGreaterThan(Date.now() / 1_000 - 600);
    expect(of('orgtrail_source_last_success_timestamp_seconds', refused)).toBeNaN();
    // It never was readable, so nothing of it is about to be lost.
    expect(of('orgtrail_retention_slack_seconds', refused)).toBeNaN();
    expect(of('orgtrail_retention_slack_seconds', first) / 86_400).toBeCloseTo(548, 1);
    expect([...samples.keys()].filter((name) => name.startsWith('orgtrail_build_info{version="'))).toHaveLength(1);
  });

  test('an organization that is gone keeps no gauges, and counts as gone', async () => {
    await using world = await openWorld({ organizations: 1 });
    const [id = ''] = world.simulator.summary().organizations.map((organization) => organization.id);
    await using run = await world.open();
    await using served = await serve(run);
    await run.cycle();
    expect(await served.text('/metrics')).toContain(`orgtrail_source_lag_seconds{organization_id="${id}"}`);
    expect(parseMetrics(await served.text('/metrics')).get('orgtrail_organizations_vanished')).toBe(0);
    world.simulator.setRefused(id, true);
    world.simulator.faults.set({ missing_organization: { count: 3 } });
    await run.cycle();
    await run.cycle();
    await world.ageRefusals();
    await run.cycle();
    const text = await served.text('/metrics');
    expect(text).not.toContain(`organization_id="${id}"`);
    expect(parseMetrics(text).get('orgtrail_organizations{state="gone"}')).toBe(1);
    expect(parseMetrics(text).get('orgtrail_organizations_vanished')).toBe(1);

    // Another process, a day later: it is gone, and no news any more.
    await world.database.pool.query("update organization_changes set changed_at = changed_at - interval '25 hours'");
    await using later = await world.open();
    await using servedLater = await serve(later);
    const samples = parseMetrics(await servedLater.text('/metrics'));
    expect(samples.get('orgtrail_organizations_vanished')).toBe(0);
    expect(samples.get('orgtrail_organizations{state="gone"}')).toBe(1);
  });

  test('late entries are counted by what found them, and those that no pass would have found', async () => {
    await using world = await openWorld({
      organizations: 1,
      entries: 590,
      clock: stillClock(),
      clockOffsetMs: -BEHIND_MS,
    });
    await using run = await world.open({ ORGTRAIL_SETTLE: '5m,15m' });
    await using served = await serve(run);
    const [id = ''] = world.simulator.summary().organizations.map((organization) => organization.id);
    const nowMs = world.simulator.summary().nowMs;
    const append = (name: string, secondsAgo: number, visibleAfterMs: number) => {
      const time = new Date(nowMs - secondsAgo * 1_000).toISOString();
      world.simulator.append(id, [JSON.stringify({ id: name, action: { time } })], { visibleAfterMs });
    };
    await run.cycle();
    await afterADay(world);
    append('at the next look back', 20, 0);
    append('by the first pass', 30, 200_000);
    append('by the last pass', 40, 600_000);
    append('beyond the last pass', 50, 1_000_000);
    // The passes come after 5 and 15 minutes; by then nothing looks back so far.
    for (const seconds of [20, 150, 305, 905, 1_010]) {
      world.simulator.setClockOffset(seconds * 1_000 - BEHIND_MS);
      await run.cycle();
    }
    const { length: stored } = (await world.database.pool.query("select from audit_events where id like '% %'")).rows;
    expect(stored, 'the last one is never looked for again').toBe(3);
    // The time is asked for again.
    await using backfill = await world.open({ ORGTRAIL_SETTLE: '5m,15m' });
    await world.database.pool.query("update coverage set ranges = '{}' where pass = 0");
    await backfill.cycle();
    await world.expectExactTruth();
    const samples = parseMetrics(await served.text('/metrics'));
    const late = (pass: string) => samples.get(`orgtrail_entries_late_total{pass="${pass}"}`);
    expect(['live', '1', '2'].map(late)).toEqual([1, 1, 1]);
    // Of the live lane, which had read before: not what the first look found, and not what the passes find.
    expect(samples.get('orgtrail_event_lateness_seconds_count')).toBe(1);
    expect(samples.get('orgtrail_event_lateness_seconds_bucket{le="10"}')).toBe(0);
    expect(samples.get('orgtrail_entries_beyond_last_pass_total')).toBe(0);
    const beyond = await backfill.metrics.registry.getSingleMetricAsString('orgtrail_entries_beyond_last_pass_total');
    expect(beyond).toMatch(/\norgtrail_entries_beyond_last_pass_total 1$/);
  });

  test('defects, duplicates and throttling are counted', async () => {
    await using world = await openWorld({
      faults: { defectRate: 0.3, duplicate_entries: 0.5, throttled: { count: 1 }, retryAfterSeconds: 1 },
    });
    await using run = await world.open();
    await using served = await serve(run);
    await run.cycle();
    const samples = parseMetrics(await served.text('/metrics'));
    const { rows } = await world.database.pool.query(
      'select count(*)::integer as stored, count(defects)::integer as defective from audit_events',
    );
    expect(samples.get('orgtrail_events_stored_total')).toBe(rows[0].stored);
    expect(samples.get('orgtrail_entries_defective_total')).toBe(rows[0].defective);
    expect(samples.get('orgtrail_entries_duplicate_total')).toBeGreaterThan(0);
    expect(samples.get('orgtrail_api_throttled_seconds_total')).toBeGreaterThan(0.5);
  });
});

/** A clock that is ahead of the database's is not believed; one that is behind may be moved. */
const BEHIND_MS = 1_200_000;

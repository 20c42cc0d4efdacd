import { expect, test } from 'vitest';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { startVendorReceiver } from '../../support/sinks/http/vendor-receivers.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('the real daemon skips what Datadog would date as of now, and shows how many everywhere', async () => {
  await using world = await openWorld({ organizations: 2, entries: ENTRIES, pageCap: 100 });
  await using receiver = await startVendorReceiver('datadog', { limits: true });
  const datadog = { ...receiver.settings, start: 'beginning' };
  await using daemon = await startDaemonProcess({ ...world.env, ORGTRAIL_SINKS: JSON.stringify({ datadog }) });
  const numberOf = async (sql: string): Promise<number> =>
    Number((await world.database.pool.query<{ n: string }>(`select (${sql})::text as n`)).rows[0]?.n ?? 0);
  await until('all is stored', async () => (await numberOf('select position from feed_head')) === ENTRIES);
  const at = "select coalesce(max(position), 0) from sinks where name = 'datadog'";
  await until('and dealt with', async () => (await numberOf(at)) === ENTRIES);
  await daemon.process.waitFor('sink skips events that are older than its max_age');

  const old = await numberOf(
    "select count(*) from audit_events where action_time < now() - interval '1070 minutes' and action_time > '-infinity'",
  );
  const skipped = await numberOf("select skipped from sinks where name = 'datadog'");
  // By now one or two more may have become too old.
  expect([skipped > 0, skipped < ENTRIES, old - skipped >= 0, old - skipped < 5]).toEqual([true, true, true, true]);
  expect(receiver.events()).toHaveLength(ENTRIES - skipped);
  expect(receiver.altered).toEqual([]);

  const health = JSON.parse((await daemon.get('/healthz')).text);
  const shown = { name: 'datadog', state: 'ok', position: ENTRIES, skipped_events: skipped, dead_letters: 0 };
  expect(health.sinks).toMatchObject([shown]);
  expect((await daemon.get('/metrics')).text).toContain(`orgtrail_sink_skipped_events{sink="datadog"} ${skipped}`);
  const list = await runInProcess(['sink', 'list'], world.ownerEnv);
  expect(list.stdout).toMatch(
    new RegExp(`^SINK .* SKIPPED .*\\ndatadog +ok +datadog +${ENTRIES} +0 +0ms +0 +${skipped} `),
  );
  const replayed = await runInProcess(['sink', 'replay', 'datadog', '--after', '0'], world.ownerEnv);
  expect(replayed.stdout).toContain('; those older than 17h 50m, its max_age, will be skipped');
});

const ENTRIES = 400;

import { expect, test } from 'vitest';
import { openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { until } from '../../support/process/until.ts';

const dayMs = 86_400_000;

test.concurrent('D12: right after the first backfill gap_seconds is no more than what the live tail leaves', async () => {
  await using world = await openLeastPrivileged(
    { organizations: 3, entries: 600, historyMs: 100 * dayMs },
    { ORGTRAIL_HISTORY: '90d' },
  );
  const inHistory = [...world.simulator.truth()].filter(
    ({ logTimeMs }) => logTimeMs > world.startMs - 90 * dayMs,
  ).length;
  await using daemon = await world.run();
  // What history of 90 days has, and up to a minute of what has left it since.
  await until(
    'the backfill has ended',
    async () =>
      (await world.number(
        `select count(*) from coverage where pass = 0 and ranges @> tstzrange(now() - interval '89 days 23 hours 59 minutes', now() - interval '1 minute')`,
      )) === 3,
  );
  expect(await world.stored()).toBeGreaterThanOrEqual(inHistory - 3);
  const { rows } = await world.database.pool.query<{ gap: number; lag: number }>(
    'select gap_seconds as gap, lag_seconds as lag from sync_status',
  );
  expect(rows).toHaveLength(3);
  for (const { gap, lag } of rows) expect(gap, `with a lag of ${lag}`).toBeLessThanOrEqual(lag + 0.001);
  expect(await daemon.stop()).toBe(143);
});

test.concurrent('D13: last_success_at stands still while the live lane fails, though history comes in', async () => {
  await using world = await openLeastPrivileged(
    {
      organizations: 1,
      entries: 6_000,
      pageCap: 20,
      historyMs: 60 * dayMs,
      liveRate: 5,
      // History takes minutes: some is left whenever the live lane fails.
      faults: { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs: 400 },
    },
    { ORGTRAIL_HISTORY: '61d' },
  );
  const { simulator } = world;
  await using daemon = await world.run();
  const [id = ''] = world.ids;
  const newest =
    'select count(*) from coverage where pass = 0 and source_id = $1 and upper(ranges) > to_timestamp($2::float8 / 1000)';
  await until('the live tail is read', async () => (await world.number(newest, [id, world.startMs])) === 1);
  // From now on there are some in every second.
  simulator.faults.set({ poison_page: { since: simulator.summary().nowMs, status: 500 } });
  await until('the live lane fails', async () => (await world.number('select max(failures) from sync_status')) > 0);
  const success = 'select extract(epoch from last_success_at) from sync_status';
  const [succeededAt, stored] = [await world.number(success), await world.stored()];
  await until('more history has come in', async () => (await world.stored()) >= stored + 200);
  expect(await world.number(success)).toBe(succeededAt);
  simulator.faults.set({ poison_page: null });
  await until('the live lane has succeeded', async () => (await world.number(success)) > succeededAt);
  expect(await daemon.stop()).toBe(143);
});

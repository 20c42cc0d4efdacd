import { expect, test } from 'vitest';
import { kindPoliciesWithDrops, unreadMonthsOf } from '../../../src/app/sync-context.ts';
import { dropOldMonths } from '../../../src/archive/retention.sql.ts';
import { nearestStored } from '../../../src/ingest/sync/sync-store.sql.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { openWorld, type SyncRun } from '../../support/sync/sync-world.ts';

const world = forAllTests(() =>
  openWorld(
    { organizations: 2, entries: 400, historyMs: 300 * DAY_MS, pageCap: 1_000 },
    // A date: a horizon that moves with the clock of the answers can be a second earlier at the next start, in a month of its own.
    {
      ORGTRAIL_HISTORY: new Date(Date.now() - 500 * DAY_MS).toISOString().slice(0, 10),
      ORGTRAIL_RETENTION: '60d',
      ORGTRAIL_ARCHIVE: 'file:///tmp/not-used-here',
    },
  ),
);

test('a month stays while a log has unread time near it; what was dropped does not come back, by no lane and under no filters', async () => {
  await using run = await world.open();
  await run.sync();
  expect(await head()).toBe(400);
  const { pool } = world.database;
  const [organization = ''] = world.simulator.summary().organizations.map(({ id }) => id);
  const month = monthAgo(150);
  // Half a day beside the month: what a walk asks for beyond its claim would be read again.
  await pool.query(
    `update coverage set ranges = ranges - tstzmultirange(tstzrange($2::timestamptz - interval '12 hours', $2::timestamptz - interval '6 hours'))
     where source_id = $1 and pass = 0`,
    [organization, `${month}-01T00:00:00Z`],
  );
  const first = await drop(run);
  const kept = first.kept.map(({ month: each }) => each);
  expect(kept).toEqual([monthAgoBefore(month), month]);
  expect(first.kept[0]?.reason).toBe(`it is not read in full: organization ${organization}`);
  expect(first.again, 'soon again').toBe(true);
  expect(first.dropped.length).toBeGreaterThan(4);
  // A sentinel is not looked for across what was dropped.
  const across = { fromMs: Date.parse(`${monthAgo(110)}-01`), toMs: Date.now() };
  const source = { kind: 'organization', id: organization };
  expect(await nearestStored(pool, source, across, { direction: 'asc', filterHash: 'none' })).toBeUndefined();

  await run.sync();
  expect(await head(), 'the gap is read again into the month that is there').toBe(400);
  expect((await drop(run)).dropped.map(({ month: each }) => each)).toEqual(kept);
  await run.sync();
  const before = await months();
  // It makes months when it starts.
  await using again = await world.open({ ORGTRAIL_SCRUB_SHARE: '50%' });
  await again.sync();
  await again.cycle();
  expect(await months(), 'no month is made again').toEqual(before);
  await using filtered = await world.open({ ORGTRAIL_FILTERS: 'action_result=success' });
  await filtered.sync();
  expect(await head()).toBe(400);
});

const monthAgoBefore = (month: string): string =>
  new Date(Date.parse(`${month}-01`) - DAY_MS).toISOString().slice(0, 7);

const DAY_MS = 86_400_000;
const RETENTION_MS = 60 * DAY_MS;

const monthAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 7);

const drop = async ({ app, config }: SyncRun) => {
  const { pool } = world.database;
  const kinds = await kindPoliciesWithDrops(config, app.database.pool);
  return await dropOldMonths(pool, RETENTION_MS, undefined, () => unreadMonthsOf(config, app.database.pool, kinds));
};

const count = async (statement: string): Promise<number> =>
  (await world.database.pool.query<{ n: number }>(`select (${statement})::integer as n`)).rows[0]?.n ?? -1;

const months = async (): Promise<readonly unknown[]> => {
  const statement = "select inhrelid::regclass from pg_inherits where inhparent = 'audit_events'::regclass order by 1";
  return (await world.database.pool.query(statement)).rows;
};

const head = () => count('select position from feed_head');

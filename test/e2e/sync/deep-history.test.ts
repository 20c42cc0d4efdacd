import { expect, test } from 'vitest';
import { setRetentionPolicy } from '../../../src/archive/retention.sql.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const { folder } = temporaryFolder();

test('14 months of history go through the archive of a database that keeps 60 days; without an archive they are named', async () => {
  await using world = await openWorld(
    { organizations: 2, entries: ENTRIES, historyMs: 425 * DAY_MS, pageCap: 1_000 },
    { ORGTRAIL_HISTORY: '548d', ORGTRAIL_RETENTION: `${RETENTION_DAYS}d` },
  );
  const { pool } = world.database;
  await setRetentionPolicy(pool, RETENTION_DAYS * DAY_MS);
  const env = { ...world.env, ORGTRAIL_ARCHIVE: `file://${folder}` };
  const monthOf = (daysAgo: number) => new Date(Date.now() - daysAgo * DAY_MS).toISOString().slice(0, 7);
  const notRead = new RegExp(
    String.raw`\d+ months \(${monthOf(548)} to ${monthOf(RETENTION_DAYS)}\) are not read, or not in full: ORGTRAIL_RETENTION is 60d`,
  );
  const ids = (text: string) =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line).id as string)
      .sort();
  const truth = Array.from(world.simulator.truth(), ({ id }) => id).sort();
  const counts = async () => {
    const { rows } = await pool.query(
      `select (select count(*) from audit_events)::integer as kept, (select coalesce(sum(events), 0) from retention_drops)::integer as dropped,
         (select count(*) from pg_inherits where inhparent = 'audit_events'::regclass
           and substring(inhrelid::regclass::text from '\\d{4}_\\d{2}$') < $1)::integer as old_months`,
      [monthOf(RETENTION_DAYS + 1).replace('-', '_')],
    );
    return rows[0] as { kept: number; dropped: number; old_months: number };
  };
  // Also an outage that lasts longer than the retention: what is older is a gap when the archive comes.
  const first = await runOrgtrail(['sync'], world.env);
  expect(first, first.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(notRead) });
  expect((await runOrgtrail(['status'], world.env)).stdout).toMatch(notRead);
  expect((await runOrgtrail(['status', '--json'], world.env)).stdout).toMatch(notRead);
  expect((await counts()).kept).toBeLessThan(ENTRIES / 3);
  {
    await using daemon = await startDaemonProcess(world.env);
    await daemon.process.waitFor('ORGTRAIL_RETENTION is 60d, and there is no ORGTRAIL_ARCHIVE');
  }
  {
    await using _daemon = await startDaemonProcess(env);
    await until('all is collected', async () => {
      const { kept, dropped } = await counts();
      return kept + dropped === ENTRIES;
    });
  }
  // A daemon drops when it starts, and then once a day; once more shows that nothing comes back.
  for (const _ of [1, 2]) {
    await using _daemon = await startDaemonProcess(env);
    await until('old months are gone', async () => (await counts()).old_months === 0);
  }
  const { kept, dropped } = await counts();
  expect(kept + dropped).toBe(ENTRIES);
  expect(kept).toBeLessThan(ENTRIES / 3);
  const { rows: objects } = await pool.query(
    "select count(*) = count(distinct month) as once from archive_objects where kind = 'events' and superseded_at is null",
  );
  expect(objects, 'one object a month').toEqual([{ once: true }]);
  const feed = await runOrgtrail(['feed'], env);
  expect(feed, feed.stderr).toMatchObject({ code: 0 });
  expect(ids(feed.stdout)).toEqual(truth);
  const status = await runOrgtrail(['status'], env);
  expect(status.stdout).not.toMatch(/are not read|lost/);
});

const DAY_MS = 86_400_000;
const RETENTION_DAYS = 60;
const ENTRIES = 3_000;

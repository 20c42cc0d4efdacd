import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { setRetentionPolicy } from '../../../src/retention/retention.sql.ts';
import {
  commit,
  entryText,
  newSource,
  RETENTION_DAYS,
  RETENTION_MS,
  T0,
} from '../../support/postgres/store-fixture.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const january = Date.UTC(2024, 0, 15);

test('a daemon archives and drops by itself, holds back replicas without an archive, and shows how it stands', async () => {
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-'));
  try {
    const { pool } = world.database;
    await setRetentionPolicy(pool, RETENTION_MS);
    await pool.query('update discovery set server_time = clock_timestamp()');
    await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-02-02')");
    await commit(pool, await newSource(pool, 'o'), [
      entryText('old', january),
      entryText('young', T0),
      entryText('held', january + 31 * 86_400_000),
    ]);
    await pool.query("insert into holds (organization_id, since, reason) values ('o', '2024-02-01', 'case 7')");
    const env = {
      ...world.env,
      DATABASE_URL: world.database.daemonUrl,
      ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`,
      ORGTRAIL_ARCHIVE: `file://${directory}`,
    };
    await using daemon = await startDaemonProcess(env);
    await daemon.process.waitFor('hold 1 covers events in it');
    expect(daemon.process.stdout()).toContain('wrote an object of the archive, and read it back');
    expect(daemon.process.stdout()).toContain('dropped a month of events older than ORGTRAIL_RETENTION');
    expect(await readCatalogue(pool)).toMatchObject([{ month: '2024-01', events: 1, droppedAt: expect.any(Date) }]);
    expect(await readdir(join(directory, 'v1/manifest'))).toEqual([`feed=${await readFeedId(pool)}.json`]);
    const { text } = await daemon.get('/metrics');
    expect(text).toMatch(/^orgtrail_archive_waiting_months 1$/m);
    expect(text).toMatch(/^orgtrail_archive_faulty_objects 0$/m);
    expect(text).toMatch(/^orgtrail_archive_written_age_seconds [\d.]+$/m);
    expect(text).toMatch(/^orgtrail_archive_failures_total 0$/m);
    await pool.query('update holds set released_at = clock_timestamp(), released_as = session_user');
    const { rows } = await pool.query("select orgtrail_drop_month('2024-02-01', '365 days') as obstacle");
    expect(rows[0].obstacle).toMatch(/^the archive has its events up to position 0/);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

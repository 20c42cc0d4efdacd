import { Pool } from 'pg';
import { expect, test } from 'vitest';
import { readScrubRounds, readScrubTotals, readVerifyRuns } from '../../../src/status/checks/checks.sql.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { newSource } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { afterADay, auditRequests, openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

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
  const window = ['--since', '2d', '--before', 'now'];
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

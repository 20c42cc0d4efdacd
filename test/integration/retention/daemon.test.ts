import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { setRetentionPolicy } from '../../../src/retention/retention.sql.ts';
import { startRetention } from '../../../src/retention/retention-loop.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { commit, entryText, newSource, RETENTION_MS, T0 } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openWorld, type SyncRun } from '../../support/sync/sync-world.ts';

test('the daemon looks once a day, says what it dropped and kept, and soon again where something is in the way; never if everything is kept indefinitely', async () => {
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const run = await world.open();
  const { pool } = world.database;
  // As `migrate --roles` does with ORGTRAIL_RETENTION: the account of the daemon may drop nothing younger.
  await setRetentionPolicy(pool, RETENTION_MS);
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-02-02')");
  await commit(pool, await newSource(pool, 'o'), [
    entryText('old', january),
    entryText('young', T0),
    entryText('february', january + 31 * DAY_MS),
  ]);
  await pool.query("insert into holds (organization_id, since, reason) values ('o', '2024-02-01', 'case 7')");

  expect((await look(run, Number.POSITIVE_INFINITY, 1)).waits).toEqual([]);
  expect((await look(run, RETENTION_MS, 1)).waits, 'before the first listing').toEqual([5_000, 600_000]);
  await run.cycle();
  const { log, waits } = await look(run, RETENTION_MS, 2);
  expect(waits).toEqual([5_000, DAY_MS, DAY_MS]);
  const msg = (words: string) => expect.stringContaining(words);
  expect(log).toMatchObject([
    { month: '2024-01', events: 1, firstPosition: 1, lastPosition: 1, msg: msg('dropped a month of events') },
    { month: '2024-02', reason: 'hold 1 covers events in it: case 7', msg: msg('kept a month of events') },
    { month: '2024-02', msg: msg('kept') },
  ]);
  // The database does not answer.
  await run.close();
  const failed = await look(run, RETENTION_MS, 1);
  expect(failed.waits).toEqual([5_000, 600_000]);
  expect(failed.log).toMatchObject([{ reason: expect.any(String), msg: msg('retrying later') }]);
});

test('what was dropped is not pulled again, and verify and backfill refuse that time', async () => {
  // It stands still: nothing becomes so old meanwhile that a pass reads it again.
  const nowMs = Date.now();
  await using world = await openWorld({ organizations: 1, entries: 200, clock: () => nowMs });
  await using run = await world.open();
  await run.cycle();
  const { pool } = world.database;
  const stored = async () => (await pool.query('select count(*)::integer as events from audit_events')).rows[0].events;
  expect(await stored()).toBe(200);
  // A month that is over and has nothing left; it is a part of the history that is collected.
  await pool.query('delete from audit_events');
  const month = new Date(nowMs - 300 * DAY_MS).toISOString().slice(0, 7);
  await pool.query(
    `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
       values ('a month', $1, 200, 0, 1, 200, 1, '90 days')`,
    [`${month}-01`],
  );
  await run.cycle();
  expect(await stored(), 'coverage says that it was read').toBe(0);
  for (const command of ['verify', 'backfill']) {
    const { code, stderr } = await runInProcess(
      [command, '--since', `${month}-10`, '--before', `${month}-11`],
      world.env,
    );
    expect(stderr).toContain(`events of ${month} have been dropped (ORGTRAIL_RETENTION)`);
    expect(code).toBe(2);
  }
  const old = await runInProcess(['backfill', '--since', `${month}-10`, '--before', `${month}-11`], {
    ...world.env,
    ORGTRAIL_RETENTION: '90d',
  });
  expect(old).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--since is further back than ORGTRAIL_RETENTION keeps (90d)'),
  });
});

const DAY_MS = 86_400_000;
const january = Date.UTC(2024, 0, 15);

/** Runs the daemon's loop for so many looks; gives what it logged and how long it waited before each. */
const look = async (run: SyncRun, retentionMs: number, looks: number) => {
  const lines: string[] = [];
  const destination = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString('utf8'));
      done();
    },
  });
  const stop = new AbortController();
  const waits: number[] = [];
  const sleep = async (ms: number) => {
    waits.push(ms);
    if (waits.length > looks) stop.abort();
  };
  const logger = createLogger({ level: 'info', format: 'json', destination, secrets: [] });
  await startRetention({
    pool: run.app.database.pool,
    retentionMs,
    time: { sleep },
    logger,
    signal: stop.signal,
  });
  return { log: lines.map((line) => JSON.parse(line)), waits };
};

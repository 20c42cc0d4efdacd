import pino from 'pino';
import { beforeAll, describe, expect, test } from 'vitest';
import { dropOldMonths, setRetentionPolicy, startRetention } from '../../../src/archive/retention.sql.ts';
import { openFeed } from '../../../src/feed/open-feed.ts';
import { jsonLines } from '../../support/feed/json-lines.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests, poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { addSources, commit, entryText, newSource, RETENTION_MS, T0 } from '../../support/postgres/store-fixture.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { keptLog } from '../../support/process/kept-log.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld, type SyncRun } from '../../support/sync/sync-world.ts';

const database = databaseOfTests();

/** Positions 1 to 12; 1 to 3 and 7 to 9 are of January 2024, and are dropped. */
const world = forAllTests(() => openWorld({ organizations: 1, entries: 0 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
  await pool.query('update discovery set server_time = clock_timestamp()');
  const old = (n: number) => entryText(`old-${n}`, january + n * 1_000);
  const young = (n: number) => entryText(`young-${n}`, T0 + n * 1_000);
  const texts = Array.from({ length: 12 }, (_, n) => (n % 6 < 3 ? old(n + 1) : young(n + 1)));
  await commit(pool, await newSource(pool, 'o'), texts);
  expect((await get('after=0')).positions).toHaveLength(12);
  expect((await drop()).dropped).toMatchObject([{ month: '2024-01', events: 6, firstPosition: 1, lastPosition: 9 }]);
});

const heldPool = poolOfTests(database);
beforeAll(async () => {
  await addSources(heldPool, ['o1', 'o2']);
});

describe('the feed after a position before what retention has dropped', () => {
  test.each([0, 3, 5, 8])('after=%i: 410, what is gone, and how to go on', async (after) => {
    const { status, body } = await get(`after=${after}`);
    expect(status).toBe(410);
    expect(body).toEqual({
      status: 'gone',
      reason: `retention dropped 2024-01: up to 6 events after position ${after} (through 9) are no longer available. To continue anyway, use next_cursor, or add dropped=1`,
      missed: expect.stringMatching(/^retention dropped 2024-01: .* no longer available$/),
      months: ['2024-01'],
      next_cursor: expect.any(String),
      feed_id: expect.any(String),
      first_position: after === 8 ? 10 : after < 4 ? 4 : after + 1,
      dropped_until: 9,
      dropped: 1,
    });
  });

  test('after=9 and later: as ever', async () => {
    expect((await get('after=9')).positions).toEqual([10, 11, 12]);
    expect((await get('after=12')).positions).toEqual([]);
  });

  test('with dropped=1, or by the cursor of the 410 without a word about dropped, it goes on with what is there, and so do all that follow; pages have as many events as asked for', async () => {
    const { body } = await get('limit=4');
    const walk = async (first: string, follow: (headers: Headers) => string) => {
      const seen: number[] = [];
      for (let query = first; ; ) {
        const { status, positions, headers } = await get(query);
        expect(status).toBe(200);
        if (positions.length === 0) return seen;
        seen.push(...positions);
        query = follow(headers);
      }
    };
    const present = [4, 5, 6, 10, 11, 12];
    const byPosition = (after: string | null) => `after=${after}&limit=4&dropped=1`;
    expect(await walk(byPosition('0'), (headers) => byPosition(headers.get('orgtrail-next-position')))).toEqual(
      present,
    );
    const byCursor = (cursor: string | null) => `cursor=${cursor}&limit=2`;
    expect(await walk(byCursor(body.next_cursor), (headers) => byCursor(headers.get('orgtrail-next-cursor')))).toEqual(
      present,
    );
    expect((await get(byPosition('0'))).positions).toEqual([4, 5, 6, 10]);
  });

  test('a drop that has not happened: 409, the database is another one', async () => {
    const { status, body } = await get('after=0&dropped=2');
    expect(status).toBe(409);
    expect(body.reason).toContain('drop 2 has not happened, the last one is 1');
  });

  test('orgtrail feed: exit code 2 and what to do, and with --dropped it goes on', async () => {
    const refused = await feedCommand('--after', '2');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/retention dropped 2024-01: up to 6 events after position 2 /);
    const cursor = /Try: to continue anyway, pass --cursor ([\w-]+)\n/.exec(refused.stderr)?.[1] ?? '';
    const byCursor = await feedCommand('--cursor', cursor, '--limit', '4');
    expect(byCursor).toMatchObject({ code: 0, stderr: '' });
    const told = await feedCommand('--after', '2', '--dropped', '1', '--limit', '4');
    expect(told).toEqual(byCursor);
    expect(positionsOf(told.stdout)).toEqual([4, 5, 6, 10]);
  });

  test('orgtrail sink replay says that some will not come', async () => {
    await pool.query("insert into sinks (name, kind, target, position) values ('siem', 'webhook', 'x', 12)");
    const { stdout } = await runInProcess(['sink', 'replay', 'siem', '--after', '0'], {
      DATABASE_URL: world.database.url,
    });
    expect(stdout).toBe(
      'siem continues after 0: of 12 events to send, 12 will be sent again; retention has dropped up to 6 of them\n',
    );
    await pool.query('delete from sinks');
  });

  test('what is dropped while it is read is not skipped silently: no piece behind it is given', async () => {
    const feed = openFeed(world.database.url, pino({ level: 'silent' }));
    try {
      const head = await feed.source.head();
      const range = { after: 9, until: head.position, organizationIds: undefined };
      await pool.query(
        `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
         values ('audit_events_2024_02', '2024-02-01', 1, 0, 11, 11, 1, '1 year')`,
      );
      const events = async (of: typeof head) => {
        let count = 0;
        for await (const piece of feed.source.pieces(of, range, 'native')) count += piece.events;
        return count;
      };
      await expect(events(head)).rejects.toThrow(
        'events after position 9 were dropped or lost while they were being read',
      );
      expect(await events(await feed.source.head())).toBe(3);
    } finally {
      await pool.query('delete from retention_drops where id > 1');
      await feed.close();
    }
  });
});

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
  expect(old).toMatchObject(exits(2, '--since is further back than ORGTRAIL_RETENTION keeps (90d)'));
});

describe('orgtrail hold', () => {
  test('add, list and release: who, why and when stay', async () => {
    expect((await hold('list')).stdout).toBe('no holds\n');
    const window = ['--since', '2025-03-01', '--before', '2025-06-01T12:00:00Z'];
    const added = await hold('add', '--organization', 'o1', ...window, '--reason', 'case 17', '--by', 'J. Doe');
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout).toBe(
      'hold 1 is in force: events of Name of o1 (o1), since 2025-03-01T00:00:00.000Z, before 2025-06-01T12:00:00.000Z\n',
    );
    const everything = await hold('add', '--all-organizations', '--reason', 'notice', '--json');
    expect(JSON.parse(everything.stdout)).toMatchObject({
      id: 2,
      organizationId: null,
      since: null,
      before: null,
      dropped: [],
    });
    expect(await listed()).toMatchObject([
      {
        id: 1,
        organizationId: 'o1',
        reason: 'case 17',
        createdBy: 'J. Doe',
        createdAs: expect.any(String),
        releasedAt: null,
      },
      { id: 2 },
    ]);
    expect((await hold('release', '1', '--by', 'R. Roe')).stdout).toMatch(/^hold 1 is released: the retention applies/);
    expect(await listed()).toMatchObject([
      { id: 1, createdBy: 'J. Doe', releasedBy: 'R. Roe', releasedAt: expect.any(String) },
      {},
    ]);
    const { stdout } = await hold('list');
    expect(stdout).toMatch(/^ID +STATE +ORGANIZATION/);
    expect(stdout).toMatch(
      /\n1 +released \S+ by R. Roe +o1 \(Name of o1\) .*case 17\n2 +in force +every organization /,
    );
  });

  test('an account is named by its id or its name', async () => {
    await heldPool.query("insert into accounts (id, name) values ('a1', 'Shop')");
    for (const account of ['a1', 'SHOP']) {
      const added = await hold('add', '--account', account, '--reason', 'case 18');
      expect(added).toMatchObject({ code: 0, stdout: expect.stringContaining('events of the account Shop (a1)') });
    }
    expect((await listed()).at(-1)).toMatchObject({ organizationId: null, accountId: 'a1', accountName: 'Shop' });
    expect((await hold('list')).stdout).toMatch(/ account a1 \(Shop\) .*case 18\n/);
  });

  test('says what has been dropped before', async () => {
    await heldPool.query(
      `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
       values ('audit_events_2024_02', '2024-02-01', 1, 0, 1, 1, 1, '1 year')`,
    );
    const { stdout } = await hold('add', '--organization', 'o2', '--since', '2024-01-15', '--reason', 'too late');
    expect(stdout).toContain('already dropped, and not held: 2024-02');
    const later = await hold('add', '--organization', 'o2', '--since', '2024-03-01', '--reason', 'in time');
    expect(later.stdout).not.toContain('dropped');
  });
});

const january = Date.UTC(2024, 0, 15);

const drop = () => dropOldMonths(pool, RETENTION_MS);

const positionsOf = (text: string): readonly number[] =>
  jsonLines<{ position: number }>(text).map(({ position }) => position);

const get = async (query: string) => {
  const response = await fetch(`${served.server.url}/v1/events?${query}`);
  const text = await response.text();
  const positions = response.ok ? positionsOf(text) : [];
  return { status: response.status, headers: response.headers, positions, body: response.ok ? {} : JSON.parse(text) };
};

/** Of the database; a daemon gives the same. */
const feedCommand = async (...args: string[]) => {
  const local = await runInProcess(['feed', ...args], { DATABASE_URL: world.database.url });
  expect(await runInProcess(['feed', '--url', served.server.url, ...args], {})).toEqual(local);
  return local;
};

const DAY_MS = 86_400_000;

/** Runs the daemon's loop for so many looks; gives what it logged and how long it waited before each. */
const look = async (run: SyncRun, retentionMs: number, looks: number) => {
  const { entries, logger } = keptLog();
  const stop = new AbortController();
  const waits: number[] = [];
  const sleep = async (ms: number) => {
    waits.push(ms);
    if (waits.length > looks) stop.abort();
  };
  await startRetention({ pool: run.app.database.pool, retentionMs, time: { sleep }, logger, signal: stop.signal });
  return { log: entries(), waits };
};

const hold = (...args: string[]) => runInProcess(['hold', ...args], { DATABASE_URL: database.url });
const listed = async () => JSON.parse((await hold('list', '--json')).stdout);

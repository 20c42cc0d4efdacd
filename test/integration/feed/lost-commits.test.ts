import { beforeAll, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { jsonLines } from '../../support/feed/json-lines.ts';
import { lastJump, loseCommits } from '../../support/postgres/lost-commits.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { commit, commitAll, entryText, newSource, takeLease } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** What the 410 gives to go on with. */
let gone: string;
/** What a reader kept that had come to position 8 before the failover. */
let ahead: { readonly feedId: string; readonly check: string };
let to: number;

/** Eight events are committed, three of them are lost, and a reader that had all eight is the first to ask. */
const world = forAllTests(() => openWorld({ organizations: 1, entries: 0 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await commitAll(pool, await newSource(pool, 'o'), [ids(1, 8)]);
  const { headers } = await get('after=0');
  ahead = { feedId: headers.get('orgtrail-feed-id') ?? '', check: headers.get('orgtrail-next-check') ?? '' };
  await loseCommits(pool, 5);
});

describe('the feed after a failover that lost commits', () => {
  test('a reader that is ahead is told before anything new is committed, also on a connection that survived', async () => {
    const { status, body } = await get(`after=8&feed_id=${ahead.feedId}&check=${ahead.check}`);
    const jump = await lastJump(pool);
    to = jump.to;
    expect(status).toBe(410);
    expect(body).toEqual({
      status: 'gone',
      reason: `the database failed over or was restored, and lost the events after position 5 that you have read: they are sent again after ${to}, with the same ids. To continue anyway, use next_cursor, or add dropped=${jump.id}`,
      missed: expect.stringMatching(/^the database failed over .* with the same ids$/),
      months: [],
      next_cursor: expect.any(String),
      feed_id: ahead.feedId,
      first_position: null,
      dropped_until: to,
      dropped: jump.id,
    });
    gone = body.next_cursor;
    expect(run.log()).toContain('the database failed over or was restored; positions jump');
  });

  test('once it says that it knows, it gets what is there, and is told no more', async () => {
    await commit(pool, await takeLease(pool, 'o'), ids(6, 9));
    const { id } = await lastJump(pool);
    const told = await get(`after=8&feed_id=${ahead.feedId}&check=${ahead.check}&dropped=${id}&limit=2`);
    expect(told.events.map(({ position, id }) => [position - to, id])).toEqual([
      [1, 'e-6'],
      [2, 'e-7'],
    ]);
    const again = await get(`cursor=${gone}&limit=2`);
    expect(again.events).toEqual(told.events);
    const [next, check] = ['orgtrail-next-position', 'orgtrail-next-check'].map((name) => told.headers.get(name));
    const rest = await get(`after=${next}&feed_id=${ahead.feedId}&check=${check}`);
    expect(rest.events.map(({ id }) => id)).toEqual(['e-8', 'e-9']);
  });

  test.each([0, 4, 5])(
    'a reader behind the jump (%i) has lost nothing, is told nothing, and passes it',
    async (after) => {
      const { status, events } = await get(`after=${after}&limit=${5 - after + 1}`);
      expect(status).toBe(200);
      expect(events.map(({ id }) => id)).toEqual(Array.from({ length: 6 - after }, (_, n) => `e-${after + n + 1}`));
      expect(events.at(-1)?.position).toBe(to + 1);
      expect((await get(`after=${to}`)).events.map(({ id }) => id)).toEqual(['e-6', 'e-7', 'e-8', 'e-9']);
    },
  );

  test('with a filter that nothing meets it is passed at once', async () => {
    const { status, headers } = await get('after=3&organization=unknown');
    expect([status, headers.get('orgtrail-next-position')]).toEqual([200, String(to + 4)]);
  });

  test('orgtrail feed warns on stderr, goes on, and says no more with --dropped', async () => {
    const printed = (stdout: string) => jsonLines<{ id: string }>(stdout).map(({ id }) => id);
    const warned = await feedCommand('--after', '8', '--feed-id', ahead.feedId, '--check', ahead.check);
    expect(warned.code).toBe(0);
    expect(warned.stderr.match(/lost the events after position 5 that you have read/g)).toHaveLength(1);
    expect(printed(warned.stdout)).toEqual(['e-6', 'e-7', 'e-8', 'e-9']);
    const { id } = await lastJump(pool);
    const known = await feedCommand('--after', '8', '--dropped', String(id));
    expect(known).toMatchObject({ code: 0, stderr: '', stdout: warned.stdout });
  });

  test('orgtrail sink replay counts events, not positions', async () => {
    await pool.query("insert into sinks (name, kind, target, position) values ('siem', 'webhook', 'x', $1)", [to + 4]);
    const { stdout } = await runInProcess(['sink', 'replay', 'siem', '--after', '2'], {
      DATABASE_URL: world.database.url,
    });
    expect(stdout).toBe('siem continues after 2: of 7 events to send, 7 will be sent again\n');
    await pool.query('delete from sinks');
  });

  test('status, health and metrics say that it happened', async () => {
    const { stdout } = await runInProcess(['status'], { DATABASE_URL: world.database.url });
    expect(stdout).toContain(`at position ${to + 4} (jumped after a failover or restore: 1)`);
    expect((await served.get('/healthz')).body).toMatchObject({ feed_position: to + 4, position_jumps: 1 });
    expect(await served.text('/metrics')).toContain('\norgtrail_position_jumps 1\n');
  });

  test('a reader that waits while it happens gets an empty answer, and is told with the next request', async () => {
    const after = to + 4;
    const waiting = get(`after=${after}&wait=60`);
    await commit(pool, await takeLease(pool, 'o'), []);
    await loseCommits(pool, to + 2);
    // The notification of a commit on the new primary wakes all who wait.
    await commit(pool, await takeLease(pool, 'o'), ids(8, 10));
    const woken = await waiting;
    const next = woken.headers.get('orgtrail-next-position');
    expect(woken.status === 410 || (woken.events.length === 0 && next === String(after))).toBe(true);
    expect((await get(`after=${after}`)).status).toBe(410);
  });

  test('while a commit that will compare is under way, no reader is told that this is another database', async () => {
    await commit(pool, await takeLease(pool, 'o'), ids(11, 12));
    const head = await firstValue<number>(pool, 'select position::float8 as head from feed_head');
    await loseCommits(pool, head - 1);
    const committing = await pool.connect();
    try {
      await committing.query('begin');
      await committing.query('update feed_head set position = position');
      const early = await get(`after=${head}`);
      expect([early.status, early.body.reason]).toEqual([503, expect.stringContaining('the database has failed over')]);
      const settled = get(`after=${head}`);
      await committing.query('commit');
      expect((await settled).status).toBe(410);
    } finally {
      committing.release();
    }
  });

  test('an account that only reads is told to ask again until the timelines are compared', async () => {
    await commit(pool, await takeLease(pool, 'o'), ids(13, 14));
    const head = await firstValue<number>(pool, 'select position::float8 as head from feed_head');
    await migrateDatabase(pool, { roles: true });
    await using reader = await createLogin(world.database, ['orgtrail_reader']);
    await loseCommits(pool, head - 1);
    const early = await runInProcess(['feed', '--after', String(head)], { DATABASE_URL: reader.url });
    expect([early.code, early.stderr]).toEqual([4, expect.stringContaining('the database has failed over')]);
    await pool.query('select orgtrail_check_timeline()');
    const settled = await runInProcess(['feed', '--after', String(head)], { DATABASE_URL: reader.url });
    expect(settled.stderr).toContain('lost the events after position');
    await pool.query('drop owned by orgtrail_ingest, orgtrail_reader');
  });
});

const ids = (from: number, until: number) =>
  Array.from({ length: until - from + 1 }, (_, index) => entryText(`e-${from + index}`));

const get = async (query: string) => {
  const response = await fetch(`${served.server.url}/v1/events?${query}`);
  const text = await response.text();
  const events = response.ok ? jsonLines<{ position: number; id: string }>(text) : [];
  const { status, headers } = response;
  return { status, headers, events, body: response.ok ? {} : JSON.parse(text) };
};

/** Of the database; a daemon gives the same. */
const feedCommand = async (...args: string[]) => {
  const local = await runInProcess(['feed', ...args], { DATABASE_URL: world.database.url });
  expect(await runInProcess(['feed', '--url', served.server.url, ...args], {})).toMatchObject({
    code: local.code,
    stdout: local.stdout,
  });
  return local;
};

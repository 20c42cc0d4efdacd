import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFeed } from '../../../src/feed/feed-source.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { commit, entryText, newSource, RETENTION_MS, T0 } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
let run: SyncRun;
let served: Served;

/** Positions 1 to 12; 1 to 3 and 7 to 9 are of January 2024, and are dropped. */
beforeAll(async () => {
  world = await openWorld({ organizations: 1, entries: 0 });
  const { pool } = world.database;
  run = await world.open();
  served = await serve(run);
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
  await pool.query('update discovery set server_time = clock_timestamp()');
  const old = (n: number) => entryText(`old-${n}`, january + n * 1_000);
  const young = (n: number) => entryText(`young-${n}`, T0 + n * 1_000);
  const texts = Array.from({ length: 12 }, (_, n) => (n % 6 < 3 ? old(n + 1) : young(n + 1)));
  await commit(pool, await newSource(pool, 'o'), texts);
  expect((await get('after=0')).positions).toHaveLength(12);
  expect((await drop()).dropped).toMatchObject([{ month: '2024-01', events: 6, firstPosition: 1, lastPosition: 9 }]);
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await run?.close();
  await world?.[Symbol.asyncDispose]();
});

describe('the feed after a position before what retention has dropped', () => {
  test.each([0, 3, 5, 8])('after=%i: 410, what is gone, and how to go on', async (after) => {
    const { status, body } = await get(`after=${after}`);
    expect(status).toBe(410);
    expect(body).toEqual({
      status: 'gone',
      reason: `retention dropped 2024-01: up to 6 events after position ${after} (through 9) are no longer available. To continue anyway, use next_cursor, or add dropped=1`,
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
    const { pool } = world.database;
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
    const { pool } = world.database;
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

const january = Date.UTC(2024, 0, 15);

const drop = () => dropOldMonths(world.database.pool, RETENTION_MS);

const positionsOf = (text: string): readonly number[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).position);

const get = async (query: string) => {
  const response = await fetch(`${served.server.url}/v1/events?${query}`);
  const text = await response.text();
  const positions = response.ok ? positionsOf(text) : [];
  return { status: response.status, headers: response.headers, positions, body: response.ok ? {} : JSON.parse(text) };
};

const feedCommand = (...args: string[]) => runInProcess(['feed', ...args], { DATABASE_URL: world.database.url });

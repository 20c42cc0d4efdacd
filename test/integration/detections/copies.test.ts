import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readEventMarks } from '../../../src/findings/event-marks.sql.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commitAll } from '../../support/postgres/store-fixture.ts';
import { newAccountSource, userEntryText } from '../../support/sync/account-source.ts';

let database: TestDatabase;
/** Bursts are looked for in the last 31 days. */
const startMs = Date.now() - 86_400_000;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database?.close();
});
beforeEach(async () => {
  await database.pool.query('truncate audit_events');
  await database.pool.query('update feed_head set position = 0');
});

test('a token of a user that stands in three accounts is found once, where it was stored first', async () => {
  for (const account of ['b', 'a', 'c']) await store(account, [token(account)]);
  expect(await found()).toEqual([{ detection: 'api_token_changed', account: 'b', id: 'token', position: 1 }]);
  const { rows } = await database.pool.query(
    'select position::float8 as position, action_time::text as "sortTime" from audit_events',
  );
  expect(rows).toHaveLength(3);
  const mark = { position: 1, detection: 'api_token_changed', severity: 'medium' };
  expect(await readEventMarks(database.pool, rows)).toEqual([mark]);
});

test('a burst that stands in three accounts is found once, at the position at which it was whole in one of them', async () => {
  await store('a', attempts(1, 9, 'a'));
  await store('b', attempts(1, 10, 'b'));
  expect(await found()).toEqual([{ detection: 'failure_burst', account: 'b', id: 'attempt 10', position: 19 }]);
  await store('a', attempts(10, 10, 'a'));
  await store('c', attempts(1, 10, 'c'));
  expect(await found()).toEqual([{ detection: 'failure_burst', account: 'b', id: 'attempt 10', position: 19 }]);
});

test('copies do not count as more than one', async () => {
  for (const account of ['a', 'b', 'c']) await store(account, attempts(1, 9, account));
  expect(await found()).toEqual([]);
});

test('a burst is found although its tenth was stored first in an account that lacks the others', async () => {
  await store('z', attempts(10, 10, 'z'));
  await store('a', attempts(1, 10, 'a'));
  expect(await found()).toEqual([{ detection: 'failure_burst', account: 'a', id: 'attempt 10', position: 11 }]);
});

test('bursts of entries that are of the accounts themselves are found in each of them', async () => {
  const own = { resource: { scope: 'accounts' } };
  for (const account of ['a', 'b']) await store(account, attempts(1, 10, account, own));
  expect((await found()).map(({ account }) => account)).toEqual(['a', 'b']);
});

test('a client of its own gets them without jit, which would compile for half a minute, and with its conditions', async () => {
  await migrateDatabase(database.pool, { roles: true });
  await using reader = await createLogin(database, ['orgtrail_reader']);
  for (const url of [database.url, reader.url]) {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('set jit = on; set jit_above_cost = 0');
      const jit = async () => (await client.query<{ jit: string }>('show jit')).rows[0]?.jit;
      await client.query('begin');
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        "explain (analyze, verbose) select * from detections where position > 7 and action_time > '2026-01-01'",
      );
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(await jit(), 'before the planner decides').toBe('off');
      expect(plan).not.toMatch(/JIT|orgtrail_without_jit/);
      // Each of its views gets the conditions: nothing is read and then left out.
      expect(plan).not.toMatch(/Subquery Scan on detections/);
      expect(plan).toMatch(/Cond: .*action_time > '2026-01-01/);
      await client.query('commit');
      expect(await jit(), 'for that transaction alone').toBe('on');
    } finally {
      await client.end();
    }
  }
});

const store = async (accountId: string, texts: readonly string[]): Promise<void> => {
  await commitAll(database.pool, await newAccountSource(database.pool, accountId), [texts]);
};

const found = async () => {
  const { rows } = await database.pool.query(
    'select detection, source_id as account, id, position::float8 as position from detections order by position, detection',
  );
  return rows;
};

const token = (accountId: string) =>
  userEntryText(
    'token',
    accountId,
    { resource: { scope: 'user', type: 'api_token' }, raw: { method: 'POST', uri: '/user/tokens' } },
    startMs,
  );

/** The nth attempt of one person to sign in. */
const attempt = (n: number, accountId: string, more: object = {}) =>
  userEntryText(
    `attempt ${n}`,
    accountId,
    {
      action: { type: 'login', result: 'failure', time: new Date(startMs + n * 1_000).toISOString() },
      actor: { id: 'prober', email: 'prober@example.com' },
      ...more,
    },
    startMs + n * 1_000,
  );

const attempts = (from: number, to: number, accountId: string, more?: object) =>
  Array.from({ length: to - from + 1 }, (_, n) => attempt(from + n, accountId, more));

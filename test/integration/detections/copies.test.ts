import { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { readEventMarks } from '../../../src/sinks/findings/list-findings.sql.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { valuesOf } from '../../support/postgres/rows.ts';
import { commitAll } from '../../support/postgres/store-fixture.ts';
import { newAccountSource, userEntryText } from '../../support/sync/account-source.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);
const DAY_MS = 86_400_000;

/** Sign-ins are looked for in the last 31 days, and what was before in 31 days more. */
const startMs = Date.now() - 20 * DAY_MS;

beforeAll(async () => {
  await pool.query("select orgtrail_create_partitions(now() - interval '70 days', now())");
});

beforeEach(async () => {
  await pool.query('truncate audit_events');
  await pool.query('update feed_head set position = 0');
});

/** Bursts are looked for in the last 31 days. */
const burstMs = Date.now() - 86_400_000;

beforeEach(async () => {
  await pool.query('truncate audit_events');
  await pool.query('update feed_head set position = 0');
});

describe('a sign-in without SSO', () => {
  const bob = { who: 'bob@corp.example', bySso: false };

  test('is found if someone of the domain signed in with it before, once for all accounts that it stands in', async () => {
    const password = signIn('password', { ...bob, day: 1 });
    await store('a', signIn('sso'), password, signIn('sso again', { day: 2 }));
    await store('b', password);
    expect(await found('without_sso')).toEqual(['2 password']);
  });

  test('is not found in a domain without SSO, before SSO, more than 31 days after it, or if it failed', async () => {
    await store(
      'a',
      signIn('other domain', { who: 'carol@other.example', bySso: false, day: 1 }),
      signIn('before', { ...bob, day: -1 }),
      signIn('sso'),
      signIn('failed', { ...bob, day: 1, more: { result: 'failure' } }),
    );
    await store('c', signIn('old sso', { who: 'dave@old.example', day: -20 }));
    await store('d', signIn('long after', { who: 'erin@old.example', bySso: false, day: 12 }));
    expect(await found('without_sso')).toEqual([]);
  });

  test('is no entry of another scope or type, whatever words it has', async () => {
    await store(
      'a',
      signIn('sso'),
      signIn('of the account', { ...bob, day: 1, resource: { scope: 'accounts' } }),
      signIn('an update', { ...bob, day: 1, more: { type: 'update' } }),
    );
    expect(await found('without_sso')).toEqual([]);
  });

  test('has the position of the sign-in by SSO if that was stored later', async () => {
    await store('a', signIn('password', { ...bob, day: 1 }));
    expect(await found('without_sso')).toEqual([]);
    await store('b', signIn('sso'));
    expect(await found('without_sso')).toEqual(['2 password']);
  });
});

describe('a sign-in from a new network', () => {
  test('is found if the user signed in from others only within 31 days, and each network once', async () => {
    await store(
      'a',
      signIn('first ever', { day: 0 }),
      signIn('same network', { from: '203.0.113.250', day: 1 }),
      signIn('new network', { from: '203.0.114.7', day: 2 }),
      signIn('no more new', { from: '203.0.114.8', day: 3 }),
      signIn('home again', { day: 4 }),
      signIn('someone else, first ever', { who: 'bob@corp.example', from: '198.51.100.1', day: 5 }),
      signIn('of no actor', { who: null, from: '192.0.2.1', day: 5 }),
      signIn('from nowhere', { from: '', day: 6 }),
    );
    expect(await found('from_new_network')).toEqual(['3 new network']);
  });

  test('compares the first three groups of IPv6, and anything else as a whole', async () => {
    const addresses = [
      '2001:db8:1::1',
      '2001:DB8:1:ffff::2',
      '2001:db8:2::1',
      '2001:db8::1',
      '2001:db8:0:9::1',
      'x',
      'y',
    ];
    await store('a', ...addresses.map((from, day) => signIn(from, { from, day })));
    expect(await found('from_new_network')).toEqual(['3 2001:db8:2::1', '4 2001:db8::1', '6 x', '7 y']);
  });

  test('is told once for all accounts, and at the position at which it is known to be one', async () => {
    const elsewhere = signIn('elsewhere', { from: '198.51.100.1', day: 1 });
    await store('a', elsewhere);
    await store('b', elsewhere);
    expect(await found('from_new_network')).toEqual([]);
    await store('c', signIn('home', { day: 0 }));
    expect(await found('from_new_network')).toEqual(['3 elsewhere']);
  });

  test('a network that was used more than 31 days ago is new again', async () => {
    await store(
      'a',
      signIn('long ago', { from: '198.51.100.1', day: -20 }),
      signIn('home', { day: -1 }),
      signIn('back', { from: '198.51.100.1', day: 12 }),
    );
    expect(await found('from_new_network')).toEqual(['2 home', '3 back']);
  });
});

test('both look further back since orgtrail.bursts_since', async () => {
  await pool.query("select orgtrail_create_partitions(now() - interval '140 days', now())");
  const late = { who: 'bob@corp.example', bySso: false, from: '198.51.100.1', day: -80 };
  await store(
    'a',
    signIn('sso', { day: -90 }),
    signIn('bob', { ...late, day: -85, bySso: true, from: '192.0.2.1' }),
    signIn('old', late),
  );
  expect([...(await found('without_sso')), ...(await found('from_new_network'))]).toEqual([]);
  const client = await pool.connect();
  try {
    await client.query("begin; set local orgtrail.bursts_since = '-infinity'");
    const { rows } = await client.query(
      "select detection, id from detections where detection like 'sign_in%' order by detection",
    );
    expect(rows).toEqual([
      { detection: 'sign_in_from_new_network', id: 'old' },
      { detection: 'sign_in_without_sso', id: 'old' },
    ]);
  } finally {
    await client.query('rollback');
    client.release();
  }
});

test('a token of a user that stands in three accounts is found once, where it was stored first', async () => {
  for (const account of ['b', 'a', 'c']) await storeTexts(account, [token(account)]);
  expect(await allFound()).toEqual([{ detection: 'api_token_changed', account: 'b', id: 'token', position: 1 }]);
  const { rows } = await pool.query(
    'select position::float8 as position, action_time::text as "sortTime" from audit_events',
  );
  expect(rows).toHaveLength(3);
  const mark = { position: 1, detection: 'api_token_changed', severity: 'medium' };
  expect(await readEventMarks(pool, rows)).toEqual([mark]);
});

test('a burst that stands in three accounts is found once, at the position at which it was whole in one of them', async () => {
  await storeTexts('a', attempts(1, 9, 'a'));
  await storeTexts('b', attempts(1, 10, 'b'));
  expect(await allFound()).toEqual([{ detection: 'failure_burst', account: 'b', id: 'attempt 10', position: 19 }]);
  await storeTexts('a', attempts(10, 10, 'a'));
  await storeTexts('c', attempts(1, 10, 'c'));
  expect(await allFound()).toEqual([{ detection: 'failure_burst', account: 'b', id: 'attempt 10', position: 19 }]);
});

test('copies do not count as more than one', async () => {
  for (const account of ['a', 'b', 'c']) await storeTexts(account, attempts(1, 9, account));
  expect(await allFound()).toEqual([]);
});

test('a burst is found although its tenth was stored first in an account that lacks the others', async () => {
  await storeTexts('z', attempts(10, 10, 'z'));
  await storeTexts('a', attempts(1, 10, 'a'));
  expect(await allFound()).toEqual([{ detection: 'failure_burst', account: 'a', id: 'attempt 10', position: 11 }]);
});

test('bursts of entries that are of the accounts themselves are found in each of them', async () => {
  const own = { resource: { scope: 'accounts' } };
  for (const account of ['a', 'b']) await storeTexts(account, attempts(1, 10, account, own));
  expect((await allFound()).map(({ account }) => account)).toEqual(['a', 'b']);
});

test('a client of its own gets them without jit, which would compile for half a minute, and with its conditions', async () => {
  await migrateDatabase(pool, { roles: true });
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

interface SignIn {
  readonly who?: string | null;
  readonly from?: string;
  readonly bySso?: boolean;
  readonly day?: number;
  readonly more?: object;
  readonly resource?: object;
}

/** Of `alice@corp.example` from one address by SSO, unless it says otherwise. */
const signIn = (id: string, { who = 'alice@corp.example', from = '203.0.113.7', ...rest }: SignIn = {}) => {
  const { bySso = true, day = 0, more = {}, resource = {} } = rest;
  const timeMs = startMs + day * DAY_MS;
  const path = bySso ? '/login/sso' : '/login';
  return (account: string): string =>
    userEntryText(
      id,
      account,
      {
        action: {
          type: 'login',
          description: bySso ? 'SSO_LOGIN' : 'LOGIN',
          result: 'success',
          time: new Date(timeMs).toISOString(),
          ...more,
        },
        actor: { id: who === null ? '' : `id of ${who}`, email: who, ip_address: from, type: 'user' },
        raw: { method: 'POST', status_code: 200, uri: path },
        resource: { product: 'login', type: 'session', scope: 'user', ...resource },
      },
      timeMs,
    );
};

const store = async (account: string, ...entries: readonly ((account: string) => string)[]): Promise<void> => {
  const texts = entries.map((entry) => entry(account));
  await commitAll(pool, await newAccountSource(pool, account), [texts]);
};

const found = (detection: string) =>
  valuesOf<string>(
    pool,
    `select position || ' ' || id as line from detections where detection = $1 order by position, id`,
    [`sign_in_${detection}`],
  );

const storeTexts = async (accountId: string, texts: readonly string[]): Promise<void> => {
  await commitAll(pool, await newAccountSource(pool, accountId), [texts]);
};

const allFound = async () => {
  const { rows } = await pool.query(
    'select detection, source_id as account, id, position::float8 as position from detections order by position, detection',
  );
  return rows;
};

const token = (accountId: string) =>
  userEntryText(
    'token',
    accountId,
    { resource: { scope: 'user', type: 'api_token' }, raw: { method: 'POST', uri: '/user/tokens' } },
    burstMs,
  );

/** The nth attempt of one person to sign in. */
const attempt = (n: number, accountId: string, more: object = {}) =>
  userEntryText(
    `attempt ${n}`,
    accountId,
    {
      action: { type: 'login', result: 'failure', time: new Date(burstMs + n * 1_000).toISOString() },
      actor: { id: 'prober', email: 'prober@example.com' },
      ...more,
    },
    burstMs + n * 1_000,
  );

const attempts = (from: number, to: number, accountId: string, more?: object) =>
  Array.from({ length: to - from + 1 }, (_, n) => attempt(from + n, accountId, more));

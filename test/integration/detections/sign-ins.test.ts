import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commitAll } from '../../support/postgres/store-fixture.ts';
import { newAccountSource, userEntryText } from '../../support/sync/account-source.ts';

const DAY_MS = 86_400_000;
/** Sign-ins are looked for in the last 31 days, and what was before in 31 days more. */
const startMs = Date.now() - 20 * DAY_MS;
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query("select orgtrail_create_partitions(now() - interval '70 days', now())");
});
afterAll(async () => {
  await database?.close();
});
beforeEach(async () => {
  await database.pool.query('truncate audit_events');
  await database.pool.query('update feed_head set position = 0');
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
  await database.pool.query("select orgtrail_create_partitions(now() - interval '140 days', now())");
  const late = { who: 'bob@corp.example', bySso: false, from: '198.51.100.1', day: -80 };
  await store(
    'a',
    signIn('sso', { day: -90 }),
    signIn('bob', { ...late, day: -85, bySso: true, from: '192.0.2.1' }),
    signIn('old', late),
  );
  expect([...(await found('without_sso')), ...(await found('from_new_network'))]).toEqual([]);
  const client = await database.pool.connect();
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
  await commitAll(database.pool, await newAccountSource(database.pool, account), [texts]);
};

const found = async (detection: string): Promise<readonly string[]> => {
  const { rows } = await database.pool.query<{ line: string }>(
    `select position || ' ' || id as line from detections where detection = $1 order by position, id`,
    [`sign_in_${detection}`],
  );
  return rows.map(({ line }) => line);
};

import { beforeAll, describe, expect, test } from 'vitest';
import { eachFeedRow, hasFeedEvents, positionOfNth } from '../../../src/feed/feed.sql.ts';
import { isFirstCopy } from '../../../src/feed/feed.ts';
import { type FeedEventsRange, readFeedEvents } from '../../../src/feed/feed-events.sql.ts';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { positionOf } from '../../../src/feed/feed-row.ts';
import { readEvent } from '../../../src/search/search-events.sql.ts';
import { createTestDatabase, databaseOfTests } from '../../support/postgres/database.ts';
import { addSources, commitAll, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { newAccountSource, userEntryText } from '../../support/sync/account-source.ts';

const scoped = (scope: unknown) => ({ resource: { scope } });

/** What is committed, in order of position: the account, and the texts of its page. */
const pages: readonly (readonly [account: string, texts: readonly string[]])[] = [
  ['a', [userEntryText('login', 'a'), entryText('own', T0, scoped('accounts'))]],
  ['b', [userEntryText('login', 'b'), userEntryText('join', 'b', scoped('memberships'))]],
  // By chance the same id as that of another entry: the time differs.
  ['c', [userEntryText('login', 'c', {}, T0 + 1)]],
  // The same id and time, but entries of the accounts themselves, or without a scope, a time or a readable one.
  ['c', [entryText('own', T0, scoped('accounts')), entryText('bare', T0)]],
  ['d', [entryText('bare', T0), '{"id":"timeless","resource":{"scope":"user"}}']],
  ['e', ['{"id":"timeless","resource":{"scope":"user"}}']],
  // What is late in one account.
  ['d', [userEntryText('login', 'd'), userEntryText('join', 'd', scoped('memberships'))]],
];
const names = ['a login', 'a own', 'b login', 'b join', 'c login', 'c own', 'c bare', 'd bare', 'd timeless'];
const all = [...names, 'e timeless', 'd login', 'd join'];
const copies = ['b login', 'd login', 'd join'];
const firsts = all.filter((name) => !copies.includes(name));

const database = databaseOfTests();
let nameAt: ReadonlyMap<number, string>;

beforeAll(async () => {
  const { pool } = database;
  await addSources(pool, ['o1', 'o2']);
  const organizations: Readonly<Record<string, string>> = { a: 'o1', b: 'o2', c: 'o2', d: 'o2' };
  for (const [account, texts] of pages) {
    await commitAll(pool, await newAccountSource(pool, account, organizations[account] ?? null), [texts]);
  }
  const { rows } = await pool.query('select position::float8, source_id, id from audit_events order by position');
  nameAt = new Map(rows.map(({ position, source_id, id }) => [position, `${source_id} ${id}`]));
});

const nameOf = (position: number) => nameAt.get(position) ?? '';
const range = (filter: Partial<Filter>, after = 0) => ({ after, until: 100, organizationIds: undefined, ...filter });

const bySink = async (filter: Partial<Filter>, after = 0, maxEvents = 100): Promise<string[]> => {
  const asked = { ...range(filter, after), until: undefined, maxEvents, maxBytes: 1e9 };
  return (await readFeedEvents(database.pool, asked)).events.map(({ position }) => nameOf(position));
};

const byFeed = async (filter: Partial<Filter>, after = 0): Promise<string[]> => {
  const read: string[] = [];
  const until = (await readFeedHead(database.pool)).position;
  await eachFeedRow(
    database.pool,
    { ...range(filter, after), until },
    { maxEvents: 100, maxBytes: 1_000_000 },
    (row) => {
      read.push(nameOf(positionOf(row)));
      return 0;
    },
  );
  return read;
};

test('the pages are stored as they are meant', () => {
  expect([...nameAt.values()]).toEqual(all);
});

describe.each([
  ['a sink', bySink],
  ['the feed', byFeed],
])('%s', (_, read) => {
  test('gives every copy, unless it is told to give the first', async () => {
    expect(await read({})).toEqual(all);
    expect(await read({ copies: 'all' })).toEqual(all);
  });

  test('gives the first alone, and all that only looks like a copy', async () => {
    expect(await read({ copies: 'first' })).toEqual(firsts);
  });

  test('gives the first of those that the rest of its filter lets through', async () => {
    expect(await read({ copies: 'first', accountIds: ['b', 'd'] })).toEqual([
      'b login',
      'b join',
      'd bare',
      'd timeless',
    ]);
    expect(await read({ copies: 'first', accountIds: ['d'] })).toEqual(['d bare', 'd timeless', 'd login', 'd join']);
    expect(await read({ copies: 'first', organizationIds: ['o2'] })).toEqual(
      all.filter((name) => /^[bcd]/.test(name) && !['d login', 'd join'].includes(name)),
    );
    expect(await read({ copies: 'first', organizationIds: ['o2'], accountIds: ['d', 'a'] })).toEqual([
      'd bare',
      'd timeless',
      'd login',
      'd join',
    ]);
  });

  test('gives from any place on what it gives from the beginning: a copy is one, whichever reader has had the first', async () => {
    const positions = [...nameAt.keys()];
    for (const after of positions) {
      const behind = firsts.filter((name) => positionNamed(name) > after);
      expect(await read({ copies: 'first' }, after)).toEqual(behind);
    }
  });
});

test('a request of so many events counts those that it gives', async () => {
  const { pool } = database;
  const asked = { ...range({ copies: 'first' }), until: all.length };
  for (const [n, name] of firsts.entries()) {
    expect(nameOf(await positionOfNth(pool, asked, n + 1))).toBe(name);
    expect((await bySink({ copies: 'first' }, 0, n + 1)).at(-1)).toBe(name);
  }
  const behind = positionNamed('d login') - 1;
  expect(await hasFeedEvents(pool, { ...asked, after: behind })).toBe(false);
  expect(await hasFeedEvents(pool, { ...asked, after: behind, copies: 'all' })).toBe(true);
  expect(await hasFeedEvents(pool, { ...asked, after: behind, accountIds: ['d'] })).toBe(true);
});

test('audit_history names the first copy', async () => {
  const { rows } = await database.pool.query(
    'select position::float8, copies_of_position::float8 as first from audit_history where copies_of_position is not null order by 1',
  );
  expect(rows.map(({ position, first }) => [nameOf(position), nameOf(first)])).toEqual([
    ['b login', 'a login'],
    ['d login', 'a login'],
    ['d join', 'b join'],
  ]);
});

test('copies are looked for among the events of the same moment', async () => {
  const client = await database.pool.connect();
  try {
    await client.query('begin; set local enable_seqscan = off; set local enable_bitmapscan = off');
    for (const question of [
      'select copies_of_position from audit_history',
      "select id from detection_api_token_changed where action_time > '2026-01-01'",
      `select from audit_events e where ${isFirstCopy('e', (row) => `${row}.account_id = any ('{a,b}')`)}`,
    ]) {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${question}`);
      const looks = rows.map((row) => row['QUERY PLAN']).filter((line) => / audit_events\S* f(_\d+)?\b/.test(line));
      expect(looks.length).toBeGreaterThan(0);
      for (const line of looks) expect(line).toContain('action_time_position_idx on');
    }
    await client.query('rollback');
  } finally {
    client.release();
  }
});

test('an event knows its copies, and which of them it is', async () => {
  const detail = async (name: string) => {
    const found = await readEvent(database.pool, { position: positionNamed(name) });
    return [found?.copyNumber, found?.copiesInAll, found?.copies.map(({ position }) => nameOf(position))];
  };
  const logins = ['a login', 'b login', 'd login'];
  for (const [n, name] of logins.entries()) expect(await detail(name)).toEqual([n + 1, 3, logins]);
  expect(await detail('d join')).toEqual([2, 2, ['b join', 'd join']]);
  for (const name of ['c login', 'c own', 'd bare', 'e timeless']) expect(await detail(name)).toEqual([0, 0, []]);
});

test('entries of organizations are never copies, whatever scope they name', async () => {
  const { pool, close } = await createTestDatabase();
  try {
    for (const id of ['x', 'y'])
      await commitAll(pool, await newSource(pool, id), [[entryText('same', T0, scoped('user'))]]);
    const asked = { ...range({ copies: 'first' }), maxEvents: 10, maxBytes: 1e9 };
    expect((await readFeedEvents(pool, asked)).events).toHaveLength(2);
    const { rows } = await pool.query('select from audit_history where copies_of_position is not null');
    expect(rows).toHaveLength(0);
  } finally {
    await close();
  }
});

const positionNamed = (name: string) => [...nameAt].find(([, each]) => each === name)?.[0] ?? 0;

type Filter = Pick<FeedEventsRange, 'organizationIds' | 'accountIds' | 'copies'>;

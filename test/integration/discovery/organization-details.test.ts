import { beforeEach, describe, expect, test } from 'vitest';
import { recordDiscovery } from '../../../src/ingest/sync/discovery/discovery-lease.sql.ts';
import {
  recordAccess,
  recordProfile,
  recordProfileRefused,
  withoutProfile,
} from '../../../src/ingest/sync/discovery/organizations.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { listingsIn } from '../../support/sync/organization-fixture.ts';

const database = databaseOfTests();
beforeEach(async () => {
  await database.pool.query('truncate organizations, organization_changes restart identity cascade');
});

const { list, listIds, row, changes } = listingsIn(() => database.pool);

describe('values that PostgreSQL does not take', () => {
  for (const [name, found, expected] of [
    ['a time that cannot be read', { createTime: '2024-02-30T00:00:00Z' }, { create_time: null }],
    ['a time that only PostgreSQL reads', { createTime: 'now' }, { create_time: null }],
    ['NUL in the name', { name: 'a\0b' }, { name: 'a\ufffdb' }],
    ['a lone surrogate in the metadata', { meta: { note: 'a\ud800' } }, { meta: { note: 'a\ufffd' } }],
    ['NUL in a key', { meta: { 'a\0': 1 } }, { meta: { 'a\ufffd': 1 } }],
    ['a number out of range', { meta: { n: JSON.parse('1e200000'), m: 1e300 } }, { meta: { n: null, m: 1e300 } }],
    ['a profile that is a string', { profile: 'x\0' }, { profile: 'x\ufffd' }],
  ] as const) {
    test(`${name} does not fail the listing`, async () => {
      await list([
        { id: 'a', ...found },
        { id: 'b', name: 'Beta' },
      ]);
      expect(await row('a')).toMatchObject(expected);
      expect(await row('b')).toMatchObject({ name: 'Beta' });
    });
  }
});

describe('access', () => {
  test('is noted once, each time that it changes', async () => {
    const { pool } = database;
    await listIds(['a']);
    expect(await recordAccess(pool, 'a', 'restored')).toBe(false);
    expect(await recordAccess(pool, 'a', 'refused')).toBe(true);
    expect(await recordAccess(pool, 'a', 'refused')).toBe(false);
    await listIds(['a']);
    expect(await row('a'), 'a listing does not open an audit log').toMatchObject({ state: 'refused' });
    expect(await recordAccess(pool, 'a', 'restored')).toBe(true);
    expect(await recordAccess(pool, 'unknown', 'refused')).toBe(false);
    expect(await changes()).toEqual(['a appeared Name of a', 'a refused', 'a restored']);
  });

  test('that two replicas note at the same time is noted once', async () => {
    await listIds(['a']);
    const both = await withLock(database.pool, 'select from organizations for update', async () => {
      const noted = [1, 2].map(() => recordAccess(database.pool, 'a', 'refused'));
      await waitingBackends(database.pool, 2);
      return noted;
    });
    expect((await Promise.all(both)).sort()).toEqual([false, true]);
  });
});

describe('profiles', () => {
  test('are asked for by one request a day if none has ever been read', async () => {
    const { pool } = database;
    await listIds(['a', 'b', 'c']);
    expect(await recordProfileRefused(pool, 'b')).toBe('all');
    expect(await withoutProfile(pool, 10)).toEqual([]);
    await pool.query("update organizations set profile_read_at = profile_read_at - interval '25 hours'");
    expect(await withoutProfile(pool, 10)).toEqual(['a', 'b', 'c']);
    await recordProfile(pool, 'a', { business_name: 'A' });
    expect(await recordProfileRefused(pool, 'b'), 'one that was read').toBe('one');
    expect(await withoutProfile(pool, 10)).toEqual(['c']);
  });

  test('are asked for once a day, the ones never read first', async () => {
    const { pool } = database;
    await listIds(['a', 'b', 'c', 'd']);
    await recordProfile(pool, 'a', { business_name: 'A\0' });
    expect(await recordProfileRefused(pool, 'b')).toBe('one');
    expect(await withoutProfile(pool, 10)).toEqual(['c', 'd']);
    expect(await withoutProfile(pool, 1)).toEqual(['c']);
    await pool.query("update organizations set profile_read_at = profile_read_at - interval '25 hours' where id = 'a'");
    await pool.query("update organizations set state = 'gone' where id = 'd'");
    expect(await withoutProfile(pool, 10)).toEqual(['c', 'a']);
    expect(await row('a')).toMatchObject({ profile: { business_name: 'A\ufffd' } });
    await recordProfile(pool, 'a', undefined);
    expect(await row('a'), 'none today is no reason to forget').toMatchObject({
      profile: { business_name: 'A\ufffd' },
    });
  });
});

test('a discovery that fails leaves the time and the size of the last one that did not', async () => {
  const { pool } = database;
  await recordDiscovery(pool, 'host/1/me', { organizations: 3, serverTimeMs: 0 });
  const read = async () => (await pool.query('select * from discovery')).rows[0];
  const good = await read();
  expect(good).toMatchObject({ organizations: 3, last_error: null, last_attempt_at: expect.any(Date) });
  await recordDiscovery(pool, 'host/1/me', { error: 'no bytes' });
  expect(await read()).toMatchObject({
    organizations: 3,
    last_error: 'no bytes',
    last_success_at: good.last_success_at,
  });
  await recordDiscovery(pool, 'host/1/me', { organizations: 4, serverTimeMs: 0 });
  expect(await read()).toMatchObject({ organizations: 4, last_error: null });
});

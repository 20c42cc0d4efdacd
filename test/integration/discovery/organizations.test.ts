import { beforeEach, describe, expect, test } from 'vitest';
import type { FoundOrganization } from '../../../src/ingest/planning/source.ts';
import {
  recordAccess,
  recordListing,
  recordLogAnswer,
  recordProfile,
  recordProfileRefused,
  takeMissed,
  withoutProfile,
} from '../../../src/ingest/sync/discovery/organizations.sql.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { valuesOf } from '../../support/postgres/rows.ts';

const pool = poolOfTests();

beforeEach(async () => {
  await pool.query('truncate organizations, organization_changes restart identity cascade');
});

beforeEach(async () => {
  await pool.query('truncate organizations, organization_changes restart identity cascade');
});

describe('a listing', () => {
  test('stores what is new, with all that the API said of it', async () => {
    const found = {
      id: 'a',
      name: 'Alpha',
      parentId: 'root',
      managedBy: 'partner',
      createTime: '2024-02-29T12:00:00.5Z',
      meta: { flags: { x: 1 }, managed_by: null },
      profile: { business_name: 'Alpha Ltd' },
    };
    expect(await list([found, { id: 'b' }])).toEqual([
      { organizationId: 'a', change: 'appeared' },
      { organizationId: 'b', change: 'appeared' },
    ]);
    expect(await row('a')).toEqual({
      name: 'Alpha',
      parent_id: 'root',
      managed_by: 'partner',
      create_time: new Date('2024-02-29T12:00:00.500Z'),
      meta: found.meta,
      profile: found.profile,
      state: 'active',
      missed_listings: 0,
    });
    expect(await row('b')).toMatchObject({ name: null, parent_id: null, create_time: null, profile: null });
  });

  test('notes what was renamed and moved, with the old value and the new', async () => {
    await list([
      { id: 'a', name: 'Alpha', parentId: 'x' },
      { id: 'b', name: 'Beta' },
    ]);
    await list([
      { id: 'a', name: 'Aleph', parentId: 'y' },
      { id: 'b', name: 'Beta', parentId: 'x' },
    ]);
    expect((await changes()).toSorted()).toEqual(
      ['a appeared Alpha', 'b appeared Beta', 'a renamed Alpha Aleph', 'a moved x y', 'b moved x'].sort(),
    );
    expect(await row('a')).toMatchObject({ name: 'Aleph', parent_id: 'y' });
  });

  test('of an allow-list notes moves, too', async () => {
    const found = (parentId: string) => [{ id: 'a', name: 'Alpha', parentId }];
    await list(found('x'), false);
    expect(await list(found('y'), false)).toEqual([{ organizationId: 'a', change: 'moved' }]);
    expect(await list(found('y'))).toEqual([]);
  });

  test('that knows nothing but the id takes nothing away from what is known', async () => {
    const known = { id: 'a', name: 'Alpha', parentId: 'x', managedBy: 'partner', meta: { a: 1 }, profile: { p: 1 } };
    await list([known]);
    const before = await row('a');
    expect(await list([{ id: 'a' }], false)).toEqual([]);
    expect(await row('a')).toEqual(before);
  });

  test('that is the same again rewrites no row', async () => {
    const found = [
      { id: 'a', name: 'Alpha', parentId: 'x', meta: { b: 1, a: [1.5, null] }, profile: { p: 1 } },
      { id: 'b', name: 'B', createTime: 'nonsense' },
      { id: 'c' },
    ];
    await list(found);
    const before = await versions();
    expect(await list(found)).toEqual([]);
    expect(await list(found.toReversed())).toEqual([]);
    expect(await versions()).toEqual(before);
    await list(found.map((organization) => ({ ...organization, meta: { b: 2 } })));
    expect(await row('a')).toMatchObject({ meta: { b: 2 } });
  });

  test('says that a row was seen again at least every five minutes', async () => {
    await listIds(['a']);
    await pool.query("update organizations set last_seen_at = last_seen_at - interval '6 minutes'");
    await listIds(['a']);
    const { rows } = await pool.query(
      "select last_seen_at > clock_timestamp() - interval '1 minute' as seen from organizations",
    );
    expect(rows).toEqual([{ seen: true }]);
  });

  test('of thousands is one statement', async () => {
    const ids = Array.from({ length: 5_000 }, (_, index) => `o-${index}`);
    expect(await listIds(ids)).toHaveLength(5_000);
    expect(await listIds(ids)).toEqual([]);
  });
});

test('listings of several replicas at the same time, in any order, all succeed and note each change once', async () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => `o-${index}`);
  for (let round = 0; round < 5; round += 1) {
    await Promise.all([listIds(ids), listIds(ids.toReversed()), listIds(ids), listIds(ids.toReversed())]);
  }
  expect((await changes()).toSorted()).toEqual(ids.map((id) => `${id} appeared Name of ${id}`).toSorted());
});

test('a listing whose connection breaks fails, and leaves the process and the pool as they were', async () => {
  await withLock(pool, 'lock table organizations in share row exclusive mode', async () => {
    const failure = expect(listIds(['a'])).rejects.toThrow(/terminat/);
    const [backend] = await waitingBackends(pool, 1);
    await pool.query('select pg_terminate_backend($1)', [backend]);
    await failure;
  });
  expect(await listIds(['a'])).toEqual([{ organizationId: 'a', change: 'appeared' }]);
});

describe('organizations that a listing does not name', () => {
  const LIMIT = 10;
  const asked = async (limit = LIMIT) => [...(await takeMissed(pool, limit))].sort();
  const answer = (id: string, said: 'open' | 'refused') => recordLogAnswer(pool, id, said);
  /** As if the refusals that are noted were so much older. */
  const refusedFor = (time: string) =>
    pool.query("update organization_changes set changed_at = changed_at - $1::interval where change = 'refused'", [
      time,
    ]);
  const miss = async (times: number, others: readonly string[] = ['a']) => {
    for (let time = 0; time < times; time += 1) expect(await listIds(others)).toEqual([]);
  };

  test('are asked for their log after two complete listings in a row, gone once that has refused for a quarter of an hour, restored when they are back', async () => {
    await listIds(['a', 'b']);
    await miss(1);
    expect(await row('b')).toMatchObject({ state: 'active', missed_listings: 1 });
    expect(await asked()).toEqual([]);
    expect(await answer('b', 'refused'), 'missed once').toBeUndefined();
    await miss(1);
    expect(await row('b'), 'a listing alone makes none gone').toMatchObject({ state: 'active', missed_listings: 2 });
    expect(await asked()).toEqual(['b']);
    expect(await answer('b', 'refused')).toBe('refused');
    await refusedFor('14 minutes');
    expect(await answer('b', 'refused'), 'no news').toBeUndefined();
    expect(await row('b')).toMatchObject({ state: 'refused' });
    await miss(1);
    expect(await asked()).toEqual(['b']);
    await refusedFor('1 minute');
    expect(await answer('b', 'refused')).toBe('gone');
    expect(await answer('b', 'refused'), 'no news').toBeUndefined();
    await miss(1);
    expect(await row('b')).toMatchObject({ state: 'gone', missed_listings: 3 });
    expect(await asked()).toEqual([]);
    expect(await listIds(['a', 'b'])).toEqual([{ organizationId: 'b', change: 'restored' }]);
    expect(await row('b')).toMatchObject({ state: 'active', missed_listings: 0 });
    expect((await changes()).filter((line) => line.startsWith('b'))).toEqual([
      'b appeared Name of b',
      'b refused',
      'b gone',
      'b restored',
    ]);
  });

  test('are not gone by a moment of refusals, whether their log or the question of a listing answers in between', async () => {
    await listIds(['a', 'b']);
    await miss(2);
    for (const restored of [() => recordAccess(pool, 'b', 'restored'), () => answer('b', 'open')]) {
      expect(await answer('b', 'refused')).toBe('refused');
      await refusedFor('20 minutes');
      await restored();
      expect(await row('b')).toMatchObject({ state: 'active' });
      expect(await answer('b', 'refused'), 'that is the first one again').toBe('refused');
      await recordAccess(pool, 'b', 'restored');
    }
  });

  test('stay as they are while their log answers, which is asked at 2, 4, 8 … misses, and after a day', async () => {
    await listIds(['a', 'b']);
    const askedAt: number[] = [];
    for (let misses = 1; misses <= 20; misses += 1) {
      await miss(1);
      for (const id of await asked()) {
        askedAt.push(misses);
        expect(await answer(id, 'open')).toBe('open');
      }
    }
    expect(askedAt).toEqual([2, 4, 8, 16]);
    expect(await row('b')).toMatchObject({ state: 'active', missed_listings: 20 });
    await pool.query("update organizations set log_asked_at = log_asked_at - interval '25 hours'");
    expect(await asked()).toEqual(['b']);
    expect(await answer('b', 'open')).toBe('open');

    // Seen once, the count starts over.
    await listIds(['a', 'b']);
    expect(await answer('b', 'refused'), 'it has been listed since it was asked').toBeUndefined();
    await miss(2);
    expect(await asked()).toEqual(['b']);
  });

  test('are asked again after the next listing if nothing was answered, those that have waited longest first', async () => {
    await listIds(['a', 'b', 'c', 'd']);
    await miss(2);
    expect(await asked(2)).toEqual(['b', 'c']);
    expect(await asked(2), 'd was never asked').toEqual(['b', 'd']);
    expect(await asked(1)).toEqual(['c']);
    expect(await asked()).toEqual(['b', 'c', 'd']);
  });

  test('are not missed by an incomplete listing, nor where the allow-list does not name them; a sighting ends the count', async () => {
    await listIds(['a', 'b', 'c']);
    for (let times = 0; times < 3; times += 1) expect(await listIds(['a'], false)).toEqual([]);
    for (let times = 0; times < 2; times += 1) await listIds(['b'], true, ['a', 'b']);
    expect(await row('a')).toMatchObject({ missed_listings: 2 });
    for (const id of ['b', 'c']) expect(await row(id)).toMatchObject({ state: 'active', missed_listings: 0 });
    await listIds(['a', 'b', 'c']);
    await listIds(['b', 'c']);
    expect(await row('a')).toMatchObject({ state: 'active', missed_listings: 1 });
    expect(await asked()).toEqual([]);
  });

  test('are gone also where they were refused, and come back as active', async () => {
    await listIds(['a', 'b']);
    await recordAccess(pool, 'b', 'refused');
    await refusedFor('15 minutes');
    await miss(2);
    expect(await asked()).toEqual(['b']);
    expect(await answer('b', 'refused')).toBe('gone');
    expect(await row('b')).toMatchObject({ state: 'gone' });
    await listIds(['a', 'b']);
    expect(await row('b')).toMatchObject({ state: 'active' });
  });
});

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
    const both = await withLock(pool, 'select from organizations for update', async () => {
      const noted = [1, 2].map(() => recordAccess(pool, 'a', 'refused'));
      await waitingBackends(pool, 2);
      return noted;
    });
    expect((await Promise.all(both)).sort()).toEqual([false, true]);
  });
});

describe('profiles', () => {
  test('are asked for by one request a day if none has ever been read', async () => {
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

const versions = async () => (await pool.query('select id, xmin::text from organizations order by id')).rows;

const list = (found: readonly FoundOrganization[], complete = true, within?: readonly string[]) =>
  recordListing(pool, found, { complete, within });

/** Of organizations whose id is all that matters. */
const listIds = (ids: readonly string[], ...how: [complete?: boolean, within?: readonly string[]]) =>
  list(
    ids.map((id) => ({ id, name: `Name of ${id}` })),
    ...how,
  );

/** What is stored of one. */
const row = async (id: string): Promise<Readonly<Record<string, unknown>>> => {
  const columns = 'name, parent_id, managed_by, create_time, meta, profile, state, missed_listings';
  return (await pool.query(`select ${columns} from organizations where id = $1`, [id])).rows[0];
};

/** All changes as lines: id, change, old value, new value. */
const changes = () =>
  valuesOf<string>(
    pool,
    "select concat_ws(' ', organization_id, change, old_value, new_value) from organization_changes order by id",
  );

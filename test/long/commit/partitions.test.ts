import { describe, expect, test } from 'vitest';
import { createPartitions } from '../../../src/ingest/sync/sync-store.sql.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import {
  commit,
  commitAll,
  entryText,
  eventsOf,
  newSource,
  T0,
  takeLease,
} from '../../support/postgres/store-fixture.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';

const database = ofEachTest(() => createTestDatabase());

describe('partitions', () => {
  test('are there from the month of the horizon to two months ahead, each with the indexes, and made once', async () => {
    const { pool } = database;
    expect(await createPartitions(pool, monthsAgo(18))).toBe(21);
    expect(await partitions()).toEqual(expectedNames(18));
    expect(await createPartitions(pool, monthsAgo(18))).toBe(0);
    expect(await createPartitions(pool, monthsAgo(20))).toBe(2);
    const { rows } = await pool.query(
      `select count(*)::integer as count from pg_index x join pg_inherits i on i.inhrelid = x.indrelid
       where i.inhparent = 'audit_events'::regclass and x.indisvalid`,
    );
    expect(rows).toEqual([{ count: 24 * 14 }]);
  });

  test('begin and end with months of UTC, whatever the time zone of the session', async () => {
    const name = new URL(database.url).pathname.slice(1);
    await database.pool.query(`alter database ${name} set timezone = 'Pacific/Auckland'`);
    const abroad = createPool(database.url, 1, () => {});
    // There, it is February already.
    await createPartitions(abroad, Date.UTC(2026, 0, 31, 20));
    await abroad.query("set timezone = 'UTC'");
    const { rows } = await abroad.query<{ bound: string }>(
      "select pg_get_expr(relpartbound, oid) as bound from pg_class where relname = 'audit_events_2026_01'",
    );
    await abroad.end();
    expect(rows[0]?.bound).toBe("FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')");
  });

  test('are made by many at once without an error, each once', async () => {
    const created = await Promise.all(Array.from({ length: 8 }, () => createPartitions(database.pool, monthsAgo(6))));
    expect(created.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 0, 0, 0, 0, 9]);
    expect(await partitions()).toEqual(expectedNames(6));
  });

  test('take over the rows of their month, with their positions and everything else', async () => {
    const { pool } = database;
    const times = [
      T0 - 40 * 86_400_000,
      T0,
      Date.UTC(2026, 0, 31, 23, 59, 59, 999),
      Date.UTC(2026, 1, 1),
      Date.UTC(2300),
    ];
    const texts = times.map((timeMs, index) => entryText(`e-${index}`, timeMs));
    await commit(pool, await newSource(pool, 's'), [...texts, '{"id":"timeless"}']);
    const before = (await pool.query('select e::text from audit_events e order by position')).rows;
    expect(new Set(Object.values(await places('s')))).toEqual(new Set(['audit_events_default']));
    await pool.query("select orgtrail_create_partitions('2026-01-05', '2026-02-05')");
    expect(await places('s')).toEqual({
      'e-0': 'audit_events_default',
      'e-1': 'audit_events_2026_01',
      'e-2': 'audit_events_2026_01',
      'e-3': 'audit_events_2026_02',
      'e-4': 'audit_events_default',
      timeless: 'audit_events_default',
    });
    expect((await pool.query('select e::text from audit_events e order by position')).rows).toEqual(before);
    const again = await commit(pool, await takeLease(pool, 's'), [...texts, '{"id":"timeless"}', entryText('new')]);
    expect(again, 'and invariant 3 holds across the move').toMatchObject({ stored: 1, duplicates: 6, changed: 0 });
    expect(await places('s')).toMatchObject({ new: 'audit_events_2026_01' });
  });

  test('take over also what is committed while they are being made', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 's');
    const writer = await pool.connect();
    await writer.query('begin');
    await writer.query(
      `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
       values ('organization', 's', 's', 'under way', 4711, '2026-01-10', '{}')`,
    );
    const creating = pool.query("select orgtrail_create_partitions('2026-01-05', '2026-02-05') as created");
    await waitingBackends(pool, 1);
    await writer.query('commit');
    writer.release();
    expect((await creating).rows).toEqual([{ created: 2 }]);
    await commit(pool, lease, [entryText('later')]);
    expect(await places('s')).toEqual({ 'under way': 'audit_events_2026_01', later: 'audit_events_2026_01' });
  });

  test('are made between the statements of readers: one that comes while a month is made sees what was moved (invariant 6)', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 's');
    await commit(pool, lease, [entryText('january'), entryText('may', Date.UTC(2026, 4, 5))]);
    const read = 'select id, position::integer as position from audit_events where position > 0 order by position';
    const generic = await pool.connect();
    await generic.query('set plan_cache_mode = force_generic_plan');
    await generic.query({ name: 'read', text: read });
    // Under way, so that the maker of the partition waits and the next readers come behind it.
    const early = await pool.connect();
    await early.query('begin');
    await early.query('lock table only audit_events_default in access share mode');
    const creating = pool.query("select orgtrail_create_partitions('2026-01-05', '2026-01-05') as created");
    await waitingBackends(pool, 1);
    const reading = [pool.query(read), generic.query({ name: 'read', text: read })];
    await waitingBackends(pool, 3);
    await early.query('commit');
    early.release();
    expect((await creating).rows).toEqual([{ created: 1 }]);
    for (const { rows } of await Promise.all(reading)) {
      expect(rows).toEqual([
        { id: 'january', position: 1 },
        { id: 'may', position: 2 },
      ]);
    }
    await generic.query('reset plan_cache_mode');
    generic.release();
  });

  test('are left for the next time if a long transaction reads, and no statement waits behind that', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 's');
    await pool.query("alter function orgtrail_create_partitions(timestamptz, timestamptz) set lock_timeout = '100ms'");
    const reader = await pool.connect();
    await reader.query('begin');
    await reader.query('declare c cursor for select from audit_feed order by position');
    expect(await createPartitions(pool, monthsAgo(3))).toBe(0);
    expect(await commit(pool, lease, [entryText('meanwhile', monthsAgo(1))])).toMatchObject({ stored: 1 });
    await reader.query('commit');
    reader.release();
    expect(await createPartitions(pool, monthsAgo(3))).toBe(6);
    expect(Object.values(await places('s'))).toEqual([expectedNames(1)[0]]);
  });

  test('take over rows also if there is a publication that publishes deletes', async () => {
    const { pool } = database;
    await pool.query('create publication everything for all tables');
    await commit(pool, await newSource(pool, 's'), [entryText('here')]);
    await pool.query("select orgtrail_create_partitions('2026-01-05', '2026-01-05')");
    expect(await places('s')).toEqual({ here: 'audit_events_2026_01' });
  });

  test('may be made while pages are committed, some of them again', async () => {
    const { pool } = database;
    const sources = ['a', 'b', 'c'];
    for (const id of sources) await newSource(pool, id);
    const writers = sources.map(async (id) => {
      const pages = Array.from({ length: 12 }, (_, page) =>
        Array.from({ length: 20 }, (_entry, index) => entryText(`${page}-${index}`, T0 + page * 8 * 86_400_000)),
      );
      return await commitAll(pool, await takeLease(pool, id), [...pages, ...pages, ...pages]);
    });
    const creating = ['2026-01-05', '2026-02-05', '2026-03-05', '2026-04-05'].map((until) =>
      pool.query("select orgtrail_create_partitions('2026-01-05', $1)", [until]),
    );
    const committed = (await Promise.all([Promise.all(writers), ...creating]))[0].flat();
    expect(committed.reduce((sum, result) => sum + result.stored, 0)).toBe(3 * 12 * 20);
    expect(committed.reduce((sum, result) => sum + result.duplicates, 0)).toBe(2 * 3 * 12 * 20);
    const { rows } = await pool.query(
      `select count(*)::integer as events, count(distinct position)::integer as positions, max(position)::integer as newest,
         count(*) filter (where tableoid = 'audit_events_default'::regclass)::integer as in_default from audit_events`,
    );
    expect(rows).toEqual([{ events: 720, positions: 720, newest: 720, in_default: 0 }]);
  });

  test('of strange times do not exist: such events lie in the default partition and are known there', async () => {
    const { pool } = database;
    await createPartitions(pool, monthsAgo(18));
    const strange = [
      '{"id":"none"}',
      '{"id":"far","action":{"time":"9999-12-31T23:59:60Z"}}',
      '{"id":"early","action":{"time":"0001-01-01T00:00:00+15:00"}}',
      '{"id":"old","action":{"time":"1969-07-20T20:17:40Z"}}',
    ];
    const results = await commitAll(pool, await newSource(pool, 's'), [strange, [...strange, ...strange]]);
    expect(results).toMatchObject([{ stored: 4 }, { stored: 0, duplicates: 8, changed: 0 }]);
    expect(new Set(Object.values(await places('s')))).toEqual(new Set(['audit_events_default']));
    const large = Array.from({ length: 400 }, (_, index) => entryText(`e-${index}`, T0 + index));
    const mixed = await commitAll(pool, await takeLease(pool, 's'), [
      [...large, ...strange],
      [...strange, ...large],
    ]);
    expect(mixed).toMatchObject([
      { stored: 400, duplicates: 4 },
      { stored: 0, duplicates: 404 },
    ]);
    expect(await eventsOf(pool, 's')).toHaveLength(404);
  });
});

const monthsAgo = (count: number): number => {
  const now = new Date();
  return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - count, 15);
};

/** The names that the partitions from so many months ago to two months ahead have. */
const expectedNames = (fromMonthsAgo: number): string[] =>
  Array.from(
    { length: fromMonthsAgo + 3 },
    (_, index) =>
      `audit_events_${new Date(monthsAgo(fromMonthsAgo - index)).toISOString().slice(0, 7).replace('-', '_')}`,
  );

const partitions = async () => {
  const { rows } = await database.pool.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'audit_events'::regclass
       and inhrelid <> 'audit_events_default'::regclass order by 1`,
  );
  return rows.map((row) => row.name);
};

/** Where the events of a source lie. */
const places = async (sourceId: string) => {
  const { rows } = await database.pool.query<{ id: string; place: string }>(
    'select id, tableoid::regclass::text as place from audit_events where source_id = $1 order by position',
    [sourceId],
  );
  return Object.fromEntries(rows.map((row) => [row.id, row.place]));
};

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { hasOwnTransaction, migrateUpTo } from '../../support/postgres/migrate-up-to.ts';

const MONTHS = 3;

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
  await migrateUpTo(database.pool, hasOwnTransaction);
  await database.pool.query(`select orgtrail_create_partitions(now() - interval '${MONTHS - 1} months', now())`);
  await insert('before');
});
afterEach(async () => {
  await database?.close();
});

const insert = (id: string) =>
  database.pool.query(
    `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
     select 'organization', 'source', 'source', $1 || n, extract(epoch from clock_timestamp()) * 1e6 + n, now() - make_interval(days => n), '{}'
     from generate_series(0, 40, 10) n`,
    [id],
  );

const migrate = async (pool = database.pool) => await migrateDatabase(pool);

/** What an index that is being built waits for: a snapshot from before it. */
const holdSnapshot = async () => {
  const holder = await database.pool.connect();
  await holder.query('begin isolation level repeatable read; select 1');
  return {
    async [Symbol.asyncDispose]() {
      await holder.query('rollback');
      holder.release();
    },
  };
};

/** The indexes of audit_events, on how many partitions each is, and whether all of it is valid. */
const indexesOf = async ({ pool }: TestDatabase) => {
  const { rows } = await pool.query<{ name: string; definition: string; valid: boolean; partitions: number }>(
    `select c.relname as name, pg_get_indexdef(x.indexrelid) as definition,
       x.indisvalid and coalesce(bool_and(own.indisvalid), true) as valid, count(own.*)::integer as partitions
     from pg_index x join pg_class c on c.oid = x.indexrelid
     left join pg_inherits i on i.inhparent = x.indexrelid left join pg_index own on own.indexrelid = i.inhrelid
     where x.indrelid = 'audit_events'::regclass group by c.relname, x.indexrelid, x.indisvalid order by 1`,
  );
  return rows;
};

const partitions = async () => {
  const { rows } = await database.pool.query<{ count: number }>(
    "select count(*)::integer as count from pg_inherits where inhparent = 'audit_events'::regclass",
  );
  return rows[0]?.count ?? 0;
};

/** As on a database that was empty: the same indexes, on every partition. */
const expectAllIndexes = async () => {
  const fresh = await createTestDatabase();
  const expected = (await indexesOf(fresh)).map(({ name, definition }) => ({ name, definition }));
  await fresh.close();
  const there = await indexesOf(database);
  expect(there.map(({ name, definition }) => ({ name, definition }))).toEqual(expected);
  const count = await partitions();
  expect(count).toBeGreaterThanOrEqual(MONTHS);
  expect(there.filter((index) => !index.valid || index.partitions !== count)).toEqual([]);
};

describe('an upgrade that builds indexes over all events', () => {
  test('makes what an empty database has', async () => {
    expect(await migrate()).toMatchObject({ state: 'current' });
    await expectAllIndexes();
  });

  test('lets entries be stored while an index is built, also those of a month that is new', async () => {
    let migrated: Promise<unknown>;
    {
      await using _snapshot = await holdSnapshot();
      migrated = migrate();
      await waitingBackends(database.pool, 1);
      await insert('meanwhile');
      await database.pool.query("select orgtrail_create_partitions(now() - interval '5 months', now())");
    }
    expect(await migrated).toMatchObject({ state: 'current' });
    await expectAllIndexes();
    expect(await partitions()).toBeGreaterThan(MONTHS);
  });

  test('that was cut off goes on from there', async () => {
    {
      await using _snapshot = await holdSnapshot();
      const migrated = migrate().catch((error: unknown) => error);
      const [pid] = await waitingBackends(database.pool, 1);
      await database.pool.query('select pg_terminate_backend($1)', [pid]);
      expect(await migrated).toBeInstanceOf(Error);
    }
    const invalid = await database.pool.query(
      "select from pg_index where not indisvalid and indrelid <> 'audit_events'::regclass",
    );
    expect(invalid.rowCount).toBe(1);
    expect(await migrate()).toMatchObject({ state: 'current' });
    await expectAllIndexes();
  });

  test('by two replicas at once: one builds, the other one waits', async () => {
    const other = createPool(database.url, 2, () => {});
    try {
      const states = await Promise.all([migrate(), migrate(other)]);
      expect(states).toMatchObject([{ state: 'current' }, { state: 'current' }]);
    } finally {
      await other.end();
    }
    await expectAllIndexes();
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OrgtrailError } from '../../../src/errors.ts';
import { migrateDatabase, readSchemaState } from '../../../src/store/migrate.ts';
import { createPool } from '../../../src/store/pool.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

const REPLICAS = 8;

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase({ empty: true });
});
afterEach(async () => {
  await database?.close();
});

const migrateAsReplica = async () => {
  const pool = createPool(database.url, 2, () => {});
  try {
    return await migrateDatabase(pool);
  } finally {
    await pool.end();
  }
};

const migrations = async () =>
  (await database.pool.query<{ hash: string }>('select hash from drizzle.__drizzle_migrations')).rows;

describe('migrating', () => {
  test('an empty database, from 8 replicas at once: all succeed, and each migration ran once', async () => {
    expect(await readSchemaState(database.pool)).toMatchObject({ state: 'empty', applied: 0 });
    const states = await Promise.all(Array.from({ length: REPLICAS }, migrateAsReplica));
    const { known } = await readSchemaState(database.pool);
    expect(states).toMatchObject(Array(REPLICAS).fill({ state: 'current', applied: known, known }));
    expect(await migrations()).toHaveLength(known);
    const heads = await database.pool.query('select count(*)::integer as count from feed_head');
    expect(heads.rows).toEqual([{ count: 1 }]);
  });

  test('what is current changes nothing', async () => {
    await migrateAsReplica();
    const before = await migrations();
    expect(await migrateAsReplica()).toMatchObject({ state: 'current' });
    expect(await migrations()).toEqual(before);
  });

  test('invariant 13: a database of a later version is refused, and left alone', async () => {
    await migrateAsReplica();
    await database.pool.query(
      "insert into drizzle.__drizzle_migrations (hash, created_at) select 'later', max(created_at) + 1 from drizzle.__drizzle_migrations",
    );
    const before = await migrations();
    const { known } = await readSchemaState(database.pool);
    expect(await readSchemaState(database.pool)).toMatchObject({ state: 'newer', applied: known + 1, known });
    const error: unknown = await migrateAsReplica().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OrgtrailError);
    expect(error).toMatchObject({ code: 'database_too_new', exitCode: 3 });
    expect(await migrations()).toEqual(before);
  });

  test('a database of an earlier version is said to be outdated', async () => {
    await migrateAsReplica();
    await database.pool.query('update drizzle.__drizzle_migrations set created_at = created_at - 1');
    expect(await readSchemaState(database.pool)).toMatchObject({ state: 'outdated' });
  });

  test('a table of migrations without a row is that of an empty database', async () => {
    await migrateAsReplica();
    await database.pool.query('delete from drizzle.__drizzle_migrations');
    expect(await readSchemaState(database.pool)).toMatchObject({ state: 'empty', applied: 0 });
  });

  test('a migration that fails leaves nothing behind, and works when its cause is gone', async () => {
    await database.pool.query('create table feed_head (in_the_way integer)');
    await expect(migrateAsReplica()).rejects.toThrow();
    const { rows } = await database.pool.query("select to_regclass('audit_events') as found");
    expect(rows).toEqual([{ found: null }]);
    await database.pool.query('drop table feed_head');
    expect(await migrateAsReplica()).toMatchObject({ state: 'current' });
  });
});

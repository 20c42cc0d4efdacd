import { describe, expect, test } from 'vitest';
import { OrgtrailError } from '../../../src/base/errors.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { type MigrateOptions, migrateDatabase, readSchemaState } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { forgetNewest, withMadeUp } from '../../support/postgres/schema-0-2-0.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { until } from '../../support/process/until.ts';

const database = ofEachTest(() => createTestDatabase({ empty: true }));

describe('migrating', () => {
  test('an empty database, from 8 replicas at once: all succeed, and the schema was made once', async () => {
    expect(await readSchemaState(database.pool)).toMatchObject({ state: 'empty', applied: 0 });
    const states = await Promise.all(Array.from({ length: REPLICAS }, () => migrateAsReplica()));
    const { known } = await readSchemaState(database.pool);
    expect(states).toMatchObject(Array(REPLICAS).fill({ state: 'current', applied: known, known }));
    expect(await migrations()).toHaveLength(1);
    const heads = await database.pool.query('select count(*)::integer as count from feed_head');
    expect(heads.rows).toEqual([{ count: 1 }]);
  });

  test('what is current changes nothing', async () => {
    await migrateAsReplica();
    const before = await migrations();
    expect(await migrateAsReplica()).toMatchObject({ state: 'current' });
    expect(await migrations()).toEqual(before);
  });

  test('a migration that locks readers out follows by itself, and lets readers pass while it waits for one of them', async () => {
    await migrateAsReplica();
    const reader = await database.pool.connect();
    await reader.query('begin; select count(*) from audit_events');
    let isDone = false;
    const made = withMadeUp(
      'create table made_up (id integer)',
      `-- own transaction
       lock table audit_events in access exclusive mode; alter table audit_events rename column defects to faults`,
    );
    const migrated = migrateAsReplica({ migrations: made }).finally(() => {
      isDone = true;
    });
    await waitingBackends(database.pool, 1);
    // It waits no longer than 2 seconds at a time.
    await database.pool.query('select count(*) from audit_events');
    await waitingBackends(database.pool, 1);
    expect(isDone).toBe(false);
    await reader.query('commit');
    reader.release();
    expect(await migrated).toMatchObject({ state: 'current' });
    await database.pool.query('select faults from audit_events, made_up');
  });

  test('one that was ended by a deadlock with readers is repeated, and ran once', async () => {
    await migrateAsReplica();
    await database.pool.query(`create sequence deadlocks;
      create function deadlock() returns event_trigger language plpgsql as $$
      begin
        -- What is counted stays counted when the transaction ends.
        if nextval('deadlocks') <= 3 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
      end $$;
      create event trigger deadlock on ddl_command_start when tag in ('CREATE VIEW') execute function deadlock()`);
    const made = withMadeUp('-- own transaction\ncreate view made_up as select 1 as one');
    expect(await migrateAsReplica({ migrations: made })).toMatchObject({ state: 'current' });
    expect(await migrations()).toEqual([{ hash: expect.any(String) }, { hash: 'made up' }]);
    const { rows } = await database.pool.query<{ last_value: string }>('select last_value from deadlocks');
    expect(Number(rows[0]?.last_value)).toBeGreaterThan(3);
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
    const { known } = await migrateAsReplica();
    await forgetNewest(database.pool);
    expect(await readSchemaState(database.pool)).toMatchObject({ state: 'outdated', applied: known - 1, known });
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

  test('a schema that is current needs no lock: an account that only reads and holds the one of migrations stops no start', async () => {
    await migrateDatabase(database.pool, { roles: true });
    await using reader = await createLogin(database, ['orgtrail_reader']);
    const held = await reader.pool.connect();
    try {
      await held.query(
        'begin; select pg_advisory_xact_lock(7045662113); lock table drizzle.__drizzle_migrations in access share mode',
      );
      const waits: string[] = [];
      const onWait = () => waits.push('waited');
      expect(await migrateDatabase(database.pool, { onWait })).toMatchObject({ state: 'current' });
      // Nor a migration, by whatever such an account may lock.
      await asOutdated();
      expect(await migrateDatabase(database.pool, { onWait })).toMatchObject({ state: 'current' });
      expect(await migrateDatabase(database.pool, { roles: true, onWait })).toMatchObject({ state: 'current' });
      expect(waits).toEqual([]);
      await expect(
        reader.pool.query('begin; lock table drizzle.__drizzle_migrations in share row exclusive mode'),
      ).rejects.toThrow('permission denied');
    } finally {
      held.release(true);
    }
  });

  test('waiting for another migration is said once, by the owner and by an account that may not migrate', async () => {
    await migrateDatabase(database.pool, { roles: true });
    await asOutdated();
    await using daemon = await createLogin(database, ['orgtrail_ingest']);
    const other = await database.pool.connect();
    try {
      await other.query('begin; lock table drizzle.__drizzle_migrations in share row exclusive mode');
      const waits: string[] = [];
      const starts = [database.pool, daemon.pool].map((pool, index) =>
        migrateDatabase(pool, { onWait: () => waits.push(index === 0 ? 'owner' : 'daemon') }),
      );
      await until('both wait', async () => waits.length === 2);
      const begun = new Set<string>();
      await until('the owner tries again in another transaction', async () => {
        const { rows } = await database.pool.query(lockingMigrations);
        for (const { began } of rows) begun.add(began);
        return begun.size > 1;
      });
      await other.query('rollback');
      const [first, second] = await Promise.allSettled(starts);
      expect(first).toMatchObject({ status: 'fulfilled', value: { state: 'current' } });
      // It may look between the two migrations: then none is under way, and it hears that it may not.
      if (second?.status === 'rejected') expect(second.reason).toMatchObject({ code: 'configuration' });
      else expect(second).toMatchObject({ value: { state: 'current' } });
      expect(waits.sort()).toEqual(['daemon', 'owner']);
      expect(await migrateDatabase(daemon.pool)).toMatchObject({ state: 'current' });
    } finally {
      other.release(true);
    }
  });

  test.each(['rollback', 'commit'])(
    'an empty database: waiting for another migration (%s) is said, and no account without rights is waited for',
    async (end) => {
      await using stranger = await createLogin(database, []);
      const [held, other] = [await stranger.pool.connect(), await database.pool.connect()];
      try {
        await held.query('select pg_advisory_lock(7045662113)');
        await other.query('begin; create schema drizzle');
        await other.query(
          'create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)',
        );
        const waits: string[] = [];
        const start = migrateDatabase(database.pool, { onWait: () => waits.push('waited') });
        await until('it waits', async () => waits.length === 1);
        await other.query(end);
        expect(await start).toMatchObject({ state: 'current' });
        expect(waits).toEqual(['waited']);
      } finally {
        other.release(true);
        held.release(true);
      }
    },
  );
});

const REPLICAS = 8;
const lockingMigrations = `select xact_start::text as began from pg_stat_activity
  where query like 'lock table drizzle.%' and wait_event_type = 'Lock'`;

const migrateAsReplica = async (options: MigrateOptions = {}) => {
  const pool = createPool(database.url, 2, () => {});
  try {
    return await migrateDatabase(pool, options);
  } finally {
    await pool.end();
  }
};

const asOutdated = () => forgetNewest(database.pool);

const migrations = async () =>
  (await database.pool.query<{ hash: string }>('select hash from drizzle.__drizzle_migrations')).rows;

import { beforeEach, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import type { BlockedStatement } from '../../../src/postgres/schema/online-index.ts';
import { buildIndexOnline } from '../../../src/postgres/schema/online-index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { withMadeUp } from '../../support/postgres/schema-0-2-0.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { until } from '../../support/process/until.ts';

const database = ofEachTest(() => createTestDatabase());
beforeEach(async () => {
  await database.pool.query(`select orgtrail_create_partitions(now() - interval '${MONTHS - 1} months', now())`);
  await insert('before');
});

describe('an upgrade that builds an index over all events', () => {
  test('has it on every partition', async () => {
    expect(await migrate()).toMatchObject({ state: 'current' });
    await expectIndexes();
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
    await expectIndexes();
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
    await expectIndexes();
  });

  test('by two replicas at once: one builds, the other one waits', async () => {
    const other = createPool(database.url, 2, () => {});
    try {
      const states = await Promise.all([migrate(), migrate(other)]);
      expect(states).toMatchObject([{ state: 'current' }, { state: 'current' }]);
    } finally {
      await other.end();
    }
    await expectIndexes();
  });

  test('tells whom it waits for, and lets writers pass, behind a reader that does not end', async () => {
    const index = { name: 'audit_events_slow', definition: '(position, id)' };
    const { rows } = await database.pool.query<{ partition: string }>(
      "select min(inhrelid::regclass::text) as partition from pg_inherits where inhparent = 'audit_events'::regclass",
    );
    const partition = rows[0]?.partition ?? '';
    // Its index is made already, as if the build had been cut off before it was attached.
    await database.pool.query(`create index ${partition}_slow on ${partition} ${index.definition}`);
    const told: BlockedStatement[] = [];
    let building: Promise<unknown>;
    {
      await using reader = await holdReader();
      building = buildIndexOnline(database.pool, index, { onBlocked: (blocked) => told.push(blocked) });
      await until('it tells twice', async () => told.length > 1);
      expect(told[1]).toMatchObject({
        statement: `alter index audit_events_slow attach partition ${partition}_slow`,
        blockers: [
          { pid: reader.pid, state: 'idle in transaction', query: 'select max(position) from audit_events -' },
        ],
      });
      await insert('behind');
      expect(await indexesOf(database)).toContainEqual(expect.objectContaining({ name: index.name, valid: false }));
    }
    await building;
    const [built] = (await indexesOf(database)).filter(({ name }) => name === index.name);
    expect(built).toMatchObject({ valid: true, partitions: await partitions() });
  });

  test('tells whom a build waits for that an older snapshot holds up', async () => {
    const told: BlockedStatement[] = [];
    let migrated: Promise<unknown>;
    {
      await using _snapshot = await holdSnapshot();
      migrated = migrateDatabase(database.pool, { migrations, onBlocked: (blocked) => told.push(blocked) });
      await until('it tells', async () => told.length > 0);
      await insert('meanwhile');
    }
    await migrated;
    expect(told[0]).toMatchObject({
      statement: expect.stringMatching(/^create index concurrently /),
      blockers: [{ query: expect.stringContaining('begin isolation level repeatable read') }],
    });
  });
});

const MONTHS = 3;

const insert = (id: string) =>
  database.pool.query(
    `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
     select 'organization', 'source', 'source', $1 || n, extract(epoch from clock_timestamp()) * 1e6 + n, now() - make_interval(days => n), '{}'
     from generate_series(0, 40, 10) n`,
    [id],
  );

const migrations = withMadeUp(
  '-- own transaction\ncreate index if not exists audit_events_made_up on audit_events (id, position);',
);

const migrate = async (pool = database.pool) => await migrateDatabase(pool, { migrations });

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

/** A reader that has planned with all indexes that there are now, and does not end by itself. */
const holdReader = async () => {
  const reader = await database.pool.connect();
  await reader.query('begin');
  await reader.query('select count(*) from audit_events -- does not end');
  const { rows } = await reader.query<{ pid: number }>('select pg_backend_pid() as pid');
  await reader.query('select max(position) from audit_events -- its last words');
  return {
    pid: rows[0]?.pid,
    async [Symbol.asyncDispose]() {
      await reader.query('rollback');
      reader.release();
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

/** The one of the migration is there, and all are valid, on every partition. */
const expectIndexes = async () => {
  const there = await indexesOf(database);
  expect(there.map(({ name }) => name)).toContain('audit_events_made_up');
  const count = await partitions();
  expect(count).toBeGreaterThanOrEqual(MONTHS);
  expect(there.filter((index) => !index.valid || index.partitions !== count)).toEqual([]);
};

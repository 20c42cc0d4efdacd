import type { Pool } from 'pg';
import { expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase, of020, readMigrations, readSchemaState } from '../../../src/postgres/schema/migrate.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { firstValue, valuesOf } from '../../support/postgres/rows.ts';
import { makeSchema020 } from '../../support/postgres/schema-0-2-0.ts';
import { dumpSchema } from '../../support/postgres/schema-dump.ts';
import { T0 } from '../../support/postgres/store-fixture.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

const database = ofEachTest(() => createTestDatabase({ empty: true }));

const known = of020.length + readMigrations().length;

test('an upgrade of 0.2.0 gives what an empty database gets, and keeps the data', async () => {
  const { pool } = database;
  await makeSchema020(pool);
  await fill(pool);
  const before = await contents(pool);
  expect(await readSchemaState(pool)).toMatchObject({ state: 'outdated', applied: of020.length });
  const states = await Promise.all(Array.from({ length: REPLICAS }, () => migrateAsReplica()));
  expect(states).toMatchObject(Array(REPLICAS).fill({ state: 'current', applied: known, known }));
  expect(await recorded(pool), 'each migration ran once').toHaveLength(known);
  expect(await contents(pool)).toMatchObject(before);

  const fresh = await createTestDatabase({ empty: true });
  try {
    expect(await migrateDatabase(fresh.pool)).toMatchObject({ state: 'current', applied: known, known });
    const [upgraded, made] = [await dumpSchema(pool), await dumpSchema(fresh.pool)];
    expect(made.length).toBeGreaterThan(1_000);
    expect(
      upgraded.filter((object) => !made.includes(object)),
      'only after an upgrade',
    ).toEqual([]);
    expect(
      made.filter((object) => !upgraded.includes(object)),
      'only when it was empty',
    ).toEqual([]);
    expect(await rowsAtFirst(fresh.pool)).toEqual({ discovery: 1, feed_head: 1, knows: true });
    expect(await firstValue(pool, 'select orgtrail_schema_version()'), 'for the journal of the evidence').toBe(
      await firstValue(fresh.pool, 'select orgtrail_schema_version()'),
    );
  } finally {
    await fresh.close();
  }
});

test('migrating an upgraded database again changes nothing', async () => {
  await makeSchema020(database.pool);
  for (const _ of ['first', 'second']) {
    const { code, stdout } = await runInProcess(['migrate'], { DATABASE_URL: database.url });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `the schema is current: ${known} of ${known} migrations applied\n`,
    });
  }
  const rows = await recorded(database.pool);
  await migrateDatabase(database.pool);
  expect(await recorded(database.pool)).toEqual(rows);
});

test('a database of before 0.2.0 is too old: exit 2, says what to do, and is left alone', async () => {
  const { pool } = database;
  await makeSchema020(pool, -1);
  const before = [await dumpSchema(pool), await recorded(pool)];
  expect(await readSchemaState(pool)).toMatchObject({ state: 'too old', applied: of020.length - 1 });
  for (const command of ['migrate', 'check', 'status']) {
    const { code, stdout, stderr } = await runInProcess([command], {
      DATABASE_URL: database.url,
      CLOUDFLARE_API_TOKEN: 'none',
    });
    expect(stdout + stderr, command).toMatch(
      /the schema of the database is too old: it has 49 of the 50 migrations of 0\.2\.0/,
    );
    expect(stdout + stderr, command).toMatch(/Try: upgrade through 0\.2\.0 first/);
    expect(code, command).toBe(2);
  }
  expect([await dumpSchema(pool), await recorded(pool)]).toEqual(before);
});

const REPLICAS = 8;
const DAY_MS = 86_400_000;

const migrateAsReplica = async () => {
  const pool = createPool(database.url, 2, () => {});
  try {
    return await migrateDatabase(pool);
  } finally {
    await pool.end();
  }
};

const recorded = (pool: Pool) =>
  valuesOf<string>(pool, "select id || ' ' || hash || ' ' || created_at from drizzle.__drizzle_migrations order by id");

/** Events of two months, and rows of most of what an installation has. */
async function fill(pool: Pool): Promise<void> {
  await pool.query('select orgtrail_create_partitions($1, $2)', [new Date(T0 - 31 * DAY_MS), new Date(T0)]);
  await pool.query(`
    insert into organizations (id, name) values ('one', 'One');
    insert into sources (kind, id, organization_id, filter_hash, wanted_since, commit_seq)
      values ('organization', 'one', 'one', '', '2024-01-01', 3);
    insert into lanes (source_kind, source_id, filter_hash, lane, state) values ('organization', 'one', '', 'live', '{"walk": null}');
    insert into coverage (source_kind, source_id, filter_hash, pass, ranges)
      values ('organization', 'one', '', 0, '{[2024-01-01, 2024-02-01)}');
    insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
      select 'organization', 'one', 'one', 'id' || n, n, to_timestamp(${T0 / 1_000} - 86400 * (n % 40)), json_build_object('id', 'id' || n)
      from generate_series(1, 300) n;
    update feed_head set position = 300;
    insert into holds (reason, created_by, organization_id) values ('a lawsuit', 'counsel', 'one');
    insert into saved_searches (name, search) values ('all', '');
    insert into retention_policy (shortest) values ('400 days');
    insert into collector_tokens (token_id) values ('of the collector');
    insert into access_tokens (name, hash, scopes) values ('token', sha256('token'), '{feed}');
    insert into accounts (id, name) values ('account', 'Account');
    select orgtrail_open_evidence('of.example/a', 'of.example/b')`);
}

/** All rows of all tables that stay: a new log of evidence replaces that of before. */
const contents = async (pool: Pool): Promise<Readonly<Record<string, readonly unknown[]>>> => {
  const tables = await valuesOf<string>(
    pool,
    `select c.relname from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname <> 'walks' and c.relname not like 'evidence%' order by 1`,
  );
  // Dropped; written by connections; made more exact by 0086.
  const left: Readonly<Record<string, string>> = {
    sources: 'failures,next_attempt_at,last_success_at,last_failure,last_error',
    feed_head: 'alive_at,paced_until,database_oid,timeline',
  };
  const all: Record<string, readonly unknown[]> = {};
  for (const table of tables) {
    const row = `to_jsonb(t) - '{${left[table] ?? ''}}'::text[]`;
    all[table] = await valuesOf(pool, `select ${row} from ${table} t order by (${row})::text collate "C"`);
  }
  expect(all['audit_events']).toHaveLength(300);
  return all;
};

/** What an empty database begins with. */
const rowsAtFirst = async (pool: Pool) => ({
  discovery: Number(await firstValue(pool, 'select count(*) from discovery')),
  feed_head: Number(await firstValue(pool, 'select count(*) from feed_head where position = 0')),
  knows: await firstValue(
    pool,
    'select timeline = orgtrail_timeline(tableoid) and alive_at is not null from feed_head',
  ),
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { verifyDatabase } from '../../../src/cli/evidence/verify-command.ts';
import { newSigner, openBuilder } from '../../support/evidence/builder-world.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { commit, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/*
 * A leaf covers the payload of an event and not the columns that are made of it. An owner of the schema may change those alone, and a search
 * shows another history then.
 */

const signer = newSigner();
/** A copy of its database, for each test. */
let database: TestDatabase;
const world = forAllTests(() =>
  openWorld({ seed: 7, organizations: 3, entries: 600, faults: 'all', pageCap: 100 }, { ORGTRAIL_SETTLE: 'none' }),
);
const pool = poolOfWorld(world);
beforeAll(async () => {
  const run = await world.open();
  // What the faults let through at first, and which entries are defective, is a matter of draws: in one of fifty histories none is.
  const [one] = world.simulator.summary().organizations;
  await until('most of it is stored, a defective entry too', async () => {
    await world.endRests();
    await run.cycle().catch(() => {});
    const { rows } = await pool.query(
      'select count(*) >= 300 as most, count(defects) > 0 as defective from audit_events',
    );
    if (rows[0].most && !rows[0].defective && one !== undefined) world.simulator.generate(one.id, 20);
    return rows[0].most && rows[0].defective;
  });
  await run.close();
  await openBuilder(pool, signer).build();
  await pool.query('update evidence_logs set lease_until = null');
});
beforeEach(async () => {
  database = await createTestDatabase({ copyOf: world.database });
});
afterEach(() => database?.close());

test('of an API with all faults, columns are what raw says; each that is changed is a fault that names column and event', async () => {
  const { pool } = database;
  const before = await verify(true);
  expect(before.faults).toEqual([]);
  expect(before.claims).toContain('the columns beside raw are what raw says');
  const changed = [
    ['actor_email', `actor_email is not null and defects is null`, `'j.doe@example.com'`],
    ['actor_token_name', `defects is not null`, `'another token'`],
    ['action_result', `action_result is not null and defects is null`, 'null'],
    ['raw_status_code', `raw_status_code is not null and defects is null`, 'raw_status_code + 1'],
    ['zone_name', `zone_name is null and defects is null`, `'other.example.com'`],
  ] as const;
  const expected: [column: string, positions: readonly number[]][] = [];
  for (const [column, condition, value] of changed) {
    const positions = await positionsWith(condition);
    await pool.query(`update audit_events set ${column} = ${value} where position = any($1)`, [positions]);
    expected.push([column, positions]);
  }
  const without = await verify(false);
  expect([without.faults, without.notChecked]).toEqual([
    [],
    ['whether the columns beside raw are what raw says: --columns'],
  ]);
  const found = await verify(true);
  for (const [column, positions] of expected) {
    const fault = found.faults.find(({ message }) => message.startsWith(`column ${column} of event ${positions[0]} `));
    expect(fault).toMatchObject({ code: 'column', positions, count: positions.length });
  }
  expect(found.faults).toHaveLength(expected.length);
  expect(found.claims).not.toContain('the columns beside raw are what raw says');
});

test('accounts and zones of events from before these columns are not held against them, and are counted', async () => {
  const { pool } = database;
  const zone = { account: { id: 'a1', name: 'one' }, zone: { id: 'z1', name: 'example.com' } };
  const entries = ['x', 'y'].map((id) => JSON.stringify({ id, action: { time: new Date(T0).toISOString() }, ...zone }));
  await commit(pool, await newSource(pool, 'of-accounts'), entries);
  await openBuilder(pool, signer).build();
  const positions = await positionsWith(`account_id = 'a1' and zone_name = 'example.com'`);
  expect((await verify(true)).notClaimed.join()).not.toContain('empty columns');
  await pool.query('update audit_events set account_id = null, zone_name = null where position = any($1)', [positions]);
  const found = await verify(true);
  expect(found.faults).toEqual([]);
  expect(found.notClaimed).toContain(
    'that the empty columns of account and zone are what raw says, of 2 events: raw names some, and version 0.2 had no such columns',
  );
});

test('raw that PostgreSQL cannot read, and no defect says so, is a fault, and the others are compared', async () => {
  const { pool } = database;
  const [first = 0, second = 0] = await positionsWith('defects is null and actor_email is not null');
  await pool.query(`update audit_events set raw = '"\\u0000"'::json where position = $1`, [first]);
  await pool.query(`update audit_events set actor_email = 'j.doe@example.com' where position = $1`, [second]);
  const { faults } = await verify(true);
  expect(faults.filter(({ code }) => code === 'column')).toMatchObject([
    { message: `the columns of event ${first} cannot be compared: raw is no jsonb, and no defect says so` },
    { message: `column actor_email of event ${second} is not what raw says` },
  ]);
});

test('entries that PostgreSQL does not take as they are have the columns that were made of them', async () => {
  const { pool } = database;
  const time = `"action":{"time":"${new Date(T0).toISOString()}"}`;
  const long = Array.from({ length: 3_000 }, (_, index) => ((index * 7_919_117) % 1_679_616).toString(36)).join('');
  const entries = [
    `{"id":"nul",${time},"actor":{"email":"a\\u0000b"}}`,
    `{"id":"half",${time},"actor":{"email":"a\\ud800b"},"raw":{"cf_rayid":"r1"}}`,
    `{"id":"number",${time},"actor":{"id":7,"email":"c"},"raw":{"status_code":1e99999}}`,
    `{"id":"deep",${time},"actor":{"email":"d","more":${'['.repeat(6_000)}${']'.repeat(6_000)}},"raw":{"status_code":404}}`,
    `{"id":"long",${time},"actor":{"email":"${long}"},"resource":{"id":{"a":[1,null]}}}`,
    `{"id":"twice",${time},"actor":{"email":"e"},"actor":{"email":"f"}}`,
    `{${time},"actor":{"email":""}}`,
    '"text"',
  ];
  await commit(pool, await newSource(pool, 'of-oddities'), entries);
  await openBuilder(pool, signer).build();
  const { rows } = await pool.query<{ defects: readonly string[] | null }>(
    `select defects from audit_events where source_id = 'of-oddities'`,
  );
  expect(rows).toHaveLength(entries.length);
  expect(new Set(rows.flatMap(({ defects }) => defects ?? []))).toEqual(
    new Set([
      'nul_character',
      'lone_surrogate',
      'number_out_of_range',
      'nested_too_deeply',
      'column_too_long',
      'id_missing',
      'not_an_object',
    ]),
  );
  expect((await verify(true)).faults).toEqual([]);
});

test('events at positions that were never given out are refused or not found, and a verification names them', async () => {
  const { pool } = database;
  const names = await firstValue<string>(
    pool,
    `select string_agg(quote_ident(column_name), ', ') as names from information_schema.columns
     where table_name = 'audit_events' and column_name not in ('position', 'id', 'actor_email')`,
  );
  const copyTo = (position: number) =>
    pool.query(
      `insert into audit_events (position, id, actor_email, ${names}) select $1::bigint, 'copy-' || $1, 'mallory@example.com', ${names}
       from audit_events where position = 1`,
      [position],
    );
  await expect(copyTo(0)).rejects.toThrow('audit_events_position_from_1');
  // As before there was this rule.
  await pool.query('alter table audit_events drop constraint audit_events_position_from_1');
  for (const position of [-5, 0, 100_000]) await copyTo(position);
  expect((await verify(true)).faults).toEqual([
    expect.objectContaining({
      code: 'leaf',
      message: '3 events stand at positions that were never given out: -5, 0, 100000',
    }),
  ]);
  const search = (...more: string[]) =>
    runInProcess(['search', 'actor:mallory@example.com', '--since', '2000-01-01', ...more], {
      ...world.ownerEnv,
      DATABASE_URL: database.url,
    });
  expect(JSON.parse((await search('--json')).stdout).events).toEqual([]);
  const folder = await mkdtemp(join(tmpdir(), 'orgtrail-outside-'));
  const bundle = await search('--bundle', join(folder, 'found.zip'));
  await rm(folder, { recursive: true });
  expect(`${bundle.stdout}${bundle.stderr}`).not.toMatch(/^ +at /m);
  expect(`${bundle.stdout}${bundle.stderr}`).toMatch(/\b(0|no) events/);
});

const verify = (hasColumns: boolean) =>
  verifyDatabase(database.pool, { anchors: [], policy: undefined, evidence: undefined, hasColumns });

/** Of events that have a value there, and are defective or not. */
const positionsWith = async (condition: string): Promise<readonly number[]> => {
  const { rows } = await database.pool.query<{ position: number }>(
    `select position::float8 as position from audit_events where ${condition} order by position limit 2`,
  );
  expect(rows, condition).not.toEqual([]);
  return rows.map(({ position }) => position);
};

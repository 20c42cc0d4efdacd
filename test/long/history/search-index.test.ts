import { beforeAll, describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { indexesIn, indexNames } from '../../support/search/history-questions.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const database = databaseOfTests();
beforeAll(() => makeLargeHistory(database.pool, { events: 1_000, organizations: 3, untilMs: Date.parse(UNTIL) }));

describe('migrate --search-index', () => {
  test('indexes every month, those to come too, whatever the entries hold; again, it does nothing', async () => {
    const { pool } = database;
    const defective = '{"id":"nul","resource":{"request":{"name":"\\u0000"}}}';
    await commit(pool, await newSource(pool, 'defective'), [defective, entryText('plain')]);
    const first = await migrate('--search-index', 'json,text');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout.match(/^indexing /gm)?.length).toBeGreaterThan(2 * 20);
    const again = await migrate('--search-index', 'json,text');
    expect(again.stdout).not.toContain('indexing ');
    await pool.query("select orgtrail_create_partitions('2020-01-01', '2020-01-02')");
    const { rows } = await pool.query(
      `select count(*)::integer as indexes, bool_and(indisvalid) as valid from pg_index
       where indrelid in ('audit_events_2020_01'::regclass, 'audit_events_2026_10'::regclass)`,
    );
    expect(rows).toEqual([{ indexes: 2 * 16, valid: true }]);
    await commit(pool, await newSource(pool, 'later'), [defective, entryText('other')]);
  });

  test.each([
    [
      'payload',
      `select request from audit_history where payload @> '{"resource": {"request": {"name": "host-7.example.com"}}}'`,
    ],
    [
      'text',
      "select request from audit_history h join audit_events e using (position) where e.raw::text ilike '%host-7.exa%'",
    ],
  ])('what is asked as the cookbook does is served by it: %s', async (index, sql) => {
    const plan = await planOf(sql);
    expect(indexesIn(plan, await indexNames(database.pool)), plan).toContain(index);
  });

  test('one that was cut off in its middle is made again', async () => {
    const { pool } = database;
    await pool.query('drop index audit_events_payload');
    await pool.query(
      'create index audit_events_2026_09_payload on audit_events_2026_09 using gin (orgtrail_payload(raw, defects) jsonb_path_ops)',
    );
    await pool.query(
      "update pg_index set indisvalid = false where indexrelid = 'audit_events_2026_09_payload'::regclass",
    );
    expect(await migrate('--search-index')).toMatchObject({ code: 0, stderr: '' });
    const { rows } = await pool.query(
      "select indexrelid::regclass::text as name, indisvalid from pg_index where indexrelid = any (array['audit_events_payload', 'audit_events_2026_09_payload']::regclass[]) order by 1",
    );
    expect(rows).toEqual([
      { name: 'audit_events_2026_09_payload', indisvalid: true },
      { name: 'audit_events_payload', indisvalid: true },
    ]);
  });

  test('of anything else: exit code 2, and what there is', async () => {
    const { code, stderr } = await migrate('--search-index', 'words');
    expect(stderr).toContain('--search-index must be json, text or json,text, not "words"');
    expect(code).toBe(2);
  });
});

const UNTIL = '2026-11-01T00:00:00Z';
const migrate = (...args: string[]) => runInProcess(['migrate', ...args], { DATABASE_URL: database.url });

/** The plan where nothing but a bitmap may be used: so few rows are read faster without any index. */
const planOf = async (sql: string): Promise<string> => {
  const client = await database.pool.connect();
  try {
    await client.query('begin; set local enable_seqscan = off; set local enable_indexscan = off');
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${sql}`);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  } finally {
    await client.query('rollback');
    client.release();
  }
};

import { describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import {
  commit,
  commitAll,
  entryText,
  newSource,
  pageOf,
  T0,
  takeLease,
} from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();

describe('the plan that a connection keeps', () => {
  test('is right for a month that was empty when it was made: a known id is looked up, not searched for', async (context) => {
    const { rows } = await database.pool.query("select current_setting('server_version_num')::integer as version");
    context.skip(rows[0]?.version < SINCE_ABLE, 'before PostgreSQL 17 each lookup is planned by itself');
    const lease = await newSource(database.pool, 'grows');
    const client = await database.pool.connect();
    try {
      const knowsAny = async (wanted: readonly string[]): Promise<boolean> =>
        (await client.query("select orgtrail_may_know_any('organization', 'grows', $1) as known", [wanted])).rows[0]
          .known;
      const rowsRead = async (): Promise<number> => {
        await client.query('select pg_stat_force_next_flush()');
        const { rows: read } = await client.query(
          `select (select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables where relname like 'audit_events%')::integer
             + (select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes where relname like 'audit_events%')::integer as rows`,
        );
        return read[0].rows;
      };
      expect(await knowsAny(ids('other', 10))).toBe(false);
      await commitAll(database.pool, lease, [
        entries('grown', 1_000),
        ...Array.from({ length: ROWS / 1_000 - 1 }, (_, page) => entries(`grown-${page}`, 1_000)),
      ]);
      const before = await rowsRead();
      expect(await knowsAny(ids('other', 10))).toBe(false);
      expect(await knowsAny([...ids('other', 10), 'grown-77'])).toBe(true);
      expect((await rowsRead()) - before).toBeLessThan(ROWS / 50);
    } finally {
      client.release();
    }
  });

  test('finds what is known among all months, and among entries without a time', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'months');
    const away = (id: string, timeMs: number) => entryText(id, timeMs, { note: 'the same' });
    const page = pageOf([away('old', T0 - 200 * 86_400_000), away('new', T0), '{"id":"timeless"}']);
    expect(await commit(pool, lease, page)).toMatchObject({ stored: 3, duplicates: 0 });
    for (const [index, known] of [away('old', T0), away('new', T0), '{"id":"timeless"}'].entries()) {
      const again = await takeLease(pool, 'months');
      expect(await commit(pool, again, pageOf([known, entryText(`beside ${index}`)]))).toMatchObject({
        stored: 1,
        duplicates: 1,
      });
    }
  });
});

const ROWS = 5_000;
const SINCE_ABLE = 170_000;

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

const entries = (prefix: string, count: number) => ids(prefix, count).map((id, index) => entryText(id, T0 + index));

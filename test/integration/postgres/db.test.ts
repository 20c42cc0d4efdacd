import { eq } from 'drizzle-orm';
import { DatabaseError } from 'pg';
import { describe, expect, test } from 'vitest';
import { databaseTrouble } from '../../../src/postgres/database-trouble.ts';
import { db } from '../../../src/postgres/db.ts';
import { createPool, inTransaction } from '../../../src/postgres/pool.ts';
import { sqlState } from '../../../src/postgres/sql-state.ts';
import { organizations } from '../../../src/postgres/tables/organizations.ts';
import { retentionPolicy } from '../../../src/postgres/tables/retention.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

const database = databaseOfTests();

describe('the query builder', () => {
  test('throws what the driver throws, without the parameters of the statement', async () => {
    const error = await errorOf(db(database.pool).insert(retentionPolicy).values({ shortest: '17 secret-parameter' }));
    expect(error).toBeInstanceOf(DatabaseError);
    expect(sqlState(error)).toBe('22007');
    const refused = await errorOf(db(database.pool).insert(retentionPolicy).values({ shortest: '77777 seconds' }));
    expect(sqlState(refused)).toBe('23514');
    expect(JSON.stringify([refused, String(refused), (refused as Error).stack])).not.toContain('params');
    expect(String(refused)).not.toContain('77777');
  });

  test('says by its error that no server answers', async () => {
    const nowhere = createPool('postgres://orgtrail@127.0.0.1:1/nothing', 1, () => {});
    const error = await errorOf(db(nowhere).select().from(organizations));
    await nowhere.end();
    expect(databaseTrouble(error)).toBe('unreachable');
  });

  test('runs on the connection of a transaction, and is rolled back with it', async () => {
    const ended = inTransaction(database.pool, async (client) => {
      await db(client).insert(organizations).values({ id: 'o1', meta: 'a "text" that is JSON' });
      const [row] = await db(client).select().from(organizations).where(eq(organizations.id, 'o1'));
      expect(row).toMatchObject({ id: 'o1', meta: 'a "text" that is JSON', state: 'active', createTime: null });
      expect(Math.abs((row?.firstSeenAt.getTime() ?? 0) - Date.now())).toBeLessThan(3_600_000);
      await db(client).insert(organizations).values({ id: 'o1' });
    });
    expect(sqlState(await errorOf(ended))).toBe('23505');
    expect(await db(database.pool).select().from(organizations)).toEqual([]);
  });
});

const errorOf = async (work: PromiseLike<unknown>): Promise<unknown> => {
  const [outcome] = await Promise.allSettled([work]);
  return outcome.status === 'rejected' ? outcome.reason : undefined;
};

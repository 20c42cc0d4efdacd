import { describe, expect, test } from 'vitest';
import { createPool, inTransaction } from '../../../src/postgres/pool.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { withLock } from '../../support/postgres/lock-waits.ts';
import { until } from '../../support/process/until.ts';

const database = databaseOfTests();

describe('a statement that has no answer in time', () => {
  test('fails, and is cancelled on the server', async () => {
    const impatient = createPool(`${database.url}&query_timeout=2000`, 1, () => {});
    await expect(impatient.query("select pg_sleep(600), 'left behind'")).rejects.toThrow('Query read timeout');
    await until('the server has ended it', async () => {
      const { rowCount } = await database.pool.query(
        "select from pg_stat_activity where query like '%left behind%' and state = 'active' and pid <> pg_backend_pid()",
      );
      return rowCount === 0;
    });
    // On a busy machine this statement, too, may have no answer in time.
    const answers = () =>
      impatient.query('select 1 as one').then(
        ({ rows }) => rows[0]?.one === 1,
        () => false,
      );
    await until('it can be used', answers);
    await impatient.end();
  });

  test('in a transaction: the transaction is given up with its connection, and its locks are free', async () => {
    const impatient = createPool(`${database.url}&query_timeout=2000`, 1, () => {});
    await withLock(database.pool, 'select from feed_head for update', async () => {
      let hasLock = false;
      const transaction = () =>
        inTransaction(impatient, async (client) => {
          await client.query('select from discovery for update');
          hasLock = true;
          await client.query('select from feed_head for update');
        });
      // On a busy machine what comes before the lock may have no answer in time: then again.
      while (!hasLock) await expect(transaction()).rejects.toThrow('Query read timeout');
      await database.pool.query('select from discovery for update');
    });
    await impatient.end();
  });
});

describe('a transaction', () => {
  test('has a limit of its own for idling, which does not stay with the connection', async () => {
    const pool = createPool(database.url, 1, () => {});
    const limit = 'select current_setting(\'idle_in_transaction_session_timeout\') as "limit"';
    expect((await inTransaction(pool, (client) => client.query(limit))).rows).toEqual([{ limit: '1min' }]);
    expect((await pool.query(limit)).rows).toEqual([{ limit: '0' }]);
    await pool.end();
  });
});

import { describe, expect, test } from 'vitest';
import { BusyError } from '../../../src/errors.ts';
import { AbandonedError } from '../../../src/postgres/abandon.ts';
import { copyOut } from '../../../src/postgres/copy/copy-out.ts';
import { readOnly } from '../../../src/postgres/read-only.ts';
import { createSharedPool } from '../../../src/postgres/shared-pool.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { until } from '../../support/process/until.ts';

const database = databaseOfTests();

describe('connections that many share', () => {
  test('a statement that gets none in its time is told that they are busy, not that the database does not answer', async () => {
    const pool = createSharedPool(database.url, { max: 2, what: 'tests', maxWaitMs: 50 }, () => {});
    const [first, second] = [await pool.connect(), await pool.connect()];
    const busy = new BusyError('busy: all 2 connections for tests have been in use for 0.05 s', 5);
    await expect(pool.query('select 1')).rejects.toThrow(busy);
    await expect(pool.connect()).rejects.toThrow(busy);
    first.release();
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    second.release(new Error('broken'));
    expect((await Promise.all([1, 2].map(() => pool.query('select 1')))).length).toBe(2);
    await pool.end();
  });

  test('a database that does not answer is not said to be busy', async () => {
    const gone = new URL(database.url);
    gone.port = '1';
    const pool = createSharedPool(gone.href, { max: 1, what: 'tests' }, () => {});
    for (const attempt of [1, 2]) {
      await expect(pool.query(`select ${attempt}`)).rejects.toThrow('ECONNREFUSED');
    }
    await pool.end();
  });
});

describe('a statement whose reader has gone', () => {
  test('of a search is cancelled on the server, and its connection is free for the next one', async () => {
    const pool = createSharedPool(database.url, { max: 1, what: 'tests' }, () => {});
    const gone = new AbortController();
    const sleeping = readOnly(pool, 600_000, (client) => client.query("select pg_sleep(600), 'of one'"), gone.signal);
    const fails = expect(sleeping).rejects.toBeInstanceOf(AbandonedError);
    await until('it runs', async () => (await underWay('of one')) === 1);
    gone.abort();
    await fails;
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await until('the server has ended it', async () => (await underWay('of one')) === 0);
    await pool.end();
  });

  test('of the feed is cancelled, too, and hands over no row after that', async () => {
    const pool = createSharedPool(database.url, { max: 1, what: 'tests' }, () => {});
    const gone = new AbortController();
    let rowsAfter = 0;
    const endless = "select repeat('of another', 1000), generate_series(1, 1000000000)";
    const copying = copyOut(
      pool,
      endless,
      () => {
        if (gone.signal.aborted) rowsAfter += 1;
        else gone.abort();
      },
      gone.signal,
    );
    await expect(copying).rejects.toBeInstanceOf(AbandonedError);
    await until('the server has ended it', async () => (await underWay('of another')) === 0);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(rowsAfter).toBe(0);
    await pool.end();
  });

  test('that still waits for a connection is not run at all', async () => {
    const pool = createSharedPool(database.url, { max: 1, what: 'tests' }, () => {});
    const client = await pool.connect();
    const gone = new AbortController();
    let ran = false;
    const waiting = readOnly(
      pool,
      1_000,
      async () => {
        ran = true;
      },
      gone.signal,
    );
    gone.abort();
    await expect(waiting).rejects.toBeInstanceOf(AbandonedError);
    client.release();
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(ran).toBe(false);
    await pool.end();
  });
});

/** How many statements with this mark the server has under way. */
const underWay = async (mark: string): Promise<number> => {
  const { rowCount } = await database.pool.query(
    `select from pg_stat_activity where query like '%${mark}%' and state = 'active' and pid <> pg_backend_pid()`,
  );
  return rowCount ?? 0;
};

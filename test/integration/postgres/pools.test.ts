import { eq } from 'drizzle-orm';
import { DatabaseError } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { migrateWithLog } from '../../../src/app/telemetry/log.ts';
import { BusyError } from '../../../src/base/errors.ts';
import { copyOut } from '../../../src/postgres/copy.ts';
import { createSharedPool, openPool } from '../../../src/postgres/open-pool.ts';
import { AbandonedError, createPool, inTransaction } from '../../../src/postgres/pool.ts';
import { db, readOnly } from '../../../src/postgres/queries.ts';
import { readSchemaState } from '../../../src/postgres/schema/migrate.ts';
import { databaseTrouble, sqlState } from '../../../src/postgres/sql-state.ts';
import { retentionPolicy } from '../../../src/postgres/tables/archive.ts';
import { organizations } from '../../../src/postgres/tables/sources.ts';
import { addressOf, byWayOf, startTcpProxy } from '../../support/network/tcp-proxy.ts';
import { createTestDatabase, databaseOfTests } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { keptLog } from '../../support/process/kept-log.ts';
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

test('a connection that is lost is logged, but not one that ends with the pool', async () => {
  const { lines, logger } = keptLog();
  const opened = openPool({ url: () => database.url, size: 1, logger });
  await opened.pool.query('select 1');
  opened.pool.emit('error', new Error('terminating connection due to administrator command'), undefined as never);
  expect(lines.join('')).toContain('lost an idle database connection');
  lines.length = 0;
  const closing = opened.close();
  opened.pool.emit('error', new Error('terminating connection due to administrator command'), undefined as never);
  await closing;
  expect(lines).toEqual([]);
});

test('a database that prints few digits, and whose search path leaves out public, is read as it is', async () => {
  const odd = await createTestDatabase();
  onTestFinished(() => odd.close());
  const { rows } = await odd.pool.query<{ name: string }>('select quote_ident(current_database()) as name');
  for (const setting of ['extra_float_digits = -15', 'search_path = elsewhere'])
    await odd.pool.query(`alter database ${rows[0]?.name} set ${setting}`);
  const { lines, logger } = keptLog();
  const { pool, close } = openPool({ url: () => odd.url, size: 1, logger });
  expect(await readSchemaState(pool)).toMatchObject({ state: 'current' });
  const read = await pool.query<{ n: number }>(
    'select 1234567890123456::float8 as n from discovery right join (values (1)) on true',
  );
  expect(read.rows).toEqual([{ n: 1234567890123456 }]);
  await close();
  expect(lines).toEqual([]);
});

test('a connection that breaks in the middle of a COPY fails it, and nothing else: the process lives, and the pool', async () => {
  await using proxy = await startTcpProxy(addressOf(database.url));
  const pool = createPool(byWayOf(proxy, database.url), 1, () => {});
  const rows = Promise.withResolvers<void>();
  const endless = "select repeat('x', 1000), generate_series(1, 1000000000)";
  const copied = copyOut(pool, endless, () => rows.resolve());
  const fails = expect(copied).rejects.toThrow('Connection terminated unexpectedly');
  await rows.promise;
  await proxy.cut();
  await fails;
  await proxy.restore();
  let seen = 0;
  await copyOut(pool, 'select generate_series(1, 3)', () => {
    seen += 1;
  });
  expect(seen).toBe(3);
  await pool.end();
});

test('a COPY that the server refuses fails in its words, and the pool goes on', async () => {
  const pool = createPool(database.url, 1, () => {});
  await expect(copyOut(pool, 'select nothing from nowhere', () => {})).rejects.toThrow('nowhere');
  await copyOut(pool, 'select 1', () => {});
  await pool.end();
});

test('a migration that takes long says so, with its step, until it is done; a current schema says nothing', async () => {
  const database = await createTestDatabase({ empty: true });
  const { pool } = database;
  const { lines, entries, logger } = keptLog();
  const said = (message: string) => entries().filter(({ msg }) => msg === message);
  // Its first step waits for this, as one that builds an index would take its time.
  const blocker = await pool.connect();
  await blocker.query('begin; create table organizations (id text)');
  const migrating = migrateWithLog(pool, logger, { tellEveryMs: 50 });
  await waitingBackends(pool, 1);
  await until('it has said so', async () => said('schema migration still in progress').length > 1);
  expect(said('schema migration still in progress')[0]).toMatchObject({
    level: 'warn',
    number: 1,
    of: expect.any(Number),
    seconds: expect.any(Number),
  });
  await until('it has named who is in the way', async () => said('waiting for other sessions').length > 0);
  const { rows } = await blocker.query<{ pid: number }>('select pg_backend_pid() as pid');
  await blocker.query('rollback');
  blocker.release();
  await migrating;
  expect(said('waiting for other sessions')[0]).toMatchObject({
    level: 'warn',
    statement: expect.stringMatching(/^-- Organizations, /),
    blockers: [{ pid: rows[0]?.pid, state: 'idle in transaction', query: expect.stringContaining('create table') }],
  });
  expect(entries().at(0)).toMatchObject({ level: 'info', migrations: 1, msg: 'migrating the schema' });
  expect(entries().at(-1)).toMatchObject({ level: 'info', migrations: 1, msg: 'schema migrated' });

  lines.length = 0;
  await migrateWithLog(pool, logger);
  expect(lines).toEqual([]);
  await database.close();
});

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
      await db(client).insert(organizations).values({ id: 'o1', profile: 'a "text" that is JSON' });
      const [row] = await db(client).select().from(organizations).where(eq(organizations.id, 'o1'));
      expect(row).toMatchObject({ id: 'o1', profile: 'a "text" that is JSON', state: 'active', name: null });
      expect(Math.abs((row?.firstSeenAt.getTime() ?? 0) - Date.now())).toBeLessThan(3_600_000);
      await db(client).insert(organizations).values({ id: 'o1' });
    });
    expect(sqlState(await errorOf(ended))).toBe('23505');
    expect(await db(database.pool).select().from(organizations)).toEqual([]);
  });
});

/** How many statements with this mark the server has under way. */
const underWay = async (mark: string): Promise<number> => {
  const { rowCount } = await database.pool.query(
    `select from pg_stat_activity where query like '%${mark}%' and state = 'active' and pid <> pg_backend_pid()`,
  );
  return rowCount ?? 0;
};

// The last one: connections to this database do not live long from then on.
test.each([undefined, 'searches'])(
  'a server that closes idle connections earlier than the pool (of %s): statements go on, each time on new ones',
  async (sharedFor) => {
    const { lines, entries, logger } = keptLog();
    const { rows } = await database.pool.query<{ name: string }>('select current_database() as name');
    // Of sessions that begin from now on.
    await database.pool.query(`alter database "${rows[0]?.name}" set idle_session_timeout = '500ms'`);
    const { pool, close } = openPool({
      url: database.url,
      size: 3,
      logger,
      ...(sharedFor && { sharedFor }),
    });
    const together = () =>
      Promise.all(
        [1, 2, 3].map((n) =>
          pool.query<{ n: number; pid: number }>(`select ${n} as n, pg_backend_pid() as pid, pg_sleep(0.01)`),
        ),
      );
    const pids = new Set<number>();
    for (let round = 1; round <= 3; round += 1) {
      const answers = (await together()).map((answer) => answer.rows[0]);
      expect(answers.map((row) => row?.n)).toEqual([1, 2, 3]);
      for (const row of answers) pids.add(row?.pid ?? 0);
      await until('the server has closed them, and the pool knows', async () => pool.totalCount === 0);
    }
    expect(lines).toHaveLength(pids.size);
    const lost = {
      level: 'warn',
      msg: 'lost an idle database connection',
      reason: expect.stringContaining('idle-session timeout'),
    };
    for (const entry of entries()) expect(entry).toMatchObject(lost);
    await close();
  },
);

const errorOf = async (work: PromiseLike<unknown>): Promise<unknown> => {
  const [outcome] = await Promise.allSettled([work]);
  return outcome.status === 'rejected' ? outcome.reason : undefined;
};

import { Client } from 'pg';
import { describe, expect, test } from 'vitest';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { FeedSignal } from '../../../src/feed/feed-signal.sql.ts';
import { createClient } from '../../../src/postgres/pool.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { commit, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';

const never = new AbortController().signal;

describe.concurrent('waiting for news', () => {
  test('ends with the commit that has some, for all who wait for it, without asking the database again and again', async () => {
    await using world = await open();
    const waits = [0, 0, 0].map((position) => world.signal.waitBeyond(position, LONG_MS, never));
    const patient = new AbortController();
    let later = false;
    const further = world.signal.waitBeyond(1, LONG_MS, patient.signal).then(() => {
      later = true;
    });
    await until('it listens', async () => (await world.listeners()).length === 1);
    await world.store('one');
    await Promise.all(waits);
    expect(later).toBe(false);
    // One as it begins to listen, and one for the commit, of all three.
    expect(world.looks()).toBeLessThanOrEqual(2);
    patient.abort();
    await further;
    expect(world.fallbacks).toEqual([]);
  });

  test('a page without anything new wakes no reader', async () => {
    await using world = await open();
    await world.store('one');
    const wait = new AbortController();
    let woken = false;
    const waiting = world.signal.waitBeyond(1, LONG_MS, wait.signal).then(() => {
      woken = true;
    });
    await until('it listens', async () => (await world.listeners()).length === 1);
    await world.store('one');
    await world.signal.waitBeyond(1, 300, never);
    expect(woken).toBe(false);
    // The one after it began to listen.
    expect(world.looks()).toBeLessThanOrEqual(1);
    wait.abort();
    await waiting;
  });

  test('a notification of a position that does not exist, from any account, is a hint and no more', async () => {
    await using world = await open();
    await world.store('one');
    const wait = new AbortController();
    let woken = 0;
    const waits = Array.from({ length: 10 }, () =>
      world.signal.waitBeyond(1, LONG_MS, wait.signal).then(() => {
        woken += 1;
      }),
    );
    await until('it listens', async () => (await world.listeners()).length === 1);
    await until('it has looked', async () => world.looks() === 1);
    await world.database.pool.query("select pg_notify('orgtrail_feed', '9007199254740991')");
    await until('it looks again', async () => world.looks() === 2);
    // What is asked for now does not end at once, as if there were something.
    await world.signal.waitBeyond(1, 300, never);
    expect(woken).toBe(0);
    expect(world.looks()).toBe(2);
    await world.store('two');
    await Promise.all(waits);
    expect(woken).toBe(10);
    wait.abort();
  });

  test('of thousands of notifications a few looks come', async () => {
    await using world = await open();
    const waiting = world.signal.waitBeyond(0, LONG_MS, never);
    await until('it listens', async () => (await world.listeners()).length === 1);
    const before = performance.now();
    await world.database.pool.query(
      "select pg_notify('orgtrail_feed', (9007199254740991 - n)::text) from generate_series(1, 5000) n",
    );
    await world.store('one');
    await waiting;
    // One each 20 ms, and those at both ends.
    expect(world.looks()).toBeLessThan(4 + (performance.now() - before) / 20);
  });

  test('ends at its time-out, on abort, and when it is closed', async () => {
    await using world = await open();
    await world.signal.waitBeyond(0, 20, never);
    await world.signal.waitBeyond(0, LONG_MS, AbortSignal.abort());
    const waiting = world.signal.waitBeyond(0, LONG_MS, never);
    world.signal.close();
    await waiting;
    await world.signal.waitBeyond(0, LONG_MS, never);
  });

  test('what was committed before LISTEN is seen', async () => {
    await using world = await open();
    await world.store('one');
    await world.signal.waitBeyond(0, LONG_MS, never);
  });

  test('a listener that was cut off: looking every second until it listens again', async () => {
    await using world = await open();
    const first = world.signal.waitBeyond(0, LONG_MS, never);
    await until('it listens', async () => (await world.listeners()).length === 1);
    const [pid] = await world.listeners();
    await world.database.pool.query('select pg_terminate_backend($1)', [pid]);
    await until('it fell back', async () => world.fallbacks.length === 1);
    await world.store('one');
    await first;
    expect(world.fallbacks.length).toBe(1);
  });

  test('where notifications do not arrive, as behind a pooler, it looks every second, and says so once', async () => {
    // Listens in another database: to this one it is as deaf as behind a pooler.
    const elsewhere = await createTestDatabase({ empty: true });
    await using world = await open(() => createClient(elsewhere.url), 1_000);
    const waiting = world.signal.waitBeyond(0, LONG_MS, never);
    await until('it fell back', async () => world.fallbacks.length === 1);
    await world.store('one');
    await waiting;
    expect(world.fallbacks).toEqual(['notifications do not arrive, as behind a pooler']);
    world.signal.close();
    await elsewhere.close();
  });

  test('a database that is too busy to notify in time ends neither the wait nor the process', async () => {
    await using world = await open(createClient, 1);
    const { pool } = world.database;
    // All that the pool has: a NOTIFY waits for one.
    const taken = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()));
    const waiting = world.signal.waitBeyond(0, LONG_MS, never);
    await until('the notification waits', async () => pool.waitingCount > 0);
    // Longer than the timeout.
    await world.signal.waitBeyond(0, 200, never);
    for (const client of taken) client.release();
    await world.store('one');
    await waiting;
  });

  test('a database that does not answer at all ends no wait early and rejects nothing', async () => {
    await using world = await open(() => new Client({ host: '127.0.0.1', port: 1 }));
    await world.signal.waitBeyond(0, 1_500, never);
    await until('it fell back', async () => world.fallbacks.length === 1);
  });
});

/** Longer than any test takes. */
const LONG_MS = 900_000;

const open = async (clientOf: (url: string) => Client = createClient, probeTimeoutMs = LONG_MS) => {
  const database = await createTestDatabase();
  const fallbacks: string[] = [];
  let looks = 0;
  const signal = new FeedSignal({
    createClient: () => clientOf(database.url),
    pool: database.pool,
    headPosition: async () => {
      looks += 1;
      return (await readFeedHead(database.pool)).position;
    },
    onFallback: (reason) => fallbacks.push(reason),
    probeTimeoutMs,
  });
  const lease = await newSource(database.pool, 'a');
  let current = lease;
  return {
    database,
    signal,
    fallbacks,
    looks: () => looks,
    store: async (id: string) => {
      const result = await commit(database.pool, current, [entryText(id)]);
      if (result.kind === 'committed') current = result.lease;
    },
    listeners: async () => {
      const { rows } = await database.pool.query<{ pid: number }>(
        "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()",
      );
      return rows.map(({ pid }) => pid);
    },
    [Symbol.asyncDispose]: async () => {
      signal.close();
      await database.close();
    },
  };
};

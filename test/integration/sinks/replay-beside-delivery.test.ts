import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Delivery } from '../../../src/sinks/delivery.ts';
import { replaySink } from '../../../src/sinks/replay/replay-sink.sql.ts';
import { beginDelivery, claimSink, registerSinks } from '../../../src/sinks/sinks.sql.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { commitAll, entryText, LEASE_MS, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, startSinkWorker } from '../../support/sinks/delivery-fixture.ts';

const EVENTS = 250;
const AFTER = 20;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  const entries = Array.from({ length: EVENTS }, (_, n) => entryText(`entry-${n}`, T0 + n));
  await commitAll(database.pool, await newSource(database.pool, 'org'), [entries]);
});
afterAll(async () => await database?.close());

const register = (name: string) =>
  registerSinks(database.pool, [{ name, kind: 'test', target: 'test', start: 'beginning' }]);
const positionOf = async (name: string): Promise<number | undefined> => {
  const sql = 'select position::float8 as position from sinks where name = $1';
  return (await database.pool.query<{ position: number }>(sql, [name])).rows[0]?.position;
};
const all = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** How a process ends a delivery: by the function, and by the statement of version 0.1, whose account was that of the owner. */
const ways = {
  function: 'select orgtrail_finish_delivery($1, $2, $3, $4, 0, array[]::bigint[], array[]::text[], 60000) as held',
  'statement of version 0.1': `with moved as (
      update sinks set position = $3, batch_until = null, delivered = delivered + $4, refused_in_row = 0, failures = 0,
        next_attempt_at = null, last_error = null, last_success_at = clock_timestamp(), lease_until = clock_timestamp() + interval '1 minute'
      where name = $1 and lease_epoch = $2 returning name)
    select count(*) = 1 as held from moved`,
} as const;

/** A sink whose receiver has the first hundred events, and what ends that. */
const underWay = async (name: string, way: keyof typeof ways) => {
  await register(name);
  const turn = await claimSink(database.pool, name, 'host/1/old', LEASE_MS);
  if (!('epoch' in turn)) throw new Error('another one has it');
  await beginDelivery(database.pool, turn, 100, LEASE_MS);
  return async (client: Pick<PoolClient, 'query'> = database.pool) =>
    (await client.query<{ held: boolean }>(ways[way], [name, turn.epoch, 100, 100])).rows[0]?.held;
};

/** What is in the way of the other until it commits. */
const holding = async (work: (client: PoolClient) => Promise<unknown>, beside: () => Promise<unknown>) => {
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    await work(client);
    const later = beside();
    await waitingBackends(database.pool, 1);
    await client.query('commit');
    return await later;
  } finally {
    await client.query('rollback');
    client.release();
  }
};

describe.each(Object.keys(ways) as (keyof typeof ways)[])('a replay beside a delivery that ends by the %s', (way) => {
  const name = (of: string) => `${of}-${way === 'function' ? 'new' : 'old'}`;

  test('that ends after it: the delivery changes nothing, and the sink stays where it was set', async () => {
    const finish = await underWay(name('after'), way);
    expect(await replaySink(database.pool, name('after'), AFTER)).toBe(true);
    expect(await finish()).toBe(false);
    expect(await positionOf(name('after'))).toBe(AFTER);
  });

  test('that waits for the replay: the same', async () => {
    const finish = await underWay(name('waits'), way);
    const replay = (client: PoolClient) =>
      client.query('select orgtrail_replay_sink(null, $1, $2, null)', [name('waits'), AFTER]);
    expect(await holding(replay, () => finish())).toBe(false);
    expect(await positionOf(name('waits'))).toBe(AFTER);
  });

  test('that is being recorded: the replay waits, and then sets the sink back', async () => {
    const finish = await underWay(name('recorded'), way);
    const held: unknown[] = [];
    const replayed = await holding(
      async (client) => held.push(await finish(client)),
      () => replaySink(database.pool, name('recorded'), AFTER),
    );
    expect([held, replayed]).toEqual([[true], true]);
    expect(await positionOf(name('recorded'))).toBe(AFTER);
  });
});

test('a replay while a receiver has a delivery: what it has is sent again, all after the position arrives, nothing is lost', async () => {
  await register('beside');
  const [arrived, answered] = [Promise.withResolvers<Delivery>(), Promise.withResolvers<void>()];
  const sink = createTestSink(async (delivery) => {
    arrived.resolve(delivery);
    await answered.promise;
    return { kind: 'delivered', refused: [] };
  });
  await using _ = startSinkWorker(database.pool, { name: 'beside', sink });
  await arrived.promise;
  expect(await replaySink(database.pool, 'beside', AFTER)).toBe(true);
  answered.resolve();
  await until('all is there', async () => (await positionOf('beside')) === EVENTS);
  expect(sink.received()).toEqual([...all(1, 100), ...all(AFTER + 1, EVENTS)]);
});

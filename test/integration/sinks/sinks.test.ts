import type { PoolClient } from 'pg';
import { describe, expect, test } from 'vitest';
import {
  beginDelivery,
  type ClaimedSink,
  claimSink,
  failDelivery,
  finishDelivery,
  releaseDeadSinks,
  releaseSink,
  renewSink,
  skipEvents,
} from '../../../src/sinks/delivery-store.sql.ts';
import { replaySink } from '../../../src/sinks/replay.sql.ts';
import { readDeadLetters } from '../../../src/sinks/sink-status.sql.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { commitAll, entryText, LEASE_MS, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';

const HEAD = 20;

const { pool, register, status } = useSinkDatabase(async (pool) => {
  const entries = Array.from({ length: HEAD }, (_, n) => entryText(`entry-${n}`, T0 + n * 1_000));
  await commitAll(pool, await newSource(pool, 'org'), [entries]);
});

describe('registering', () => {
  test('a new one begins with all that is stored, or with what comes next', async () => {
    await register('all');
    await register('news', { start: 'now' });
    expect([(await row('all')).position, (await row('news')).position]).toEqual([0, HEAD]);
  });

  test('one that is known keeps its position, rests no longer, and has the new target', async () => {
    const turn = await newSink('known');
    await finish(turn, 7);
    await failDelivery(pool(), turn, { reason: 'away', afterMs: 60_000 });
    await register('known', { start: 'now', target: '/y' });
    expect(await row('known')).toMatchObject({ position: 7, rests: null });
    expect(await status('known')).toMatchObject({ target: '/y', type: 'test' });
  });
});

describe('the turn of a sink', () => {
  test('of many at once one has it; the others learn who', async () => {
    await register('crowd');
    const turns = await Promise.all(Array.from({ length: 8 }, (_, n) => claim('crowd', `host/${n}/x`)));
    const [winner] = turns.filter((turn): turn is ClaimedSink => 'epoch' in turn);
    expect(turns.filter((turn) => 'epoch' in turn)).toHaveLength(1);
    expect(await claim('crowd', 'late')).toEqual({ heldBy: winner?.owner, restMs: undefined });
  });

  test('runs out, by the clock of the database; then what the earlier holder does changes nothing', async () => {
    await register('slow');
    const slow = await take('slow', ME, 0);
    const fast = await take('slow', OTHER);
    expect(await begin(slow, 5)).toBe(false);
    expect(await finish(slow, 5, [3])).toBe(false);
    expect(await skipEvents(pool(), slow, 5, LEASE_MS)).toBe(false);
    expect(await failDelivery(pool(), slow, { reason: 'x', afterMs: 1_000 })).toBe(false);
    expect(await renewSink(pool(), slow, LEASE_MS)).toBe(false);
    await releaseSink(pool(), slow);
    expect(await row('slow')).toMatchObject({ position: 0, batch_until: null, failures: 0, held: true, rests: null });
    expect(await letters('slow')).toEqual([]);
    expect(await finish(fast, 5)).toBe(true);
  });

  test('the same process claims it again: what it had under way before changes nothing', async () => {
    const before = await newSink('twice');
    const after = await take('twice');
    expect(await finish(before, 5)).toBe(false);
    expect(await finish(after, 5)).toBe(true);
  });

  test('of a dead process is free at once, and only its', async () => {
    await newSink('dead');
    await register('alive');
    await take('alive', OTHER);
    await releaseDeadSinks(pool(), ME);
    await take('dead', 'host/3/third');
    expect(await claim('alive', 'host/3/third')).toMatchObject({ heldBy: OTHER });
  });

  test('a sink that rests is not claimed until then', async () => {
    const turn = await newSink('rests');
    expect(await failDelivery(pool(), turn, { reason: 'away', afterMs: 60_000 })).toBe(true);
    const told = await claim('rests', OTHER);
    expect(told).toMatchObject({ heldBy: undefined, restMs: expect.any(Number) });
    expect(await row('rests')).toMatchObject({ failures: 1, last_error: 'away', held: null, position: 0 });
  });
});

describe('a delivery', () => {
  test('is noted before the first attempt, so that after a crash the same events go out', async () => {
    const turn = await newSink('crash');
    expect(await begin(turn, 12)).toBe(true);
    await releaseDeadSinks(pool(), ME);
    expect(await take('crash', OTHER)).toMatchObject({ position: 0, batchUntil: 12 });
  });

  test('moves position, count and dead letters at once, and ends what failed before', async () => {
    const first = await newSink('whole');
    await failDelivery(pool(), first, { reason: 'away', afterMs: 0 });
    const turn = await take('whole');
    await begin(turn, 10);
    expect(await finish(turn, 10, [3, 7])).toBe(true);
    expect(await row('whole')).toMatchObject({
      position: 10,
      batch_until: null,
      delivered: 8,
      failures: 0,
      last_error: null,
      held: true,
    });
    expect(await letters('whole')).toEqual([
      [3, 'no 3'],
      [7, 'no 7'],
    ]);
  });

  test('whose dead letters cannot be written does not move the position either', async () => {
    const turn = await newSink('torn');
    await begin(turn, 10);
    await pool().query("alter table sink_dead_letters add constraint no_more check (sink <> 'torn')");
    await expect(finish(turn, 10, [3])).rejects.toThrow('no_more');
    await pool().query('alter table sink_dead_letters drop constraint no_more');
    expect(await row('torn')).toMatchObject({ position: 0, batch_until: 10, delivered: 0 });
    expect(await finish(turn, 10, [3])).toBe(true);
  });
});

describe('a replay', () => {
  test('a delivery under way does not undo it', async () => {
    const turn = await newSink('replay');
    await finish(turn, 15);
    const later = { ...turn, position: 15 };
    await begin(later, 18);
    expect(await replaySink({ pool: pool() }, 'replay', 4)).toBe(true);
    expect(await finish(later, 18)).toBe(false);
    expect(await renewSink(pool(), later, LEASE_MS)).toBe(false);
    expect(await row('replay')).toMatchObject({ position: 4, batch_until: null, held: null });
    expect(await take('replay', OTHER)).toMatchObject({ position: 4, batchUntil: undefined });
  });

  test('dead letters are gone where they are accepted now, and those after it stay', async () => {
    const turn = await newSink('letters');
    await finish(turn, 15, [3, 5, 12]);
    await replaySink({ pool: pool() }, 'letters', 2);
    const again = await take('letters');
    expect(await finish(again, 10, [5])).toBe(true);
    expect(await letters('letters')).toEqual([
      [5, 'no 5'],
      [12, 'no 12'],
    ]);
  });

  test('goes nowhere that there is not, and ends a rest', async () => {
    const turn = await newSink('far');
    await failDelivery(pool(), turn, { reason: 'away', afterMs: 60_000 });
    expect(await replaySink({ pool: pool() }, 'far', HEAD + 1)).toBe(false);
    expect(await replaySink({ pool: pool() }, 'far', -1)).toBe(false);
    expect(await replaySink({ pool: pool() }, 'unknown', 0)).toBe(false);
    expect(await replaySink({ pool: pool() }, 'far', HEAD, { skip: true })).toBe(true);
    expect(await take('far')).toMatchObject({ position: HEAD, failures: 0 });
  });
});

/** A sink whose receiver has the first fifteen events, and what ends that. */
const underWay = async (name: string) => {
  const turn = await newSink(name);
  await begin(turn, 15);
  const end = 'select orgtrail_finish_delivery($1, $2, 15, 15, 0, array[]::bigint[], array[]::text[], 60000) as held';
  return async (client: Pick<PoolClient, 'query'> = pool()) =>
    (await client.query<{ held: boolean }>(end, [name, turn.epoch])).rows[0]?.held;
};

/** What is in the way of the other until it commits. */
const holding = async (work: (client: PoolClient) => Promise<unknown>, beside: () => Promise<unknown>) => {
  const client = await pool().connect();
  try {
    await client.query('begin');
    await work(client);
    const later = beside();
    await waitingBackends(pool(), 1);
    await client.query('commit');
    return await later;
  } finally {
    await client.query('rollback');
    client.release();
  }
};

describe('a replay beside a delivery', () => {
  test('that waits for the replay: the same', async () => {
    const finish = await underWay('waits');
    const replay = (client: PoolClient) =>
      client.query(
        `select orgtrail_order('sink replay', '{"sink": "waits", "after": 4, "skip": true}', null, null, null)`,
      );
    expect(await holding(replay, () => finish())).toBe(false);
    expect((await row('waits')).position).toBe(4);
  });

  test('that is being recorded: the replay waits, and then sets the sink back', async () => {
    const finish = await underWay('recorded');
    const held: unknown[] = [];
    const replayed = await holding(
      async (client) => held.push(await finish(client)),
      () => replaySink({ pool: pool() }, 'recorded', 4),
    );
    expect([held, replayed]).toEqual([[true], true]);
    expect((await row('recorded')).position).toBe(4);
  });
});

test('the status has lag in events and in the age of the oldest one not delivered', async () => {
  const turn = await newSink('status');
  await finish(turn, 15, [3]);
  await pool().query("update audit_events set received_at = clock_timestamp() - interval '90 s' where position = 16");
  const seen = await status('status');
  expect(seen).toMatchObject({ position: 15, lagEvents: 5, delivered: 14, deadLetters: 1, failures: 0, heldBy: ME });
  expect(seen.lagSeconds).toBeGreaterThanOrEqual(90);
  expect(seen.lagSeconds).toBeLessThan(600);
  await finish({ ...turn, position: 15 }, HEAD);
  expect(await status('status')).toMatchObject({ lagEvents: 0, lagSeconds: 0 });
});

const ME = 'host/1/me';
const OTHER = 'host/2/other';

const claim = (name: string, owner = ME, leaseMs = LEASE_MS) => claimSink(pool(), name, owner, leaseMs);

const take = async (name: string, owner = ME, leaseMs = LEASE_MS): Promise<ClaimedSink> => {
  const claimed = await claim(name, owner, leaseMs);
  if (!('epoch' in claimed)) throw new Error(`not available: ${JSON.stringify(claimed)}`);
  return claimed;
};

/** A sink of its own for one test, and its turn. */
const newSink = async (name: string): Promise<ClaimedSink> => {
  await register(name);
  return await take(name);
};

const begin = (turn: ClaimedSink, until: number) => beginDelivery(pool(), turn, until, LEASE_MS);

const finish = (turn: ClaimedSink, until: number, refused: readonly number[] = []) =>
  finishDelivery(
    pool(),
    turn,
    {
      until,
      accepted: until - turn.position - refused.length,
      refusedInRow: 0,
      skipped: 0,
      deadLetters: refused.map((position) => ({ position, reason: `no ${position}` })),
    },
    LEASE_MS,
  );

const row = async (name: string) => {
  const { rows } = await pool().query(
    `select position::integer, batch_until::integer, failures, delivered::integer, last_error, refused_in_row,
       lease_until > clock_timestamp() as held, next_attempt_at > clock_timestamp() as rests
     from sinks where name = $1`,
    [name],
  );
  return rows[0];
};

const letters = async (name: string) =>
  (await readDeadLetters(pool(), name, 100)).map(({ position, reason }) => [position, reason]);

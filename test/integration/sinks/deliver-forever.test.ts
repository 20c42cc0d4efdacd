import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Delivery } from '../../../src/sinks/delivery.ts';
import { replaySink } from '../../../src/sinks/replay/replay-sink.sql.ts';
import { readDeadLetters, readSinkStatus } from '../../../src/sinks/sink-status.sql.ts';
import { registerSinks } from '../../../src/sinks/sinks.sql.ts';
import { deliverOneByOne } from '../../../src/sinks/stream/indivisible.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commitAll, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, startSinkWorker } from '../../support/sinks/delivery-fixture.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const EVENTS = 250;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  const entries = Array.from({ length: EVENTS }, (_, n) => entryText(`entry-${n}`, T0 + n));
  await commitAll(database.pool, await newSource(database.pool, 'org'), [entries]);
  await commitAll(database.pool, await newSource(database.pool, 'other'), [['{"id":"of another"}']]);
});
afterAll(async () => {
  await database?.close();
});
const HEAD = EVENTS + 1;

const register = (name: string) =>
  registerSinks(database.pool, [{ name, kind: 'test', target: 'test', start: 'beginning' }]);
const status = async (name: string) => {
  const [row] = await readSinkStatus(database.pool, [name]);
  if (row === undefined) throw new Error(`no sink ${name}`);
  return row;
};
const leaseEnd = async (name: string): Promise<number> => {
  const { rows } = await database.pool.query<{ ends: Date }>('select lease_until as ends from sinks where name = $1', [
    name,
  ]);
  return rows[0]?.ends.getTime() ?? 0;
};
const reaches = (name: string, position = HEAD) =>
  until(`${name} reaches ${position}`, async () => (await status(name)).position === position);
const positionsOf = ({ events }: Delivery) => events.map(({ event }) => event.position);
const all = (from = 1, to = HEAD) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('a sink that takes all', () => {
  test('gets every event once, in order, each with a key of its own, and news as they come', async () => {
    await register('good');
    const sink = createTestSink();
    await using _ = startSinkWorker(database.pool, { name: 'good', sink });
    await reaches('good');
    expect(sink.received()).toEqual(all());
    expect(sink.deliveries.map(({ events }) => events.length)).toEqual([100, 100, 51]);
    const keys = new Set(sink.deliveries.flatMap(({ events }) => events.map(({ key }) => key)));
    expect(keys.size).toBe(HEAD);
    for (const name of [...keys, ...sink.deliveries.map(({ id }) => id)]) expect(name).toMatch(/^[\w-]{43}$/);
  });

  test('of some organizations: only theirs, and the position moves on over the others', async () => {
    await register('few');
    const sink = createTestSink();
    await using _ = startSinkWorker(database.pool, { name: 'few', sink, organizationIds: ['other'] });
    await reaches('few');
    expect(sink.received()).toEqual([HEAD]);
  });

  test('a replay sends the same events again, under the same ids', async () => {
    await register('again');
    const sink = createTestSink();
    await using _ = startSinkWorker(database.pool, { name: 'again', sink });
    await reaches('again');
    await replaySink(database.pool, 'again', 100);
    await until('they come again', async () => sink.received().length === HEAD + HEAD - 100);
    await reaches('again');
    expect(sink.received()).toEqual([...all(), ...all(101)]);
    const [, second, third, ...again] = sink.deliveries.map(({ id }) => id);
    expect(again).toEqual([second, third]);
  });
});

describe('what is refused', () => {
  test('single events within a whole: they alone are dead letters, all others arrive once and in order', async () => {
    await register('picky');
    const bad = new Set([1, 77, 78, 201, HEAD]);
    const sink = createTestSink((delivery) => {
      const found = positionsOf(delivery).filter((position) => bad.has(position));
      return found.length === 0
        ? { kind: 'delivered', refused: [] }
        : { kind: 'refused', reason: `s3cret\0 ${found}`.padEnd(2_000, '!') };
    });
    await using _ = startSinkWorker(database.pool, { name: 'picky', sink });
    await reaches('picky');
    expect(sink.received()).toEqual(all().filter((position) => !bad.has(position)));
    const letters = await readDeadLetters(database.pool, 'picky', 100);
    expect(letters.map(({ position }) => position)).toEqual([...bad]);
    expect(letters[1]).toMatchObject({ organizationId: 'org', id: 'entry-76' });
    expect(letters[1]?.reason).toMatch(/^\[redacted\] {2}77!+$/);
    expect(letters[1]?.reason).toHaveLength(500);
    expect(await status('picky')).toMatchObject({ delivered: HEAD - bad.size, deadLetters: bad.size });
  });

  test('by index: dead letters beside the others, in the same delivery', async () => {
    await register('bulk');
    const refused = [
      { index: 3, reason: 'mapping' },
      { index: 3, reason: 'twice' },
      { index: 900, reason: 'none' },
    ];
    const sink = createTestSink(() => ({ kind: 'delivered', refused }));
    await using _ = startSinkWorker(database.pool, { name: 'bulk', sink });
    await reaches('bulk');
    expect(sink.deliveries).toHaveLength(3);
    const letters = await readDeadLetters(database.pool, 'bulk', 100);
    expect(letters.map(({ position }) => position)).toEqual([4, 104, 204]);
  });

  test('everything: ten dead letters and no more; once it is mended, all the others arrive', async () => {
    await register('wrong');
    let mended = false;
    const sink = createTestSink(() =>
      mended ? { kind: 'delivered', refused: [] } : { kind: 'refused', reason: 'no such index' },
    );
    const reasons: string[] = [];
    const observer = {
      failed: ({ reason, misconfigured }: { reason: string; misconfigured: boolean }) =>
        void reasons.push(`${misconfigured} ${reason}`),
    };
    await using _ = startSinkWorker(database.pool, { name: 'wrong', sink, observer });
    await until('it gives up nothing more', async () => reasons.length >= 2);
    expect(reasons[0]).toBe('true 10 events in a row were refused, and so is the next: no such index');
    expect(await status('wrong')).toMatchObject({ position: 10, deadLetters: 10 });
    mended = true;
    await reaches('wrong');
    expect(sink.received()).toEqual(all(11));
    expect(await status('wrong')).toMatchObject({ deadLetters: 10, failures: 0, lastError: null });
    await replaySink(database.pool, 'wrong', 0);
    await until('the dead letters are accepted', async () => (await status('wrong')).deadLetters === 0);
  });
});

describe('what fails', () => {
  test('is retried as it was, after a pause, by whichever replica', async () => {
    await register('flaky');
    let attempts = 0;
    const sink = createTestSink(() => {
      attempts += 1;
      if (attempts === 2) throw new Error('reset');
      return attempts < 3 ? { kind: 'failed', reason: 's3cret away' } : { kind: 'delivered', refused: [] };
    });
    const observer = { failed: ({ reason }: { reason: string }) => void reasons.push(reason) };
    const reasons: string[] = [];
    await using _one = startSinkWorker(database.pool, { name: 'flaky', sink, observer, owner: 'a/1/x' });
    await using _two = startSinkWorker(database.pool, { name: 'flaky', sink, observer, owner: 'b/2/y' });
    await reaches('flaky');
    expect(reasons).toEqual(['[redacted] away', 'reset']);
    expect(new Set(sink.deliveries.slice(0, 3).map(({ id }) => id)).size).toBe(1);
    expect(sink.received()).toEqual(all());
  });

  test('a receiver that fails for some events alone: they are dead letters, and all others arrive in order', async () => {
    await register('blind');
    const bad = new Set([1, 77, 78, 201]);
    const sink = createTestSink((delivery) =>
      positionsOf(delivery).some((position) => bad.has(position))
        ? { kind: 'failed', reason: 'HTTP 403: check the token' }
        : { kind: 'delivered', refused: [] },
    );
    const reasons: string[] = [];
    const observer = { failed: ({ reason }: { reason: string }) => void reasons.push(reason) };
    await using _ = startSinkWorker(database.pool, { name: 'blind', sink, observer, speed: 50 });
    await reaches('blind');
    const letters = await readDeadLetters(database.pool, 'blind', 100);
    expect(letters.map(({ position }) => position)).toEqual([...bad]);
    expect(letters[0]?.reason).toBe(
      'it alone is not taken, others are, so look at what is in it: HTTP 403: check the token',
    );
    expect(reasons).toContain(
      'one event is not taken, others are: position 1 (a dead letter after attempt 4, this is 3): HTTP 403: check the token',
    );
    const alone = sink.deliveries.filter(({ events }) => events.length === 1).flatMap(positionsOf);
    expect(new Set(sink.received())).toEqual(new Set(all().filter((position) => !bad.has(position))));
    // What tells whether others are taken comes before its turn, and again in it: four times for the first one, once for those that fail as it did.
    expect(sink.received().length - (HEAD - bad.size)).toBe(4 + (bad.size - 1));
    // Each once in its turn and twice after another was taken, and maybe beside another one; the first one for longer.
    expect(alone.filter((position) => bad.has(position)).length).toBeLessThanOrEqual(3 + 4 * bad.size);
    expect(sink.deliveries.length).toBeLessThan(80);
  });

  test('a receiver that fails for all: one event an attempt, none is given up, and all arrive when it is back', async () => {
    await register('away');
    let isBack = false;
    const sink = createTestSink(() =>
      isBack ? { kind: 'delivered', refused: [] } : { kind: 'failed', reason: 'HTTP 403' },
    );
    const reasons: string[] = [];
    const observer = { failed: ({ reason }: { reason: string }) => void reasons.push(reason) };
    await using _ = startSinkWorker(database.pool, { name: 'away', sink, observer, speed: 50 });
    await until('it has failed often', async () => reasons.length >= 8);
    isBack = true;
    await reaches('away');
    expect(new Set(reasons)).toEqual(new Set(['HTTP 403']));
    expect(await status('away')).toMatchObject({ delivered: HEAD, deadLetters: 0 });
    const sizes = sink.deliveries.map(({ events }) => events.length);
    expect(sizes.slice(0, 12)).toEqual([100, 100, 100, ...Array(9).fill(1)]);
    expect(new Set(sink.received())).toEqual(new Set(all()));
    // It is asked by the next event, and by one behind it: the second one may be the first that it takes.
    expect(sink.received().length - HEAD).toBeLessThanOrEqual(1);
  });

  test('a receiver that is slower than its time: smaller deliveries, until they pass', async () => {
    await register('slow');
    const sink = createTestSink(({ events }) =>
      events.length > 20 ? { kind: 'failed', reason: 'too slow', because: 'slow' } : { kind: 'delivered', refused: [] },
    );
    await using _ = startSinkWorker(database.pool, { name: 'slow', sink, speed: 50 });
    await reaches('slow');
    expect(sink.received()).toEqual(all());
    const sizes = sink.deliveries.map(({ events }) => events.length);
    expect(sizes.slice(0, 9)).toEqual([100, 50, 25, 1, 2, 4, 8, 16, 32]);
    expect(sizes.filter((size) => size > 20).length).toBeLessThanOrEqual(4);
  });

  test('of several findings at one position, those that are taken are no part of the dead letter', async () => {
    const taken: string[] = [];
    const sink = createTestSink(({ events }) => {
      if (events.some(({ key }) => key === 'b')) return { kind: 'failed', reason: 'no b' };
      taken.push(...events.map(({ key }) => key));
      return { kind: 'delivered', refused: [] };
    });
    const [event] = ordinaryEvents(1, 'native');
    const events = ['a', 'b', 'c'].flatMap((key) => (event === undefined ? [] : [{ ...event, key }]));
    const signal = new AbortController().signal;
    const outcome = await deliverOneByOne(sink, { id: 'x', events }, signal, true);
    expect({ outcome, taken }).toEqual({
      outcome: { kind: 'delivered', refused: [{ index: 1, reason: 'no b' }] },
      taken: ['a', 'c'],
    });
  });

  test('a process that dies in a delivery: the next one sends the same events under the same id, though there are news', async () => {
    await register('dies');
    const stuck = createTestSink(
      (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    await using dying = startSinkWorker(database.pool, { name: 'dies', sink: stuck, batchEvents: 1_000 });
    await until('it delivers', async () => stuck.deliveries.length === 1);
    await commitAll(database.pool, await takeLease(database.pool, 'other'), [['{"id":"news"}']]);
    // Nothing of it is recorded, as if it had died; then the new one has the turn.
    await dying.abort();
    const sink = createTestSink();
    await using _ = startSinkWorker(database.pool, { name: 'dies', sink, owner: 'b/2/y', batchEvents: 1_000 });
    await reaches('dies', HEAD + 1);
    expect(sink.deliveries.map(({ id }) => id)[0]).toBe(stuck.deliveries[0]?.id);
    expect(sink.deliveries.map(({ events }) => events.length)).toEqual([HEAD, 1]);
  });

  test('a lease that is lost in a delivery aborts it, and nothing of it is recorded', async () => {
    await register('lost');
    const reasons: unknown[] = [];
    const stuck = createTestSink(
      (_, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            reasons.push(signal.reason);
            reject(signal.reason);
          }),
        ),
    );
    const lost: string[] = [];
    const observer = { lost: ({ sink }: { sink: string }) => void lost.push(sink) };
    await using slow = startSinkWorker(database.pool, { name: 'lost', sink: stuck, speed: 2_000, observer });
    await until('it delivers', async () => stuck.deliveries.length === 1);
    // A replay ends its turn; its next renewal says so.
    await replaySink(database.pool, 'lost', 7);
    await until('it has lost the turn', async () => lost.length === 1);
    expect(String(reasons[0])).toContain('LeaseLostError');
    await slow.abort();
    expect(await status('lost')).toMatchObject({ position: 7, failures: 0, lastError: null, heldBy: null });
  });

  test('a sink that never answers holds up no other', async () => {
    for (const name of ['silent', 'lively']) await register(name);
    const silent = createTestSink(
      (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    const lively = createTestSink();
    await using _silent = startSinkWorker(database.pool, { name: 'silent', sink: silent });
    await until('it is asked', async () => silent.deliveries.length === 1);
    await using _lively = startSinkWorker(database.pool, { name: 'lively', sink: lively });
    await until('the other has all', async () => (await status('lively')).lagEvents === 0);
    expect(await status('silent')).toMatchObject({ position: 0, failures: 0, heldBy: 'host/1/worker' });
  });

  test('a lease is kept, however long a delivery takes', async () => {
    await register('long');
    const gate = Promise.withResolvers<void>();
    const slow = createTestSink(async () => {
      await gate.promise;
      return { kind: 'delivered', refused: [] };
    });
    const other = createTestSink();
    await using _slow = startSinkWorker(database.pool, { name: 'long', sink: slow, speed: 2_000, owner: 'a/1/x' });
    await until('it delivers', async () => slow.deliveries.length === 1);
    await using _other = startSinkWorker(database.pool, { name: 'long', sink: other, speed: 2_000, owner: 'b/2/y' });
    const ends = new Set<number>();
    await until('it has been renewed three times', async () => ends.add(await leaseEnd('long')).size > 3);
    expect([...ends], 'to a later end each time').toEqual([...ends].sort((a, b) => a - b));
    expect(other.deliveries).toEqual([]);
    gate.resolve();
    await until('all is delivered', async () => (await status('long')).lagEvents === 0);
    expect([...slow.received(), ...other.received()]).toEqual(all(1, HEAD + 1));
  });

  test('a stop lets the delivery in hand be finished, and gives the turn back', async () => {
    await register('stop');
    const gate = Promise.withResolvers<void>();
    const sink = createTestSink(async () => {
      await gate.promise;
      return { kind: 'delivered', refused: [] };
    });
    await using worker = startSinkWorker(database.pool, { name: 'stop', sink });
    await until('it delivers', async () => sink.deliveries.length === 1);
    const stopped = worker.stop();
    gate.resolve();
    await stopped;
    expect(sink.deliveries).toHaveLength(1);
    expect(await status('stop')).toMatchObject({ position: 100, heldBy: null, failures: 0 });
  });
});

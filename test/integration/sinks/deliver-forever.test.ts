import { describe, expect, test } from 'vitest';
import type { Delivery } from '../../../src/sinks/delivery.ts';
import { deliverOneByOne } from '../../../src/sinks/delivery-decision.ts';
import { replaySink } from '../../../src/sinks/replay.sql.ts';
import { readDeadLetters } from '../../../src/sinks/sink-status.sql.ts';
import { commitAll, entryText, newSource, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, type SinkWorkerOptions, useSinkDatabase } from '../../support/sinks/delivery-fixture.ts';
import { ordinaryEvents } from '../../support/sinks/outgoing-events.ts';

const EVENTS = 250;

const { pool, register, status, reaches, work } = useSinkDatabase(async (pool) => {
  const entries = Array.from({ length: EVENTS }, (_, n) => entryText(`entry-${n}`, T0 + n));
  await commitAll(pool, await newSource(pool, 'org'), [entries]);
  await commitAll(pool, await newSource(pool, 'other'), [['{"id":"of another"}']]);
});

describe('a sink that takes all', () => {
  test('gets every event once, in order, each with a key of its own, and news as they come', async () => {
    const sink = createTestSink();
    await using _ = await begin('good', sink);
    await reaches('good', HEAD);
    expect(sink.received()).toEqual(all());
    expect(sizesOf(sink)).toEqual([100, 100, 51]);
    const keys = new Set(sink.deliveries.flatMap(({ events }) => events.map(({ key }) => key)));
    expect(keys.size).toBe(HEAD);
    for (const name of [...keys, ...sink.deliveries.map(({ id }) => id)]) expect(name).toMatch(/^[\w-]{43}$/);
  });

  test('of some organizations: only theirs, and the position moves on over the others', async () => {
    const sink = createTestSink();
    await using _ = await begin('few', sink, { organizationIds: ['other'] });
    await reaches('few', HEAD);
    expect(sink.received()).toEqual([HEAD]);
  });

  test('a replay sends the same events again, under the same ids', async () => {
    const sink = createTestSink();
    await using _ = await begin('again', sink);
    await reaches('again', HEAD);
    await replaySink({ pool: pool() }, 'again', 100);
    await until('they come again', async () => sink.received().length === HEAD + HEAD - 100);
    await reaches('again', HEAD);
    expect(sink.received()).toEqual([...all(), ...all(101)]);
    const [, second, third, ...again] = sink.deliveries.map(({ id }) => id);
    expect(again).toEqual([second, third]);
  });
});

test('a replay while a receiver has a delivery: what it has is sent again, all after the position arrives, nothing is lost', async () => {
  const [arrived, answered] = [Promise.withResolvers<Delivery>(), Promise.withResolvers<void>()];
  const sink = createTestSink(async (delivery) => {
    arrived.resolve(delivery);
    await answered.promise;
    return delivered;
  });
  await using _ = await begin('beside', sink);
  await arrived.promise;
  expect(await replaySink({ pool: pool() }, 'beside', 20, { skip: true })).toBe(true);
  answered.resolve();
  await reaches('beside', HEAD);
  expect(sink.received()).toEqual([...all(1, 100), ...all(21)]);
});

describe('what is refused', () => {
  test('single events within a whole: they alone are dead letters, all others arrive once and in order', async () => {
    const bad = new Set([1, 77, 78, 201, HEAD]);
    const sink = createTestSink((delivery) => {
      const found = positionsOf(delivery).filter((position) => bad.has(position));
      return found.length === 0 ? delivered : { kind: 'refused', reason: `s3cret\0 ${found}`.padEnd(2_000, '!') };
    });
    await using _ = await begin('picky', sink);
    await reaches('picky', HEAD);
    expect(sink.received()).toEqual(all().filter((position) => !bad.has(position)));
    const found = await letters('picky');
    expect(found.map(({ position }) => position)).toEqual([...bad]);
    expect(found[1]).toMatchObject({ organizationId: 'org', id: 'entry-76' });
    expect(found[1]?.reason).toMatch(/^\[redacted\] {2}77!+$/);
    expect(found[1]?.reason).toHaveLength(500);
    expect(await status('picky')).toMatchObject({ delivered: HEAD - bad.size, deadLetters: bad.size });
  });

  test('by index: dead letters beside the others, in the same delivery', async () => {
    const refused = [
      { index: 3, reason: 'mapping' },
      { index: 3, reason: 'twice' },
      { index: 900, reason: 'none' },
    ];
    const sink = createTestSink(() => ({ kind: 'delivered', refused }));
    await using _ = await begin('bulk', sink);
    await reaches('bulk', HEAD);
    expect(sink.deliveries).toHaveLength(3);
    const found = await letters('bulk');
    expect(found.map(({ position }) => position)).toEqual([4, 104, 204]);
  });

  test('everything: ten dead letters and no more; once it is mended, all the others arrive', async () => {
    let mended = false;
    // As at the latest attempt at event 11: event 12 tells whether others are taken, and it must answer alike.
    let accepts = false;
    const sink = createTestSink((delivery) => {
      if (positionsOf(delivery)[0] === 11) accepts = mended;
      return accepts ? delivered : { kind: 'refused', reason: 'no such index' };
    });
    const reasons: string[] = [];
    const observer = {
      failed: ({ reason, misconfigured }: { reason: string; misconfigured: boolean }) =>
        void reasons.push(`${misconfigured} ${reason}`),
    };
    await using _ = await begin('wrong', sink, { observer });
    await until('it gives up nothing more', async () => reasons.length >= 2);
    expect(reasons[0]).toBe('true 10 events in a row were refused, and so is the next: no such index');
    expect(await status('wrong')).toMatchObject({ position: 10, deadLetters: 10 });
    mended = true;
    await reaches('wrong', HEAD);
    expect(sink.received()).toEqual(all(11));
    expect(await status('wrong')).toMatchObject({ deadLetters: 10, failures: 0, lastError: null });
    await replaySink({ pool: pool() }, 'wrong', 0);
    await until('the dead letters are accepted', async () => (await status('wrong')).deadLetters === 0);
  });
});

describe('what fails', () => {
  test('is retried as it was, after a pause, by whichever replica', async () => {
    let attempts = 0;
    const sink = createTestSink(() => {
      attempts += 1;
      if (attempts === 2) throw new Error('reset');
      return attempts < 3 ? { kind: 'failed', reason: 's3cret away' } : delivered;
    });
    const { reasons, observer } = noting();
    await using _one = await begin('flaky', sink, { observer, owner: 'a/1/x' });
    await using _two = await begin('flaky', sink, { observer, owner: 'b/2/y' });
    await reaches('flaky', HEAD);
    expect(reasons).toEqual(['[redacted] away', 'reset']);
    expect(new Set(sink.deliveries.slice(0, 3).map(({ id }) => id)).size).toBe(1);
    expect(sink.received()).toEqual(all());
  });

  test('a receiver that fails for some events alone: they are dead letters, and all others arrive in order', async () => {
    const bad = new Set([1, 77, 78, 201]);
    const sink = createTestSink((delivery) =>
      positionsOf(delivery).some((position) => bad.has(position))
        ? { kind: 'failed', reason: 'HTTP 403: check the token' }
        : delivered,
    );
    const { reasons, observer } = noting();
    await using _ = await begin('blind', sink, { observer });
    await reaches('blind', HEAD);
    const found = await letters('blind');
    expect(found.map(({ position }) => position)).toEqual([...bad]);
    expect(found[0]?.reason).toBe(
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
    let isBack = false;
    const sink = createTestSink(() => (isBack ? delivered : { kind: 'failed', reason: 'HTTP 403' }));
    const { reasons, observer } = noting();
    await using _ = await begin('away', sink, { observer });
    await until('it has failed often', async () => reasons.length >= 8);
    isBack = true;
    await reaches('away', HEAD);
    expect(new Set(reasons)).toEqual(new Set(['HTTP 403']));
    expect(await status('away')).toMatchObject({ delivered: HEAD, deadLetters: 0 });
    const sizes = sizesOf(sink);
    expect(sizes.slice(0, 12)).toEqual([100, 100, 100, ...Array(9).fill(1)]);
    expect(new Set(sink.received())).toEqual(new Set(all()));
    // It is asked by the next event, and by one behind it: the second one may be the first that it takes.
    expect(sink.received().length - HEAD).toBeLessThanOrEqual(1);
  });

  test('a receiver that is slower than its time: smaller deliveries, until they pass', async () => {
    const sink = createTestSink(({ events }) =>
      events.length > 20 ? { kind: 'failed', reason: 'too slow', because: 'slow' } : delivered,
    );
    await using _ = await begin('slow', sink, {});
    await reaches('slow', HEAD);
    expect(sink.received()).toEqual(all());
    const sizes = sizesOf(sink);
    expect(sizes.slice(0, 9)).toEqual([100, 50, 25, 1, 2, 4, 8, 16, 32]);
    expect(sizes.filter((size) => size > 20).length).toBeLessThanOrEqual(4);
  });

  test('of several findings at one position, those that are taken are no part of the dead letter', async () => {
    const taken: string[] = [];
    const sink = createTestSink(({ events }) => {
      if (events.some(({ key }) => key === 'b')) return { kind: 'failed', reason: 'no b' };
      taken.push(...events.map(({ key }) => key));
      return delivered;
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
    const stuck = stuckSink();
    await using dying = await begin('dies', stuck, { batchEvents: 1_000 });
    await until('it delivers', async () => stuck.deliveries.length === 1);
    await commitAll(pool(), await takeLease(pool(), 'other'), [['{"id":"news"}']]);
    // Nothing of it is recorded, as if it had died; then the new one has the turn.
    await dying.abort();
    const sink = createTestSink();
    await using _ = await begin('dies', sink, { owner: 'b/2/y', batchEvents: 1_000 });
    await reaches('dies', HEAD + 1);
    expect(sink.deliveries.map(({ id }) => id)[0]).toBe(stuck.deliveries[0]?.id);
    expect(sizesOf(sink)).toEqual([HEAD, 1]);
  });

  test('a lease that is lost in a delivery aborts it, and nothing of it is recorded', async () => {
    const reasons: unknown[] = [];
    const stuck = stuckSink((reason) => reasons.push(reason));
    const lost: string[] = [];
    const observer = { lost: ({ sink }: { sink: string }) => void lost.push(sink) };
    await using slow = await begin('lost', stuck, { speed: 2_000, observer });
    await until('it delivers', async () => stuck.deliveries.length === 1);
    // A replay ends its turn; its next renewal says so.
    await replaySink({ pool: pool() }, 'lost', 7, { skip: true });
    await until('it has lost the turn', async () => lost.length === 1);
    expect(String(reasons[0])).toContain('LeaseLostError');
    await slow.abort();
    expect(await status('lost')).toMatchObject({ position: 7, failures: 0, lastError: null, heldBy: null });
  });

  test('a sink that never answers holds up no other', async () => {
    const silent = stuckSink();
    const lively = createTestSink();
    await using _silent = await begin('silent', silent);
    await until('it is asked', async () => silent.deliveries.length === 1);
    await using _lively = await begin('lively', lively);
    await until('the other has all', async () => (await status('lively')).lagEvents === 0);
    expect(await status('silent')).toMatchObject({ position: 0, failures: 0, heldBy: 'host/1/worker' });
  });

  test('a lease is kept, however long a delivery takes', async () => {
    const gate = Promise.withResolvers<void>();
    const slow = createTestSink(async () => {
      await gate.promise;
      return delivered;
    });
    const other = createTestSink();
    await using _slow = await begin('long', slow, { speed: 2_000, owner: 'a/1/x' });
    await until('it delivers', async () => slow.deliveries.length === 1);
    await using _other = await begin('long', other, { speed: 2_000, owner: 'b/2/y' });
    const leaseEnd = async () =>
      (await pool().query<{ ends: Date }>("select lease_until as ends from sinks where name = 'long'")).rows[0]?.ends;
    const ends = new Set<number>();
    await until('it has been renewed three times', async () => ends.add((await leaseEnd())?.getTime() ?? 0).size > 3);
    expect([...ends], 'to a later end each time').toEqual([...ends].sort((a, b) => a - b));
    expect(other.deliveries).toEqual([]);
    gate.resolve();
    await until('all is delivered', async () => (await status('long')).lagEvents === 0);
    expect([...slow.received(), ...other.received()]).toEqual(all(1, HEAD + 1));
  });

  test('a stop lets the delivery in hand be finished, and gives the turn back', async () => {
    const gate = Promise.withResolvers<void>();
    const sink = createTestSink(async () => {
      await gate.promise;
      return delivered;
    });
    await using worker = await begin('stop', sink);
    await until('it delivers', async () => sink.deliveries.length === 1);
    const stopped = worker.stop();
    gate.resolve();
    await stopped;
    expect(sink.deliveries).toHaveLength(1);
    expect(await status('stop')).toMatchObject({ position: 100, heldBy: null, failures: 0 });
  });
});

const HEAD = EVENTS + 1;
const delivered = { kind: 'delivered', refused: [] } as const;

/** The worker of a sink that was not there before; what fails rests a thousandth of the time. */
const begin = async (name: string, sink = createTestSink(), more: Partial<SinkWorkerOptions> = {}) => {
  await register(name);
  return work(name, sink, { speed: 50, ...more });
};

/** It answers nothing until the delivery is aborted. */
const stuckSink = (onAbort: (reason: unknown) => void = () => {}) =>
  createTestSink(
    (_, signal) =>
      new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => {
          onAbort(signal.reason);
          reject(signal.reason);
        }),
      ),
  );

/** Why it failed, each time. */
const noting = () => {
  const reasons: string[] = [];
  return { reasons, observer: { failed: ({ reason }: { readonly reason: string }) => void reasons.push(reason) } };
};

const letters = (name: string) => readDeadLetters(pool(), name, 100);
const positionsOf = ({ events }: Delivery) => events.map(({ event }) => event.position);
const sizesOf = ({ deliveries }: ReturnType<typeof createTestSink>) => deliveries.map(({ events }) => events.length);
const all = (from = 1, to = HEAD) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

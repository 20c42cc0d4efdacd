import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BusyError } from '../../../src/base/errors.ts';
import { ConcurrencyLimit, coalesced, createStreamLimits, type StreamLimits } from '../../../src/base/limits.ts';
import { BufferPool } from '../../../src/base/memory.ts';

test('a limit lets so many run and the others wait, and serves them in the order in which they came', async () => {
  const limit = limitOf();
  const [first, second] = [await limit.acquire(), await limit.acquire()];
  const served: string[] = [];
  const [third, fourth] = ['third', 'fourth'].map(async (name) => {
    const release = await limit.acquire();
    served.push(name);
    return release;
  });
  expect([limit.running, limit.waiting]).toEqual([2, 2]);
  second();
  (await third)?.();
  await fourth;
  expect(served).toEqual(['third', 'fourth']);
  first();
  expect([limit.running, limit.waiting]).toEqual([1, 0]);
});

test('a limit a place that is given back twice counts once', async () => {
  const limit = limitOf({ maxRunning: 1 });
  const release = await limit.acquire();
  release();
  const again = await limit.acquire();
  release();
  expect(limit.running).toBe(1);
  again();
  expect(limit.running).toBe(0);
});

test('a limit refuses at once when too many wait, and says how many', async () => {
  const limit = limitOf({ maxRunning: 1, maxWaiting: 1 });
  await limit.acquire();
  limit.acquire().catch(() => {});
  await expect(limit.acquire()).rejects.toThrow(new BusyError('1 run, 1 wait', 7));
});

test('a limit refuses one that has waited for its time', async () => {
  const limit = limitOf({ maxRunning: 1, maxWaitMs: 1 });
  await limit.acquire();
  await expect(limit.acquire()).rejects.toBeInstanceOf(BusyError);
  expect(limit.waiting).toBe(0);
});

test('a limit one that has gone leaves the queue, and those behind it move up', async () => {
  const limit = limitOf({ maxRunning: 1 });
  const release = await limit.acquire();
  const gone = new AbortController();
  const leaving = limit.acquire(gone.signal);
  const behind = limit.acquire();
  gone.abort(new Error('gone'));
  await expect(leaving).rejects.toThrow('gone');
  release();
  await behind;
  await expect(limit.acquire(gone.signal)).rejects.toThrow('gone');
  expect([limit.running, limit.waiting]).toEqual([1, 0]);
});

/** Readings that end when they are told to, before they begin or later, and how many have begun. */
const numbered = () => {
  const readings = Array.from({ length: 5 }, () => Promise.withResolvers<number>());
  let begun = 0;
  const read = coalesced(() => {
    begun += 1;
    return readings[begun - 1]?.promise ?? Promise.reject(new Error('too many'));
  });
  return { readings, read, begun: () => begun };
};

test('calls that come while one is under way share one that begins after it', async () => {
  const { readings, read, begun } = numbered();
  const first = read();
  const later = [read(), read(), read()];
  expect(begun()).toBe(1);
  readings[0]?.resolve(1);
  expect(await first).toBe(1);
  readings[1]?.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
  const alone = read();
  readings[2]?.resolve(3);
  expect([await alone, begun()]).toEqual([3, 3]);
});

test('one that fails fails for those who share it, and the next one is made', async () => {
  const { readings, read } = numbered();
  const first = read();
  const second = read();
  readings[0]?.reject(new Error('broken'));
  await expect(first).rejects.toThrow('broken');
  readings[1]?.resolve(2);
  expect(await second).toBe(2);
});

test('hands out what was given back where it is large enough, each to one at a time', () => {
  const pool = new BufferPool();
  const first = pool.take(1_000);
  const second = pool.take(1_000);
  expect(second).not.toBe(first);
  expect(first.length).toBeGreaterThanOrEqual(1_000);
  pool.giveBack(first);
  expect(pool.take(2_000)).not.toBe(first);
  expect(pool.take(900)).toBe(first);
  expect(pool.take(900)).not.toBe(first);
});

test('keeps a few, and none that is very large', () => {
  const pool = new BufferPool();
  const large = pool.take(20_000_000);
  pool.giveBack(large);
  expect(pool.take(20_000_000) === large).toBe(false);
  const many = Array.from({ length: 50 }, () => pool.take(100));
  for (const buffer of many) pool.giveBack(buffer);
  const again = new Set(Array.from({ length: 50 }, () => pool.take(100)));
  expect(many.filter((buffer) => again.has(buffer)).length).toBe(32);
});

test('small ones that are kept make room for a larger one', () => {
  const pool = new BufferPool();
  for (const buffer of Array.from({ length: 32 }, () => pool.take(100))) pool.giveBack(buffer);
  const large = pool.take(5_000);
  pool.giveBack(large);
  expect(pool.take(5_000)).toBe(large);
});

test('keeps 32 MiB in all', () => {
  const pool = new BufferPool();
  const many = Array.from({ length: 8 }, () => pool.take(5_000_000));
  for (const buffer of many) pool.giveBack(buffer);
  const again = new Set(Array.from({ length: 8 }, () => pool.take(5_000_000)));
  expect(many.filter((buffer) => again.has(buffer)).length).toBe(5);
});

test('a small page leaves a large buffer to a large one', () => {
  const pool = new BufferPool();
  const [large, small] = [pool.take(1_000_000), pool.take(50_000)];
  for (const buffer of [large, small]) pool.giveBack(buffer);
  expect([pool.take(40_000) === small, pool.take(900_000) === large]).toEqual([true, true]);
});

let streams: StreamLimits;
const { signal } = new AbortController();

describe('streams', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    streams = createStreamLimits(60_000, { refused: () => {}, stalled: () => {} });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('an export stands back until the last page has left, and for no other export', async () => {
    const other = await streams.enter('export', signal);
    await streams.afterPages();
    const [first, second] = [await streams.enter('page', signal), await streams.enter('page', signal)];
    const asked = askToGoOn();
    first.leave();
    first.leave();
    await vi.advanceTimersByTimeAsync(100);
    expect(asked.goesOn).toBe(false);
    second.leave();
    await vi.advanceTimersByTimeAsync(0);
    expect(asked.goesOn).toBe(true);
    other.leave();
  });

  test('one large entry is in memory at a time; small ones wait for none, and who has waited for long is refused', async () => {
    const { memory } = streams;
    const large = 40_000_000;
    const giveBack = await memory.acquire(large, signal);
    (await memory.acquire(250_000, signal))();
    const refused = expect(memory.acquire(large, signal, 10_000)).rejects.toMatchObject({
      name: 'BusyError',
      statusCode: 503,
    });
    const gone = expect(memory.acquire(large, AbortSignal.timeout(1))).rejects.toThrow();
    const waiting = memory.acquire(large, signal);
    await vi.advanceTimersByTimeAsync(10_000);
    await Promise.all([refused, gone]);
    giveBack();
    giveBack();
    const last = memory.acquire(large, signal);
    (await waiting)();
    (await last)();
  });

  test('pages that are refused hold up nothing', async () => {
    await expect(streams.enter('page', AbortSignal.abort())).rejects.toThrow();
    await streams.afterPages();
  });

  test('where pages are asked for all the time, each piece of an export waits no more than a quarter of a second', async () => {
    await streams.enter('page', signal);
    const asked = askToGoOn();
    await vi.advanceTimersByTimeAsync(249);
    expect(asked.goesOn).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked.goesOn).toBe(true);
  });
});

const limitOf = (options: Partial<ConstructorParameters<typeof ConcurrencyLimit>[0]> = {}) =>
  new ConcurrencyLimit({
    maxRunning: 2,
    maxWaiting: 2,
    maxWaitMs: 60_000,
    busy: (running, waiting) => new BusyError(`${running} run, ${waiting} wait`, 7),
    ...options,
  });

/** Whether an export that asks now has been let on. */
const askToGoOn = () => {
  const asked = { goesOn: false };
  void streams.afterPages().then(() => {
    asked.goesOn = true;
  });
  return asked;
};

import { describe, expect, test } from 'vitest';
import { BusyError } from '../../../src/errors.ts';
import { ConcurrencyLimit } from '../../../src/limits/concurrency-limit.ts';

const limitOf = (options: Partial<ConstructorParameters<typeof ConcurrencyLimit>[0]> = {}) =>
  new ConcurrencyLimit({
    maxRunning: 2,
    maxWaiting: 2,
    maxWaitMs: 60_000,
    busy: (running, waiting) => new BusyError(`${running} run, ${waiting} wait`, 7),
    ...options,
  });

describe('a limit of how many run at once', () => {
  test('lets so many run and the others wait, and serves them in the order in which they came', async () => {
    const limit = limitOf();
    const [first, second] = [await limit.acquire(), await limit.acquire()];
    const served: string[] = [];
    const third = limit.acquire().then((release) => {
      served.push('third');
      return release;
    });
    const fourth = limit.acquire().then((release) => {
      served.push('fourth');
      return release;
    });
    expect([limit.running, limit.waiting]).toEqual([2, 2]);
    second();
    (await third)();
    await fourth;
    expect(served).toEqual(['third', 'fourth']);
    first();
    expect([limit.running, limit.waiting]).toEqual([1, 0]);
  });

  test('a place that is given back twice counts once', async () => {
    const limit = limitOf({ maxRunning: 1 });
    const release = await limit.acquire();
    release();
    const again = await limit.acquire();
    release();
    expect(limit.running).toBe(1);
    again();
    expect(limit.running).toBe(0);
  });

  test('refuses at once when too many wait, and says how many', async () => {
    const limit = limitOf({ maxRunning: 1, maxWaiting: 1 });
    await limit.acquire();
    void limit.acquire();
    await expect(limit.acquire()).rejects.toThrow(new BusyError('1 run, 1 wait', 7));
  });

  test('refuses one that has waited for its time', async () => {
    const limit = limitOf({ maxRunning: 1, maxWaitMs: 1 });
    await limit.acquire();
    await expect(limit.acquire()).rejects.toBeInstanceOf(BusyError);
    expect(limit.waiting).toBe(0);
  });

  test('one that has gone leaves the queue, and those behind it move up', async () => {
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
});

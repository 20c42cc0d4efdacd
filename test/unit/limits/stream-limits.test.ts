import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createStreamLimits, type StreamLimits } from '../../../src/limits/stream-limits.ts';

let streams: StreamLimits;
const { signal } = new AbortController();
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

/** Whether an export that asks now has been let on. */
const askToGoOn = () => {
  const asked = { goesOn: false };
  void streams.afterPages().then(() => {
    asked.goesOn = true;
  });
  return asked;
};

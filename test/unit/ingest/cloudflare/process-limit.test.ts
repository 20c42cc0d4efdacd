import { describe, expect, it } from 'vitest';
import { createProcessLimit, withProcessLimit } from '../../../../src/ingest/cloudflare/permits.ts';
import type { RequestBudget } from '../../../../src/ingest/cloudflare/wire/request.ts';

describe('the limit of a process (invariant 11)', () => {
  it.each([0, 1, 3, 9])('lets no second see more than 100 requests, one every %i ms, and uses it', async (everyMs) => {
    const timesMs = await timesOf(1_000, { everyMs });
    expect(mostInASecond(timesMs)).toBe(100);
    expect(timesMs.at(-1)).toBe(9_000 + 99 * everyMs);
  });

  it('holds up none that come more slowly', async () =>
    expect(await timesOf(300, { everyMs: 10 })).toEqual(Array.from({ length: 300 }, (_, request) => request * 10)));

  it('is higher for one principal whose budget is', async () =>
    expect(mostInASecond(await timesOf(2_000, { requestsPerWindow: 150_000 }))).toBe(500));

  it('comes after the budget, and ends with the caller', async () => {
    const calls: string[] = [];
    const budget: RequestBudget = {
      acquire: async () => void calls.push('budget'),
      pause: async () => void calls.push('pause'),
    };
    const limited = withProcessLimit(budget, async (signal) => {
      calls.push('limit');
      signal.throwIfAborted();
    });
    await limited.acquire(new AbortController().signal);
    await limited.pause(1, 'ratelimit');
    expect(calls).toEqual(['budget', 'limit', 'pause']);
    await expect(limited.acquire(AbortSignal.abort(new Error('shutdown')))).rejects.toThrow('shutdown');
  });
});

/** When each of so many requests may go out, if all come at once every `everyMs`. */
const timesOf = async (count: number, { requestsPerWindow = 900, everyMs = 0 } = {}): Promise<number[]> => {
  let nowMs = 0;
  const timesMs: number[] = [];
  let waitedMs = 0;
  const limit = createProcessLimit({
    requestsPerWindow,
    nowMs: () => nowMs,
    sleep: async (ms) => {
      waitedMs = ms;
    },
  });
  for (let request = 0; request < count; request += 1) {
    nowMs = request * everyMs;
    waitedMs = 0;
    await limit(new AbortController().signal);
    timesMs.push(nowMs + waitedMs);
  }
  return timesMs;
};

const mostInASecond = (timesMs: readonly number[]): number =>
  Math.max(...timesMs.map((from) => timesMs.filter((time) => time >= from && time < from + 1_000).length));

import { describe, expect, it, test } from 'vitest';
import { gcraOf } from '../../../../src/ingest/cloudflare/api-budget.sql.ts';
import { createProcessLimit, Permits, withProcessLimit } from '../../../../src/ingest/cloudflare/permits.ts';
import type { RequestBudget } from '../../../../src/ingest/cloudflare/wire/request.ts';

test('requests that come at once take their permits in two statements, the first of them at once', async () => {
  const { world, acquire } = open(100);
  await Promise.all(Array.from({ length: 30 }, acquire));
  expect(world.statements).toHaveLength(2);
  expect(world.statements).toMatchObject([{ needed: 1, ahead: 0 }, { needed: 29 }]);
  expect(world.free).toBeGreaterThanOrEqual(100 - 30 - 16);
});

test('requests one after the other take more and more ahead, and none after a pause', async () => {
  const { world, acquire } = open(1_000);
  for (let request = 0; request < 100; request += 1) {
    await acquire();
    world.nowMs += 1;
  }
  expect(world.statements.length).toBeLessThan(12);
  expect(Math.max(...world.statements.map(({ ahead }) => ahead))).toBe(16);
  world.nowMs += 100;
  const [statements, free] = [world.statements.length, world.free];
  await acquire();
  expect(world.statements.slice(statements), 'what was left is lost').toEqual([{ needed: 1, ahead: 0 }]);
  expect(world.free).toBe(free - 1);
});

test('a permit is used within a tenth of a second, or not at all', async () => {
  const { world, acquire } = open(1_000);
  await acquire();
  await acquire();
  expect(world.statements).toHaveLength(2);
  world.nowMs += 99;
  await acquire();
  expect(world.statements, 'taken ahead').toHaveLength(2);
  await acquire();
  world.nowMs += 100;
  await acquire();
  expect(world.statements.at(-1)).toEqual({ needed: 1, ahead: 0 });
});

test('what was taken ahead is given up when requests have to stop, also while it is being taken', async () => {
  const { world, permits, acquire } = open(1_000);
  await acquire();
  await acquire();
  permits.drop();
  await acquire();
  expect(world.statements).toHaveLength(3);
  permits.drop();
  const under = acquire();
  permits.drop();
  await under;
  await acquire();
  expect(world.statements).toHaveLength(5);
});

test('permits of another credential are worth nothing', async () => {
  const { world, acquire } = open(1_000);
  await acquire();
  await acquire();
  world.name = 'another';
  await acquire();
  expect(world.statements).toHaveLength(3);
});

test('requests that wait are admitted in the order of their coming, as far as there is something', async () => {
  const { world, acquire } = open(0);
  const admitted: number[] = [];
  const all = [0, 1, 2].map((number) => acquire().then(() => admitted.push(number)));
  await settled();
  expect(world.waits, 'each of them waits').toBe(3);
  world.free = 2;
  world.wake();
  await settled();
  expect(admitted).toEqual([0, 1]);
  world.free = 5;
  world.wake();
  await Promise.all(all);
  expect(admitted).toEqual([0, 1, 2]);
});

test('a request that is aborted while it waits leaves the others, and takes nothing', async () => {
  const { world, permits, acquire } = open(0);
  const stopped = new AbortController();
  const leaving = permits.acquire(stopped.signal);
  const staying = acquire();
  await settled();
  stopped.abort(new Error('stopped'));
  await expect(leaving).rejects.toThrow('stopped');
  world.free = 1;
  world.wake();
  await staying;
  expect(world.free).toBe(0);
});

test('a renewed credential ends the wait for the old one', async () => {
  const { world, acquire } = open(0);
  const first = acquire();
  await settled();
  world.name = 'renewed';
  world.free = 2;
  await Promise.all([first, acquire()]);
});

test('the error of a statement is that of all that wait for it, and of none after it', async () => {
  const { world, acquire } = open(10);
  world.fail = new Error('the database is away');
  const endings = await Promise.allSettled([acquire(), acquire(), acquire()]);
  expect(endings.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  world.fail = undefined;
  await acquire();
});

/** A clock on which only what sleeps passes. */
const openTimeline = () => {
  let nowMs = 0;
  const timers: { readonly atMs: number; readonly wake: () => void }[] = [];
  return {
    nowMs: () => nowMs,
    sleep: (ms: number) =>
      new Promise<void>((wake) => {
        timers.push({ atMs: nowMs + ms, wake });
        timers.sort((a, b) => a.atMs - b.atMs);
      }),
    runUntil: async (isOver: () => boolean) => {
      for (await settled(); !isOver(); await settled()) {
        const next = timers.shift();
        if (next === undefined) throw new Error('nothing goes on');
        nowMs = next.atMs;
        next.wake();
      }
    },
  };
};

test('50,000 accounts are listed within 15 minutes beside a full pool, and the pool has every second request', async () => {
  const { spacingMs, toleranceMs } = gcraOf(900);
  const time = openTimeline();
  let nextFreeMs = 0;
  const permits = new Permits({
    take: async (needed) => {
      const aheadMs = Math.max(0, nextFreeMs - time.nowMs());
      const granted = aheadMs > toleranceMs ? 0 : Math.min(needed, 1 + Math.floor((toleranceMs - aheadMs) / spacingMs));
      nextFreeMs = Math.max(nextFreeMs, time.nowMs()) + granted * spacingMs;
      return granted;
    },
    wait: async () => ({ waitMs: nextFreeMs - time.nowMs() - toleranceMs, because: 'budget' }),
    name: () => 'one',
    nowMs: time.nowMs,
    sleep: time.sleep,
    onWait: () => {},
  });
  const { signal } = new AbortController();
  const answerMs = 300;
  let [pages, others] = [0, 0];
  const worker = async (): Promise<never> => {
    for (;;) {
      await permits.acquire(signal);
      others += 1;
      await time.sleep(answerMs);
    }
  };
  const list = async (): Promise<void> => {
    for (; pages < 50_000 / 50; pages += 1) {
      await permits.acquire(signal, true);
      await time.sleep(answerMs);
    }
  };
  for (let n = 0; n < 16; n += 1) void worker();
  void list();
  await time.runUntil(() => pages === 1_000);
  expect(time.nowMs() / 60_000).toBeLessThanOrEqual(15);
  expect(others).toBeGreaterThanOrEqual(1_000);
});

/** A budget with so many permits, which are added by the test; a clock that the test moves. */
const open = (free: number) => {
  const world = {
    free,
    plenty: true,
    nowMs: 1_000,
    name: 'one',
    statements: [] as { readonly needed: number; readonly ahead: number }[],
    waits: 0,
    fail: undefined as Error | undefined,
    /** Resolves what sleeps. */
    wake: () => {},
  };
  const permits = new Permits({
    take: async (needed, ahead) => {
      world.statements.push({ needed, ahead });
      await Promise.resolve();
      if (world.fail !== undefined) throw world.fail;
      const taken = Math.min(world.free, needed + (world.plenty ? ahead : 0));
      world.free -= taken;
      return taken;
    },
    wait: async () => ({ waitMs: 60_000, because: 'budget' }),
    name: () => world.name,
    nowMs: () => world.nowMs,
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        world.wake = resolve;
        signal.addEventListener('abort', () => reject(signal.reason));
      }),
    onWait: () => {
      world.waits += 1;
    },
  });
  const { signal } = new AbortController();
  return { world, permits, acquire: () => permits.acquire(signal) };
};

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the limit of a process (invariant 11)', () => {
  it.each([0, 1, 3, 9, 10])(
    'lets no second see more than 100 requests, one every %i ms, and uses it',
    async (everyMs) => {
      const timesMs = await timesOf(1_000, { everyMs });
      expect(mostInASecond(timesMs)).toBe(100);
      expect(timesMs.at(-1)).toBe(9_000 + 99 * everyMs);
    },
  );

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

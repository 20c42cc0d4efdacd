import { describe, expect, test } from 'vitest';
import { noIntervals } from '../../src/domain/lane-intervals.ts';
import type { Lane } from '../../src/domain/walk.ts';
import { type Job, WorkPool } from '../../src/sync/work-pool.ts';

const policy = { horizonMs: 0, settleDelaysMs: [], intervals: noIntervals };
const job = (id: string, lane: Lane = 'live'): Job => ({
  source: { kind: 'organization', id },
  lane,
  nowMs: 0,
  policy,
});

/** A pool whose turns the test ends. */
const opened = (concurrency: number, nowMs = () => 0) => {
  const turns = new Map<string, PromiseWithResolvers<readonly Lane[] | undefined>>();
  const begun: string[] = [];
  const faults: unknown[] = [];
  const work = ({ source, lane }: Job): Promise<readonly Lane[] | undefined> => {
    begun.push(`${lane} ${source.id}`);
    const turn = Promise.withResolvers<readonly Lane[] | undefined>();
    turns.set(source.id, turn);
    return turn.promise;
  };
  const pool = new WorkPool(concurrency, work, (error) => faults.push(error), nowMs);
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (id: string, ...left: readonly Lane[]) => {
    turns.get(id)?.resolve(left);
    await settle();
  };
  const leave = async (id: string) => {
    turns.get(id)?.resolve(undefined);
    await settle();
  };
  const fail = async (id: string, error: unknown) => {
    turns.get(id)?.reject(error);
    await settle();
  };
  return { pool, begun, faults, end, leave, fail };
};

describe('WorkPool', () => {
  test('takes every live job before any settle job before any backfill, no more at once than allowed', async () => {
    const { pool, begun, end } = opened(2);
    pool.refill([job('a', 'backfill'), job('b', 'settle'), job('c'), job('d', 'backfill'), job('e')]);
    expect(begun).toEqual(['live c', 'live e']);
    await end('c');
    await end('e');
    expect(begun.slice(2)).toEqual(['settle b', 'backfill a']);
  });

  test('where live work never ends, the other lanes have their share of the time all the same', async () => {
    let nowMs = 0;
    const { pool, begun, end } = opened(1, () => nowMs);
    const live = Array.from({ length: 200 }, (_, n) => job(`live ${n}`));
    const backfill = Array.from({ length: 30 }, (_, n) => job(`old ${n}`, 'backfill'));
    pool.refill([...live, ...backfill]);
    for (let turn = 0; turn < 100; turn += 1) {
      const [lane = '', ...id] = (begun.at(-1) ?? '').split(' ');
      // A turn of history takes five times as long.
      nowMs += lane === 'live' ? 2_000 : 10_000;
      if (turn % 20 === 19) pool.refill([...live, ...backfill]);
      await end(id.join(' '));
    }
    const turns = begun.filter((each) => each.startsWith('backfill')).length;
    expect(turns * 10_000).toBeGreaterThan(0.15 * nowMs);
    expect(turns * 10_000).toBeLessThan(0.25 * nowMs);
  });

  test('where every tick comes before all live tails are read, the one source that has history to read gets on with it', async () => {
    let nowMs = 0;
    const { pool, begun, end } = opened(4, () => nowMs);
    const names = Array.from({ length: 30 }, (_, n) => `${n}`);
    const refill = () => {
      // As the daemon: those that have waited longest come first.
      const last = (id: string) => begun.findLastIndex((each) => each.endsWith(` ${id}`));
      const order = names.toSorted((a, b) => last(a) - last(b));
      pool.refill([...order.map((id) => ({ ...job(id), nowMs })), { ...job('7', 'backfill'), nowMs }]);
    };
    refill();
    for (let turn = 0; turn < 400; turn += 1) {
      const oldest = begun[turn] ?? '';
      nowMs += 100;
      if (turn % 15 === 14) refill();
      await end(oldest.split(' ')[1] ?? '', ...(oldest.endsWith(' 7') ? (['backfill'] as const) : []));
    }
    const turns = begun.filter((each) => each === 'backfill 7').length;
    expect(turns).toBeGreaterThan(0.1 * begun.length);
    expect(turns).toBeLessThan(0.25 * begun.length);
  });

  test('a turn that failed takes its source out of all lanes', async () => {
    const { pool, begun, leave } = opened(1);
    pool.refill([job('a'), job('a', 'settle'), job('a', 'backfill'), job('b', 'backfill')]);
    await leave('a');
    expect(begun).toEqual(['live a', 'backfill b']);
    expect(pool.waiting).toBe(0);
  });

  test('a source has one turn at a time, and the lanes that are left are those that its last turn knows of', async () => {
    const { pool, begun, end } = opened(2);
    pool.refill([job('a'), job('a', 'settle')]);
    expect(begun).toEqual(['live a']);
    await end('a', 'backfill');
    expect(begun).toEqual(['live a', 'backfill a']);
    pool.refill([{ ...job('a'), nowMs: 1 }]);
    await end('a');
    expect(begun, 'what a later plan has brought stays').toEqual(['live a', 'backfill a', 'live a']);
  });

  test('a turn that hangs costs its lane no more than ten seconds', async () => {
    let nowMs = 0;
    const { pool, begun, end } = opened(1, () => nowMs);
    pool.refill([job('hangs'), ...Array.from({ length: 90 }, (_, n) => job(`old ${n}`, 'backfill'))]);
    nowMs += 120_000;
    await end('hangs');
    pool.refill([job('a'), ...Array.from({ length: 90 }, (_, n) => job(`old ${n}`, 'backfill'))]);
    for (let turn = 0; turn < 30 && !begun.includes('live a'); turn += 1) {
      nowMs += 100;
      await end(begun.at(-1)?.replace('backfill ', '') ?? '');
    }
    expect(begun).toContain('live a');
    pool.clear();
  });

  test('what is left of a job queues up behind the others of its lane', async () => {
    const { pool, begun, end } = opened(1);
    pool.refill([job('a', 'backfill'), job('b', 'backfill')]);
    await end('a', 'backfill');
    await end('b');
    expect(begun).toEqual(['backfill a', 'backfill b', 'backfill a']);
  });

  test('a refill replaces what waits, and leaves a source alone whose turn is under way (invariant 10)', async () => {
    const { pool, begun, end } = opened(2);
    pool.refill([job('hanging'), job('a', 'backfill'), job('b', 'backfill')]);
    pool.refill([job('hanging'), job('a'), job('c')]);
    expect(begun).toEqual(['live hanging', 'backfill a']);
    await end('a');
    await end('c');
    expect(begun).toEqual(['live hanging', 'backfill a', 'live c']);
    expect(pool.waiting).toBe(0);
    await end('hanging');
    pool.refill([job('hanging')]);
    expect(begun.at(-1)).toBe('live hanging');
  });

  test('is idle once nothing waits and nothing is under way', async () => {
    const { pool, end } = opened(2);
    await pool.idle();
    pool.refill([job('a'), job('b'), job('c')]);
    let idle = false;
    void pool.idle().then(() => {
      idle = true;
    });
    await end('a');
    await end('b', 'backfill');
    await end('c');
    expect(idle).toBe(false);
    await end('b');
    expect(idle).toBe(true);
    pool.refill([]);
    await pool.idle();
  });

  test('a fault drops what waits, is told, and leaves the pool of use', async () => {
    const { pool, begun, faults, fail, end } = opened(1);
    pool.refill([job('a'), job('b')]);
    await fail('a', 'the database is away');
    expect(faults).toEqual(['the database is away']);
    await pool.idle();
    expect(begun).toEqual(['live a']);
    pool.refill([job('b')]);
    await end('b');
    await pool.idle();
    expect(begun).toEqual(['live a', 'live b']);
  });
});

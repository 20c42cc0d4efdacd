import { describe, expect, test } from 'vitest';
import { laneIntervals, noIntervals } from '../../../../src/ingest/planning/planner.ts';
import { longestPauseMs } from '../../../../src/ingest/planning/poll-interval.ts';
import type { SourceState } from '../../../../src/ingest/planning/source.ts';
import type { Lane } from '../../../../src/ingest/planning/walk.ts';
import { planJobs } from '../../../../src/ingest/sync/plan-jobs.ts';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';
import { type Job, type WorkLeft, WorkPool } from '../../../../src/ingest/sync/work-pool.ts';
import { storeOfSources } from '../../../support/sync/surveyed-sources.ts';

const policy = { horizonMs: 0, settleDelaysMs: [], intervals: noIntervals };
const job = (id: string, lane: Lane = 'live'): Job => ({
  source: { kind: 'organization', id },
  lane,
  nowMs: 0,
  clock: { databaseMs: 0, atMs: 0 },
  policy,
});

describe('WorkPool', () => {
  test('takes every live job before any settle job before any backfill, no more at once than allowed', async () => {
    const { pool, begun, end } = opened(3);
    const live = [job('c'), job('e'), job('f')];
    pool.refill([job('a', 'backfill'), job('b', 'settle'), job('d', 'backfill'), ...live]);
    expect(begun).toEqual(['live c', 'live e', 'live f']);
    await end('c');
    await end('e');
    await end('f');
    expect(begun.slice(3)).toEqual(['settle b', 'backfill a']);
    await end('b');
    expect(begun.slice(5)).toEqual(['backfill d']);
  });

  test('if live work never ends, the other lanes still have their share of the requests', async () => {
    const { pool, begun, endAfter } = opened(1);
    const live = Array.from({ length: 200 }, (_, n) => job(`live ${n}`));
    const backfill = Array.from({ length: 30 }, (_, n) => job(`old ${n}`, 'backfill'));
    pool.refill([...live, ...backfill]);
    const requests = { live: 0, backfill: 0 };
    for (let turn = 0; turn < 400; turn += 1) {
      const [lane = '', ...id] = (begun.at(-1) ?? '').split(' ');
      const made = lane === 'live' ? 1 : 5;
      requests[lane as keyof typeof requests] += made;
      if (turn % 20 === 19) pool.refill([...live, ...backfill]);
      await endAfter(made, id.join(' '));
    }
    const share = requests.backfill / (requests.live + requests.backfill);
    expect(share).toBeGreaterThan(0.12);
    expect(share).toBeLessThan(0.16);
  });

  test('where every tick comes before all live tails are read, the one source that has history to read gets on with it', async () => {
    let nowMs = 0;
    const { pool, begun, end } = opened(4);
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
    const idle = endOf(pool.idle());
    await end('a');
    await end('b', 'backfill');
    await end('c');
    expect(idle.hasCome).toBe(false);
    await end('b');
    expect(idle.hasCome).toBe(true);
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

describe('a quarter of the workers', () => {
  const many = (name: string, count: number, lane: Lane = 'live'): Job[] =>
    Array.from({ length: count }, (_, n) => job(`${name}${n}`, lane));
  const count = (begun: readonly string[], name: string): number => begun.filter((each) => each.includes(name)).length;

  test('is kept for the live lane, however much there is of the others', () => {
    const { pool, begun } = opened(16);
    pool.refill([...many('settling', 30, 'settle'), ...many('old', 30, 'backfill')]);
    expect(begun).toHaveLength(12);
    pool.refill([...many('old', 60, 'backfill'), ...many('tail', 30)]);
    expect(begun.slice(12)).toEqual(['live tail0', 'live tail1', 'live tail2', 'live tail3']);
  });

  test('is one at least, of two or more; a single worker is for all', async () => {
    const two = opened(2);
    two.pool.refill([...many('old', 2, 'backfill')]);
    expect(two.begun).toEqual(['backfill old0']);
    await two.end('old0');
    expect(two.begun).toEqual(['backfill old0', 'backfill old1']);
    const one = opened(1);
    one.pool.refill([job('old', 'backfill')]);
    expect(one.begun).toEqual(['backfill old']);
  });

  test('is all that sources have together that timed out last: as many as there are workers hold up nothing (invariant 10)', async () => {
    const { pool, begun, end, timeOut } = opened(16);
    const hung = many('hung', 16);
    pool.refill(hung);
    expect(begun, 'nothing is known of them yet').toHaveLength(16);
    for (const { source } of hung) await timeOut(source.id);
    pool.refill([...hung, ...many('well', 40)]);
    const again = begun.slice(16);
    expect([count(again, 'hung'), count(again, 'well')]).toEqual([4, 12]);
    // Those that answer go on one after the other, the others keep their places.
    for (let n = 0; n < 20; n += 1) await end(`well${n}`);
    expect([count(begun.slice(16), 'hung'), count(begun.slice(16), 'well')]).toEqual([4, 32]);
  });

  test('a source that answers again is one as any other', async () => {
    const { pool, begun, end, timeOut } = opened(4);
    const sources = [job('a'), job('b'), job('c')];
    pool.refill(sources);
    for (const { source } of sources) await timeOut(source.id);
    pool.refill(sources);
    expect(begun.slice(3)).toEqual(['live a']);
    await end('a');
    expect(begun.slice(3)).toEqual(['live a', 'live b']);
    pool.refill([job('a'), job('c')]);
    expect(begun.slice(3), 'c waits for b, a does not').toEqual(['live a', 'live b', 'live a']);
  });
});

test('a lane that has rested is added to what waits, and begun at once where a worker is free', async () => {
  const { pool, begun, end } = opened(2);
  pool.add(job('a'));
  const idle = endOf(pool.idle());
  expect(begun).toEqual(['live a']);
  await end('a');
  expect(idle.hasCome).toBe(true);
});

test('a lane that has rested changes nothing if its source waits in that lane, or has a turn', async () => {
  const { pool, begun, end } = opened(1);
  pool.refill([job('a'), { ...job('b'), nowMs: 9 }]);
  pool.add(job('a'));
  pool.add(job('b'));
  expect(pool.waiting).toBe(1);
  await end('a');
  await end('b');
  expect(begun).toEqual(['live a', 'live b']);
});

test('260 sources with history at a budget of 200: each lane has its share of the requests, and no live tail waits for longer than the bound', async () => {
  const beganMs = Date.UTC(2026, 5, 1);
  const horizonMs = beganMs - 480 * 3_600_000;
  const tickMs = 30_000;
  const spacingMs = 305_000 / 180;
  const requestsOf = { live: 1, settle: 1, backfill: 3, scrub: 0 };
  const readUntilMs = new Map(Array.from({ length: 260 }, (_, n) => [`${n}`, beganMs - 2_000 * n]));
  const made = { live: 0, settle: 0, backfill: 0, scrub: 0 };
  const waiting: (() => void)[] = [];
  let nowMs = beganMs;
  let longestMs = 0;
  const context = {
    store: storeOfSources(() =>
      Array.from(
        readUntilMs,
        ([id, toMs]) =>
          ({
            kind: 'organization',
            id,
            restMs: {},
            coverage: [[{ fromMs: beganMs - 72_000_000, toMs }]],
            lanes: {},
            holes: [],
            largestPage: 100,
            eventRate: { perHour: 1, recentPerHour: 0 },
          }) as unknown as SourceState,
      ),
    ),
    time: { nowMs: () => 0 },
    observer: {},
    kinds: [{ kind: 'organization', filters: [], filterHash: 'none', horizonMs: () => horizonMs }],
    settleDelaysMs: [600_000],
    intervals: (sources: number) => laneIntervals(sources, 200),
    tickMs,
    concurrency: 16,
    windows: { sawPage: () => {} },
  } as unknown as SyncContext;
  const pool = new WorkPool(
    context.concurrency,
    async ({ lane, source: { id }, nowMs: plannedMs }) => {
      for (let n = 0; n < requestsOf[lane]; n += 1) {
        await new Promise<void>((admit) => waiting.push(admit));
        made[lane] += 1;
      }
      if (lane === 'live') {
        longestMs = Math.max(longestMs, nowMs - (readUntilMs.get(id) ?? 0));
        readUntilMs.set(id, plannedMs);
      }
      return { lanes: lane === 'backfill' ? ['backfill'] : [], timedOut: false, requests: requestsOf[lane] };
    },
    (error) => {
      throw error;
    },
  );
  for (let tick = 0; tick < 120; tick += 1) {
    const time = { nowMs, clock: { databaseMs: nowMs, atMs: 0 } };
    pool.refill((await planJobs(context, time, false)).jobs);
    for (const untilMs = beganMs + (tick + 1) * tickMs; nowMs < untilMs; nowMs += spacingMs) {
      waiting.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const requests = made.live + made.settle + made.backfill;
  expect(made.live / requests).toBeGreaterThan(0.69);
  expect(made.settle / requests).toBeGreaterThan(0.12);
  expect(made.backfill / requests).toBeGreaterThan(0.11);
  expect(longestMs).toBeLessThan(longestPauseMs({ equalMs: laneIntervals(260, 200).liveMs, tickMs }) + tickMs);
});

/** Whether that has come to its end. */
const endOf = (promise: Promise<unknown>) => {
  const end = { hasCome: false };
  void promise.then(() => Object.assign(end, { hasCome: true }));
  return end;
};

/** A pool whose turns the test ends. */
const opened = (concurrency: number) => {
  const turns = new Map<string, PromiseWithResolvers<WorkLeft>>();
  const begun: string[] = [];
  const faults: unknown[] = [];
  const work = ({ source, lane }: Job): Promise<WorkLeft> => {
    begun.push(`${lane} ${source.id}`);
    const turn = Promise.withResolvers<WorkLeft>();
    turns.set(source.id, turn);
    return turn.promise;
  };
  const pool = new WorkPool(concurrency, work, (error) => faults.push(error));
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const finish = async (id: string, lanes: readonly Lane[] | undefined, more: Partial<WorkLeft> = {}) => {
    turns.get(id)?.resolve({ lanes, timedOut: false, requests: 1, ...more });
    await settle();
  };
  const endAfter = (requests: number, id: string, ...left: readonly Lane[]) => finish(id, left, { requests });
  const end = (id: string, ...left: readonly Lane[]) => finish(id, left);
  const timeOut = (id: string, ...left: readonly Lane[]) => finish(id, left, { timedOut: true });
  const leave = (id: string) => finish(id, undefined);
  const fail = async (id: string, error: unknown) => {
    turns.get(id)?.reject(error);
    await settle();
  };
  return { pool, begun, faults, end, endAfter, timeOut, leave, fail };
};

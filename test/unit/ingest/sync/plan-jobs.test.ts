import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endOfReadFrom, gapsIn } from '../../../../src/ingest/planning/coverage.ts';
import { idleLane } from '../../../../src/ingest/planning/lane.ts';
import { planLane, type SourceProgress } from '../../../../src/ingest/planning/planner.ts';
import type { SourceKey, SourceState } from '../../../../src/ingest/planning/source.ts';
import { lanes, startWalk } from '../../../../src/ingest/planning/walk.ts';
import { planJobs } from '../../../../src/ingest/sync/plan-jobs.ts';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';
import { packed, readUpTo, unpacked } from '../../../../src/ingest/sync/source-cache.ts';
import { type Job, WorkPool } from '../../../../src/ingest/sync/work-pool.ts';
import { anyPolicy, anyProgress, DAY_MS, NOW_MS as PROGRESS_MS, policyAt } from '../../../support/sync/any-progress.ts';
import { storeOfSources } from '../../../support/sync/surveyed-sources.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 5, 1);
const HORIZON_MS = NOW_MS - 480 * HOUR_MS;

const source = (id: string, more: Partial<SourceState> = {}): SourceState => ({
  kind: 'organization',
  id,
  organizationId: id,
  refused: false,
  restMs: {},
  heldElsewhere: false,
  coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 }]],
  lanes: {},
  holes: [],
  largestPage: 0,
  eventRate: undefined,
  ...more,
});
const read = (id: string, agoMs: number, more: Partial<SourceState> = {}): SourceState => ({
  ...source(id),
  coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 - agoMs }]],
  largestPage: 100,
  eventRate: { perHour: 0.01, recentPerHour: 0 },
  ...more,
});
const overdue = Array.from({ length: 400 }, (_, n) => read(`o${n}`, 2 * HOUR_MS - n));
const withHistory = read('history', 0, { coverage: [[{ fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - 1_000 }]] });

test('a tick hands out no more live tails than the live share lasts for, while other lanes have work', async () => {
  const jobs = await planned([...overdue, withHistory]);
  expect(jobs.filter((job) => job.startsWith('live'))).toHaveLength(23);
  expect(jobs).toContain('backfill history');
});

test('of sources that were never asked, the kinds take turns, and they come before the others', async () => {
  const kinds = ['account', 'organization'].map(kindOf);
  const never = (kind: string, count: number) =>
    Array.from({ length: count }, (_, n) => read(`${kind}${n}`, 0, { kind, coverage: [], eventRate: undefined }));
  const unread = [...never('account', 30), ...never('organization', 3)];
  const asked = overdue.slice(0, 2).map((source) => ({ ...source, kind: 'account' }));
  const inTurn = ['account0', 'organization0', 'account1', 'organization1', 'account2', 'organization2', 'account3'];
  const behind = ['organization0', 'organization1', 'account0', 'organization2', 'account1'];
  for (const toTheEnd of [false, true]) {
    for (const [sources, expected] of [
      [unread, inTurn],
      [[...unread, ...asked], behind],
    ] as const) {
      const jobs = await planned(sources, toTheEnd, undefined, { kinds });
      const live = jobs.filter((job) => job.startsWith('live'));
      expect(live.slice(0, expected.length), `${toTheEnd}`).toEqual(expected.map((id) => `live ${id}`));
    }
  }
});

test('what the limit leaves out does not come back by another lane', async () => {
  const both = overdue.map((source) => ({
    ...source,
    coverage: [[{ fromMs: NOW_MS - 9 * HOUR_MS, toMs: NOW_MS - 2 * HOUR_MS }]],
  }));
  const jobs = await planned(both);
  expect(jobs.filter((job) => job.startsWith('live'))).toHaveLength(22);
  expect(jobs.filter((job) => job.startsWith('backfill'))).toHaveLength(400);
});

test('all that are due, where no other lane has work', async () => expect(await planned(overdue)).toHaveLength(400));

test('each budget has its own live tails, by its own sources and requests, and all come in turn', async () => {
  const intervals: SyncContext['intervals'] = (count, requests = 0) => ({
    // As lane-intervals.ts has it, with the whole budget for live tails.
    liveMs: (count * 300_000) / requests,
    settleMs: 0,
  });
  const budgets = () => (source: SourceKey) =>
    source.id.startsWith('own') ? { name: source.id, requests: 900 } : { name: 'user:a', requests: 200 };
  const sources = [...overdue, read('own 1', 60_000), read('own 2', 40_000), withHistory];
  const jobs = await planned(sources, false, undefined, { intervals, budgets });
  const live = jobs.filter((job) => job.startsWith('live'));
  // 20 between two ticks, and what has history to read.
  expect(live.filter((job) => job.startsWith('live o') && !job.includes('own'))).toHaveLength(20);
  expect(jobs.slice(0, 3).toSorted()).toEqual(['live o0', 'live own 1', 'live own 2']);
  const together = await planned(sources, false, undefined, { intervals: () => ({ liveMs: 600_000, settleMs: 0 }) });
  expect(together).not.toContain('live own 2');
});

test('a busy source comes first, a silent one waits, and what was read just now is not asked', async () => {
  const busy = read('busy', 120_000, { eventRate: { perHour: 500, recentPerHour: 500 } });
  const silent = Array.from({ length: 397 }, (_, n) => read(`silent${n}`, 120_000));
  const jobs = await planned([...silent, read('just now', 0), read('overdue', HOUR_MS / 3), busy]);
  expect(jobs).toEqual(['live busy', 'live overdue']);
});

test('an open live walk goes on before anything else; who rests or is held elsewhere is left alone', async () => {
  const walk = {
    ...startWalk('live', { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - 1_000 }, { readAtMs: NOW_MS }),
    cursor: 'c',
    pages: 1,
  };
  const [first = '', ...others] = await planned([
    read('rests', HOUR_MS, { restMs: { live: 1 } }),
    read('held', HOUR_MS, { heldElsewhere: true }),
    ...overdue.slice(0, 30),
    read('walking', HOUR_MS, { lanes: { live: { ...idleLane, walk } } }),
  ]);
  expect([first, others.length]).toEqual(['live walking', 30]);
  expect(others.join()).not.toMatch(/rests|held/);
});

test('the rest of one lane says nothing about another: neither of the live one, nor of history (invariant 10)', async () => {
  const coverage = [[{ fromMs: NOW_MS - 9 * HOUR_MS, toMs: NOW_MS - 2 * HOUR_MS }]];
  const both = (id: string, restMs: SourceState['restMs']) => read(id, 0, { coverage, restMs });
  expect(await planned([both('a', { backfill: 60_000 })])).toEqual(['live a']);
  expect(await planned([both('b', { live: 60_000 })])).toEqual(['backfill b']);
  expect(await planned([both('c', { live: 0 })])).toEqual(['live c', 'backfill c']);
});

test('a plan to the end leaves nothing out: neither what rests nor what is held elsewhere or young', async () => {
  const others = [
    read('young', 5_000),
    read('rests', HOUR_MS, { restMs: { live: 1 } }),
    read('held', HOUR_MS, { heldElsewhere: true }),
  ];
  expect(await planned([...overdue, withHistory, ...others], true)).toHaveLength(404);
});

test('what this process has found too wide counts for the plans of all sources', async () =>
  expect(await planned([withHistory], false, 5_000)).toEqual(['backfill history']));

/** Read before, so that the scrub lane may read it again. */
const scrubbed = (id: string, more: Partial<SourceState> = {}) =>
  source(id, { readBefore: [{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 }], ...more });

const plannedScrub = async (
  sources: readonly SourceState[],
  { credits = 100, toTheEnd = false, ...more }: { credits?: number; toTheEnd?: boolean; window?: object } = {},
) => {
  const asked: number[] = [];
  const take = async (requests: number) => {
    asked.push(requests);
    return Math.min(credits, requests);
  };
  const scrub = { everyMs: 7 * 24 * HOUR_MS, take, spend: async () => {} };
  const jobs = await jobsOf(sources, toTheEnd, { concurrency: 1, scrub, ...more });
  return { jobs, asked, scrub: jobs.filter(({ lane }) => lane === 'scrub').map((job) => job.source.id) };
};
const round = (beganMs: number) => ({
  scrub: {
    ...idleLane,
    round: { number: 2, beganMs, untilMs: beganMs, read: [{ fromMs: beganMs - 1, toMs: beganMs }] },
  },
});

test('as many windows as there is leave for, the most urgent sources first', async () => {
  const sources = [
    scrubbed('lately', { lanes: round(NOW_MS - HOUR_MS) }),
    scrubbed('never'),
    scrubbed('long ago', { lanes: round(NOW_MS - 50 * HOUR_MS) }),
    scrubbed('unproven', { unproven: [{ fromMs: HORIZON_MS, toMs: HORIZON_MS + HOUR_MS }], lanes: round(NOW_MS) }),
  ];
  expect((await plannedScrub(sources)).scrub).toEqual(['unproven', 'never', 'long ago', 'lately']);
  const { scrub, asked } = await plannedScrub(sources, { credits: 2 });
  expect(scrub).toEqual(['unproven', 'never']);
  expect(asked).toEqual([4]);
  expect((await plannedScrub(sources, { credits: 0 })).scrub).toEqual([]);
});

test('not of sources that have history to read, rest, refuse or are held elsewhere; nothing is asked where there is none', async () => {
  const history = scrubbed('history', { coverage: [[{ fromMs: NOW_MS - 9 * HOUR_MS, toMs: NOW_MS - 1_000 }]] });
  const { jobs, asked } = await plannedScrub([
    history,
    scrubbed('rests', { restMs: { scrub: 1 } }),
    scrubbed('refused', { refused: true }),
    scrubbed('held', { heldElsewhere: true }),
  ]);
  expect(jobs.map(({ lane, source: { id } }) => `${lane} ${id}`)).toEqual(['backfill history']);
  expect(asked).toEqual([]);
});

test('a live tail that is due does not keep its source from it, and knows nothing of it', async () => {
  const late = scrubbed('late', { coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 2 * HOUR_MS }]] });
  const { jobs } = await plannedScrub([late]);
  expect(jobs.map(({ lane, policy }) => [lane, policy.scrub])).toEqual([
    ['live', undefined],
    ['scrub', { everyMs: 7 * 24 * HOUR_MS }],
  ]);
});

test('a sync that stands alone and a backfill leave it to the daemon', async () => {
  expect((await plannedScrub([scrubbed('a')], { toTheEnd: true })).scrub).toEqual([]);
  expect((await plannedScrub([scrubbed('a')], { window: { sinceMs: HORIZON_MS, untilMs: NOW_MS } })).scrub).toEqual([]);
});

test('one turn for each leave: no turn brings another one, and none of another lane takes it away', async () => {
  const turns: string[] = [];
  const work = async ({ lane, source: { id } }: Job) => {
    turns.push(`${lane} ${id}`);
    return { lanes: lane === 'scrub' ? (['scrub'] as const) : [], timedOut: false, requests: 1 };
  };
  const pool = new WorkPool(1, work, () => {});
  const { jobs } = await plannedScrub([
    scrubbed('a', { coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 2 * HOUR_MS }]] }),
  ]);
  pool.refill(jobs);
  await pool.idle();
  expect(turns).toEqual(['live a', 'scrub a']);
});

const clock = { databaseMs: NOW_MS + 5, atMs: 17 };
const kindOf = (kind: string) => ({ kind, filters: [], filterHash: 'none', horizonMs: () => HORIZON_MS });

/** 20 of 400 sources can be asked per tick, beside two that are under way. */
const jobsOf = async (sources: readonly SourceState[], toTheEnd: boolean, more: object): Promise<readonly Job[]> => {
  const context = {
    store: storeOfSources(() => sources),
    time: { nowMs: () => 0 },
    observer: {},
    kinds: [kindOf('organization')],
    settleDelaysMs: [],
    intervals: () => ({ liveMs: 600_000, settleMs: 0 }),
    tickMs: 30_000,
    concurrency: 2,
    windows: { sawPage: () => {} },
    ...more,
  } as unknown as SyncContext;
  return (await planJobs(context, { nowMs: NOW_MS, clock }, toTheEnd)).jobs;
};

const planned = async (sources: readonly SourceState[], toTheEnd = false, widestMs?: number, more: object = {}) => {
  const jobs = await jobsOf(sources, toTheEnd, { windows: { widestMs, sawPage: () => {} }, ...more });
  const expected = { nowMs: NOW_MS, clock, widestMs };
  for (const { nowMs, clock: at, policy } of jobs)
    expect({ nowMs, clock: at, widestMs: policy.widestMs }).toEqual(expected);
  return jobs.map((job) => `${job.lane} ${job.source.id}`);
};

test('what is remembered in numbers has work in the same lanes at all times', () => {
  const later = fc.nat(40 * DAY_MS);
  const property = fc.property(anyProgress, anyPolicy, later, (progress, any, laterMs) => {
    const nowMs = PROGRESS_MS + laterMs;
    const policy = policyAt(any, nowMs);
    const withWork = (of: SourceProgress) => lanes.filter((lane) => planLane(lane, of, nowMs, policy) !== undefined);
    const again = unpacked(packed(progress));
    expect(withWork(again)).toEqual(withWork(progress));
    expect(again.coverage).toEqual(progress.coverage);
    expect(again.lanes.scrub?.round).toEqual(progress.lanes.scrub?.round);
  });
  fc.assert(property, { seed: 20_261_126, numRuns: 300 });
});

test('what is remembered in numbers has been read up to the same time, from any time on', () => {
  const property = fc.property(anyProgress, fc.nat(600 * DAY_MS), (progress, agoMs) => {
    const covered = progress.coverage[0] ?? [];
    // At random, and at each end of what has been read.
    for (const fromMs of [PROGRESS_MS - agoMs, ...covered.flatMap(({ fromMs, toMs }) => [fromMs, toMs])]) {
      const [gap] = gapsIn({ fromMs, toMs: Number.POSITIVE_INFINITY }, covered);
      expect(readUpTo(packed(progress), fromMs)).toBe(gap?.fromMs);
      expect(endOfReadFrom(fromMs, covered)).toBe(gap?.fromMs);
    }
  });
  fc.assert(property, { seed: 20_261_128, numRuns: 300 });
});

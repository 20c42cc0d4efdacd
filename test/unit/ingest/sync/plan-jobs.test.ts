import { expect, test } from 'vitest';
import { idleLane } from '../../../../src/ingest/planning/lane.ts';
import type { SourceKey, SourceState } from '../../../../src/ingest/planning/source.ts';
import { startWalk } from '../../../../src/ingest/planning/walk.ts';
import { planJobs } from '../../../../src/ingest/sync/plan-jobs.ts';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 5, 1);
const HORIZON_MS = NOW_MS - 480 * HOUR_MS;

const read = (id: string, agoMs: number, more: Partial<SourceState> = {}): SourceState => ({
  kind: 'organization',
  id,
  organizationId: id,
  refused: false,
  restMs: {},
  heldElsewhere: false,
  coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 - agoMs }]],
  lanes: {},
  holes: [],
  largestPage: 100,
  eventRate: { perHour: 0.01, recentPerHour: 0 },
  ...more,
});

const clock = { databaseMs: NOW_MS + 5, atMs: 17 };

/** 400 sources; 20 of them can be asked per tick, beside two that are under way. */
const planned = async (
  sources: readonly SourceState[],
  toTheEnd = false,
  widestMs?: number,
  more: Partial<Pick<SyncContext, 'budgets' | 'intervals' | 'kinds'>> = {},
) => {
  const context = {
    store: { loadFewSources: async () => sources },
    observer: {},
    kinds: [{ kind: 'organization', filters: [], filterHash: 'none', horizonMs: () => HORIZON_MS }],
    settleDelaysMs: [],
    intervals: () => ({ liveMs: 600_000, settleMs: 0 }),
    tickMs: 30_000,
    concurrency: 2,
    windows: { widestMs, sawPage: () => {} },
    ...more,
  } as unknown as SyncContext;
  const { jobs } = await planJobs(context, { nowMs: NOW_MS, clock }, toTheEnd);
  expect(jobs.every((job) => job.nowMs === NOW_MS && job.clock === clock && job.policy.widestMs === widestMs)).toBe(
    true,
  );
  return jobs.map(({ lane, source }) => `${lane} ${source.id}`);
};
const overdue = Array.from({ length: 400 }, (_, n) => read(`o${n}`, 2 * HOUR_MS - n));
const withHistory = read('history', 0, { coverage: [[{ fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - 1_000 }]] });

test('a tick hands out no more live tails than the live share lasts for, while other lanes have work', async () => {
  const jobs = await planned([...overdue, withHistory]);
  expect(jobs.filter((job) => job.startsWith('live'))).toHaveLength(23);
  expect(jobs).toContain('backfill history');
});

test('of sources that were never asked, the kinds take turns, and they come before the others', async () => {
  const kinds = ['account', 'organization'].map((kind) => ({
    kind,
    filters: [],
    filterHash: 'none',
    horizonMs: () => HORIZON_MS,
  }));
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
  expect(first).toBe('live walking');
  expect(others).toHaveLength(30);
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

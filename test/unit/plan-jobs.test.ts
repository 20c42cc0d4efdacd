import { expect, test } from 'vitest';
import type { SourceState } from '../../src/domain/source.ts';
import { startWalk } from '../../src/domain/walk.ts';
import { planJobs } from '../../src/sync/plan-jobs.ts';
import type { SyncContext } from '../../src/sync/ports.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 5, 1);
const HORIZON_MS = NOW_MS - 480 * HOUR_MS;

const read = (id: string, agoMs: number, more: Partial<SourceState> = {}): SourceState => ({
  ...{ kind: 'organization', id, organizationId: id, failures: 0, refused: false, restMs: 0, heldElsewhere: false },
  coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 - agoMs }]],
  openWalks: [],
  eventRate: { perHour: 0.01, recentPerHour: 0 },
  ...more,
});

/** 400 sources of which 20 can be asked per tick. */
const planned = async (sources: readonly SourceState[], alone = false) => {
  const context = {
    store: { loadSources: async () => sources },
    observer: {},
    horizonMs: () => HORIZON_MS,
    settleDelaysMs: [],
    intervals: () => ({ liveMs: 600_000, settleMs: 0 }),
    tickMs: 30_000,
  } as unknown as SyncContext;
  const { jobs } = await planJobs(context, NOW_MS, alone);
  return jobs.map(({ lane, source }) => `${lane} ${source.id}`);
};
const overdue = Array.from({ length: 400 }, (_, n) => read(`o${n}`, 2 * HOUR_MS - n));
const withHistory = read('history', 0, { coverage: [[{ fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - 1_000 }]] });

test('a tick hands out no more live tails than the live share lasts for, while other lanes have work', async () => {
  const jobs = await planned([...overdue, withHistory]);
  expect(jobs.filter((job) => job.startsWith('live'))).toHaveLength(21);
  expect(jobs).toContain('backfill history');
});

test('what the limit leaves out does not come back by another lane', async () => {
  const both = overdue.map((source) => ({
    ...source,
    coverage: [[{ fromMs: NOW_MS - 9 * HOUR_MS, toMs: NOW_MS - 2 * HOUR_MS }]],
  }));
  const jobs = await planned(both);
  expect(jobs.filter((job) => job.startsWith('live'))).toHaveLength(20);
  expect(jobs.filter((job) => job.startsWith('backfill'))).toHaveLength(400);
});

test('all that are due, where no other lane has work', async () => {
  expect(await planned(overdue)).toHaveLength(400);
});

test('a busy source comes first, a silent one waits, and what was read just now is not asked', async () => {
  const busy = read('busy', 120_000, { eventRate: { perHour: 500, recentPerHour: 500 } });
  const silent = Array.from({ length: 397 }, (_, n) => read(`silent${n}`, 120_000));
  const jobs = await planned([...silent, read('just now', 0), read('overdue', HOUR_MS / 3), busy]);
  expect(jobs).toEqual(['live busy', 'live overdue']);
});

test('an open live walk goes on before anything else; who rests or is held elsewhere is left alone', async () => {
  const walk = {
    ...startWalk('live', { fromMs: NOW_MS - HOUR_MS, toMs: NOW_MS - 1_000 }, NOW_MS),
    cursor: 'c',
    pages: 1,
  };
  const [first = '', ...others] = await planned([
    ...[read('rests', HOUR_MS, { restMs: 1 }), read('held', HOUR_MS, { heldElsewhere: true })],
    ...overdue.slice(0, 30),
    read('walking', HOUR_MS, { openWalks: [walk] }),
  ]);
  expect(first).toBe('live walking');
  expect(others).toHaveLength(30);
  expect(others.join()).not.toMatch(/rests|held/);
});

test('a plan that stands alone leaves nothing out', async () => {
  expect(await planned([...overdue, withHistory, read('young', 5_000)], true)).toHaveLength(402);
});

import { expect, test } from 'vitest';
import { idleLane } from '../../../../src/ingest/planning/lane.ts';
import type { SourceState } from '../../../../src/ingest/planning/source.ts';
import { planJobs } from '../../../../src/ingest/sync/plan-jobs.ts';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';
import { type Job, WorkPool } from '../../../../src/ingest/sync/work-pool.ts';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.UTC(2026, 5, 1);
const HORIZON_MS = NOW_MS - 480 * HOUR_MS;
const time = { nowMs: NOW_MS, clock: { databaseMs: NOW_MS, atMs: 0 } };

const source = (id: string, more: Partial<SourceState> = {}): SourceState => ({
  kind: 'organization',
  id,
  organizationId: id,
  refused: false,
  restMs: {},
  heldElsewhere: false,
  coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 }]],
  readBefore: [{ fromMs: HORIZON_MS, toMs: NOW_MS - 1_000 }],
  lanes: {},
  holes: [],
  largestPage: 0,
  eventRate: undefined,
  ...more,
});

const planned = async (
  sources: readonly SourceState[],
  {
    credits = 100,
    window,
    toTheEnd = false,
  }: { credits?: number; window?: SyncContext['window']; toTheEnd?: boolean } = {},
) => {
  const asked: number[] = [];
  const context = {
    store: { loadFewSources: async () => sources },
    observer: {},
    windows: { sawPage: () => {} },
    window,
    kinds: [{ kind: 'organization', filters: [], filterHash: 'none', horizonMs: () => HORIZON_MS }],
    settleDelaysMs: [],
    intervals: () => ({ liveMs: 600_000, settleMs: 0 }),
    tickMs: 30_000,
    concurrency: 1,
    scrub: {
      everyMs: 7 * 24 * HOUR_MS,
      take: async (requests: number) => {
        asked.push(requests);
        return Math.min(credits, requests);
      },
      spend: async () => {},
    },
  } as unknown as SyncContext;
  const { jobs } = await planJobs(context, time, toTheEnd);
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
    source('lately', { lanes: round(NOW_MS - HOUR_MS) }),
    source('never'),
    source('long ago', { lanes: round(NOW_MS - 50 * HOUR_MS) }),
    source('unproven', { unproven: [{ fromMs: HORIZON_MS, toMs: HORIZON_MS + HOUR_MS }], lanes: round(NOW_MS) }),
  ];
  expect((await planned(sources)).scrub).toEqual(['unproven', 'never', 'long ago', 'lately']);
  const { scrub, asked } = await planned(sources, { credits: 2 });
  expect(scrub).toEqual(['unproven', 'never']);
  expect(asked).toEqual([4]);
  expect((await planned(sources, { credits: 0 })).scrub).toEqual([]);
});

test('not of sources that have history to read, rest, refuse or are held elsewhere; nothing is asked where there is none', async () => {
  const history = source('history', { coverage: [[{ fromMs: NOW_MS - 9 * HOUR_MS, toMs: NOW_MS - 1_000 }]] });
  const { jobs, asked } = await planned([
    history,
    source('rests', { restMs: { scrub: 1 } }),
    source('refused', { refused: true }),
    source('held', { heldElsewhere: true }),
  ]);
  expect(jobs.map(({ lane, source: { id } }) => `${lane} ${id}`)).toEqual(['backfill history']);
  expect(asked).toEqual([]);
});

test('a live tail that is due does not keep its source from it, and knows nothing of it', async () => {
  const late = source('late', { coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 2 * HOUR_MS }]] });
  const { jobs } = await planned([late]);
  expect(jobs.map(({ lane, policy }) => [lane, policy.scrub])).toEqual([
    ['live', undefined],
    ['scrub', { everyMs: 7 * 24 * HOUR_MS }],
  ]);
});

test('a sync that stands alone and a backfill leave it to the daemon', async () => {
  expect((await planned([source('a')], { toTheEnd: true })).scrub).toEqual([]);
  expect((await planned([source('a')], { window: { sinceMs: HORIZON_MS, untilMs: NOW_MS } })).scrub).toEqual([]);
});

test('one turn for each leave: no turn brings another one, and none of another lane takes it away', async () => {
  const turns: string[] = [];
  const work = async ({ lane, source: { id } }: Job) => {
    turns.push(`${lane} ${id}`);
    return { lanes: lane === 'scrub' ? (['scrub'] as const) : [], timedOut: false, requests: 1 };
  };
  const pool = new WorkPool(1, work, () => {});
  const { jobs } = await planned([source('a', { coverage: [[{ fromMs: HORIZON_MS, toMs: NOW_MS - 2 * HOUR_MS }]] })]);
  pool.refill(jobs);
  await pool.idle();
  expect(turns).toEqual(['live a', 'scrub a']);
});

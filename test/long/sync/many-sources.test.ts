import { beforeAll, expect, test } from 'vitest';
import { laneIntervals } from '../../../src/ingest/planning/planner.ts';
import { keyOf, type SourceKey } from '../../../src/ingest/planning/source.ts';
import { kindOf } from '../../../src/ingest/sources/registry.ts';
import { planJobs } from '../../../src/ingest/sync/plan-jobs.ts';
import type { SyncContext, SyncObserver } from '../../../src/ingest/sync/ports.ts';
import { RememberedSources } from '../../../src/ingest/sync/source-cache.ts';
import { createSyncStore } from '../../../src/ingest/sync/sync-store.sql.ts';
import { WindowLimit } from '../../../src/ingest/sync/window-limit.ts';
import { readStatus } from '../../../src/status/status.sql.ts';
import { databaseOfTests, type TestDatabase } from '../../support/postgres/database.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { changeSources, changesOfSources } from '../../support/sync/change-sources.ts';
import { fillManySources } from '../../support/sync/many-sources.ts';

const SEED = 20_261_126;
const firstEntryMs = kindOf({ kind: 'account' }).firstEntryMs ?? 0;
/** So many that they are loaded in parts; and so few that all of them can be loaded again at each change. */
const many = databaseOfTests();
const database = databaseOfTests();
let beginMs: number;
beforeAll(async () => {
  const options = { settleDelaysMs: DELAYS_MS, settleDue: 5 };
  await fillManySources(many.pool, { ...options, accounts: MANY, ...laneIntervals(MANY, 900) });
  await fillManySources(database.pool, { ...options, accounts: ACCOUNTS, ...laneIntervals(ACCOUNTS, 900) });
  beginMs = Date.now();
});

test('after a start each plan has all live tails, and the other lanes of what has been loaded so far', async () => {
  let loadingMs = 0;
  // All but the first part of each plan is too late.
  const remembering = planner(many, true, () => {
    loadingMs += 1_000;
    return loadingMs;
  });
  const whole = planner(many, false);
  const parts: number[] = [];
  for (let tick = 0; tick < 4; tick += 1) {
    const nowMs = beginMs + 1_000 + tick * 30_000;
    const expected = await whole(nowMs);
    const plan = await remembering(nowMs);
    parts.push(plan.loaded);
    expect(liveOf(plan.jobs)).toEqual(liveOf(expected.jobs));
    expect(liveOf(plan.jobs).length).toBeGreaterThan(10);
    expect(expected.jobs).toEqual(expect.arrayContaining(plan.jobs.filter(({ job }) => !job.startsWith('scrub '))));
    if (tick >= 2) expect(withoutLoads(plan)).toEqual(withoutLoads(expected));
    else expect(plan.jobs.length).toBeLessThan(expected.jobs.length);
  }
  expect(parts.slice(0, 3)).toEqual([1_000, 1_000, 1_000]);
  expect(parts[3]).toBeLessThan(MANY / 100);
});

test(`a plan from what is remembered is the plan from everything, job by job (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const { rows } = await database.pool.query<{ id: string }>('select id from accounts order by id');
  const whole = planner(database, false);
  const remembering = planner(database, true);
  const lanes = new Set<string>();
  let nowMs = beginMs;
  for (let round = 0; round < 2 * changesOfSources; round += 1) {
    const ids = rows.filter(() => random() < 0.03).map(({ id }) => id);
    await changeSources(database.pool, round % changesOfSources, ids, nowMs);
    nowMs += Math.floor(random() < 0.8 ? random() * 120_000 : random() * 2 * DAY_MS);
    const expected = await whole(nowMs);
    const plan = await remembering(nowMs);
    expect(withoutLoads(plan), `round ${round}`).toEqual(withoutLoads(expected));
    for (const { job } of plan.jobs) lanes.add(job.split(' ')[0] ?? '');
    if (round > 0) expect(plan.loaded, `round ${round}`).toBeLessThan(ACCOUNTS / 5);
  }
  expect([...lanes].sort()).toEqual(['backfill', 'live', 'scrub', 'settle']);
});

test('the status says of lanes and coverage what the views say, of each source', async () => {
  // The time of the plans was ahead of the clock.
  await database.pool.query('update coverage set ranges = ranges * tstzmultirange(tstzrange(null, now()))');
  const { sources } = await readStatus(database.pool, { kinds: ['account'] });
  const { rows } = await database.pool.query<Record<string, unknown>>(
    `select source_id as id, failures, last_success_at as "lastSuccessAt", next_attempt_at as "nextAttemptAt", last_failure as "lastFailure",
       last_error as "lastError", open_walks as "openWalks", coalesce(string_to_array(failing_lanes, ','), '{}') as failing,
       (select max(upper(c.ranges)) is null from coverage c where c.source_kind = v.source_kind and c.source_id = v.source_id) as unread
     from sync_status v where account_state <> 'gone' order by source_id`,
  );
  const byId = sources.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const shown = byId.map((source) => ({
    id: source.id,
    failures: source.failures,
    lastSuccessAt: source.lastSuccessAt,
    nextAttemptAt: source.nextAttemptAt,
    lastFailure: source.lastFailure,
    lastError: source.lastError,
    openWalks: source.openWalks,
    failing: source.failingLanes.map(({ lane }) => lane).sort(),
    unread: source.futureSeconds === null,
  }));
  expect(shown).toEqual(rows);
  for (const key of ['failures', 'nextAttemptAt', 'lastError', 'openWalks', 'unread'] as const) {
    expect(new Set(rows.map((row) => String(row[key]))).size, key).toBeGreaterThan(1);
  }
});

const MANY = 3_000;
const ACCOUNTS = 600;
const DAY_MS = 86_400_000;
const DELAYS_MS = [600_000, DAY_MS, 7 * DAY_MS, 30 * DAY_MS];

const kinds = [
  {
    kind: 'account',
    filters: [],
    filterHash: 'none',
    horizonMs: (nowMs: number) => Math.floor(Math.max(firstEntryMs, nowMs - 200 * DAY_MS) / 1_000) * 1_000,
  },
];

type Planned = Parameters<NonNullable<SyncObserver['jobsPlanned']>>[0];

/** Plans as one process: with what it remembers, or with everything loaded again. */
const planner = ({ pool }: TestDatabase, remembers: boolean, nowOfLoading: () => number = () => 0) => {
  const windows = new WindowLimit({ nowMs: () => 0 });
  const kept = new RememberedSources();
  let loaded = 0;
  const store = createSyncStore(pool, {
    owner: 'host/1/test',
    leaseMs: 30_000,
    kinds,
    settleDelaysMs: DELAYS_MS,
    historyMs: 548 * DAY_MS,
    scope: { organizationIds: undefined, accounts: 'all' },
    accountIds: [],
    observer: { leaseTaken: () => {}, pageCommitSeconds: () => {} },
  });
  return async (nowMs: number) => {
    let planned: Planned | undefined;
    loaded = 0;
    const context = {
      store: {
        ...store,
        loadSourcesOf: (keys: readonly SourceKey[]) => {
          loaded += keys.length;
          return store.loadSourcesOf(keys);
        },
      },
      observer: {
        jobsPlanned: (event: Planned) => {
          planned = event;
        },
      },
      kinds,
      settleDelaysMs: DELAYS_MS,
      intervals: (sources: number) => laneIntervals(sources, 900),
      tickMs: 30_000,
      concurrency: 16,
      windows,
      time: { nowMs: nowOfLoading },
      scrub: { everyMs: 7 * DAY_MS, take: async (requests: number) => Math.min(7, requests) },
    } as unknown as SyncContext;
    const clock = { databaseMs: nowMs, atMs: 0 };
    const { sources, jobs } = await planJobs(
      context,
      { nowMs, clock },
      false,
      remembers ? kept : new RememberedSources(),
    );
    return {
      sources,
      jobs: jobs.map(({ lane, source, policy }) => ({ job: `${lane} ${source.id}`, policy })),
      due: planned?.due.map(keyOf),
      nearRetention: planned?.nearRetention.map(({ source, slackMs }) => `${source.id} ${slackMs}`),
      cutFrom: windows.cutFrom,
      loaded,
    };
  };
};

const withoutLoads = ({ loaded: _, ...plan }: Awaited<ReturnType<ReturnType<typeof planner>>>) => plan;
const liveOf = (jobs: readonly { readonly job: string }[]) => jobs.filter(({ job }) => job.startsWith('live '));

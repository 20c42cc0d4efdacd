import { describe, expect, test } from 'vitest';
import type { FaultName } from '../../../src/simulator/faults/fault-catalogue.ts';
import type { FaultPatch } from '../../../src/simulator/faults/fault-plan.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { openRunning, untilClean } from '../../support/sync/running-world.ts';
import {
  auditRequests,
  cycleUntilClean,
  openWorld,
  type SyncWorld,
  youngHistory,
} from '../../support/sync/sync-world.ts';

/** Of the first look's page, the oldest eleven come again with what is older: so all pages of that are full. */
const KNOWN_AGAIN = 11;

const cases: readonly (readonly [what: string, one: Case])[] = [
  [
    'equal timestamps across the edges of pages',
    { fault: 'equal_timestamps', setting: { equal_timestamps: 0.97, expired_cursor: 0.2 } },
  ],
  ['a cursor on the last page', { fault: 'last_page_cursor', setting: { last_page_cursor: 1 } }],
  ['empty pages with a cursor', { fault: 'empty_middle_page', setting: { empty_middle_page: 0.6 } }],
  [
    'a short page before a full last one that has no cursor',
    { fault: 'full_last_page', setting: { full_last_page: 1 }, options: { pageCap: 100, entries: 750 } },
  ],
  [
    'a full last page whose cursor answers 400, at the cap of 100',
    {
      fault: 'full_last_page_bad_cursor',
      setting: { full_last_page_bad_cursor: 1 },
      options: { pageCap: 100, entries: 3 * (500 - KNOWN_AGAIN) },
    },
  ],
  [
    'a full last page whose cursor answers 400, at another cap',
    {
      fault: 'full_last_page_bad_cursor',
      setting: { full_last_page_bad_cursor: 1 },
      options: { entries: 3 * (200 - KNOWN_AGAIN) },
    },
  ],
  [
    'a full last page of 1,000 whose cursor answers 400',
    {
      fault: 'full_last_page_bad_cursor',
      setting: { full_last_page_bad_cursor: 1 },
      options: { ...youngHistory, pageCap: 1_000, entries: 3_000 },
    },
  ],
  ['cursors that expire in the middle of a walk', { fault: 'expired_cursor', setting: { expired_cursor: 0.4 } }],
  [
    'full pages of 100 without a cursor in the middle of a walk (invariant 9)',
    { fault: 'full_page_no_cursor', setting: { full_page_no_cursor: 0.5 }, options: { pageCap: 100, entries: 2_400 } },
  ],
  [
    'full pages of 1,000 without a cursor in the middle of a walk (invariant 9)',
    {
      fault: 'full_page_no_cursor',
      setting: { full_page_no_cursor: 0.5 },
      options: { pageCap: 1_000, entries: 12_000 },
    },
  ],
  [
    'full pages without a cursor among equal timestamps',
    {
      fault: 'full_page_no_cursor',
      setting: { full_page_no_cursor: 0.5, equal_timestamps: 0.9 },
      options: { pageCap: 100, entries: 2_400 },
    },
  ],
  ['a cursor that repeats', { fault: 'repeated_cursor', setting: { repeated_cursor: { probability: 0.3, count: 3 } } }],
  [
    'pages that begin with the last entry of the one before',
    { fault: 'duplicate_entries', setting: { duplicate_entries: 0.5 } },
  ],
  ['pages out of order', { fault: 'shuffled_page', setting: { shuffled_page: 0.5 } }],
  [
    'pages out of order whose walk breaks off',
    { fault: 'shuffled_page', setting: { shuffled_page: 0.5, expired_cursor: { probability: 0.3, count: 6 } } },
  ],
];

describe.concurrent('faults of paging', () => {
  test.each(cases)('%s: ends with exactly the truth', async (_what, { fault, setting, options }) => {
    await using world = await openRunning({ ...options, faults: setting });
    await untilClean(world);
    expect(world.simulator.faults.fired()[fault]).toBeGreaterThan(0);
    const { stored } = await world.expectExactTruth();
    expect(stored).toBe(options?.entries ?? 600);
  });

  test.each([
    ['the cap of 100', { ...youngHistory, pageCap: 100, entries: 900 }],
    ['the limit of 1,000', { ...youngHistory, pageCap: 1_000, entries: 6_000 }],
  ])('logs that are exact multiples of %s end with a full page without a cursor', async (_what, options) => {
    await using world = await openRunning(options);
    expect(await world.cycle()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
    expect(await openWalks(world)).toBe(0);
  });

  test('a page cap of 100 whatever limit asks for', async () => {
    await using world = await openRunning({ ...youngHistory, pageCap: 100, entries: 750 });
    await world.cycle();
    const requests = auditRequests(world.simulator);
    expect(new Set(requests.map(({ query }) => query.get('limit')))).toEqual(new Set(['1000']));
    const first = requests.filter(({ beforeMs }) => beforeMs === requests[0]?.beforeMs);
    expect(first.length).toBeLessThanOrEqual(3 * 3);
    await world.expectExactTruth();
  });

  test('a cursor that repeats ends the walk: what it brought is stored, nothing of it is claimed, and half of its window is next (invariants 8 and 9)', async () => {
    await using world = await openWorld({
      ...youngHistory,
      organizations: 1,
      faults: { repeated_cursor: { count: 1 } },
    });
    const narrowed: { readonly reason: string; readonly fromMs: number; readonly toMs: number }[] = [];
    await using run = await world.open(
      {},
      { windowNarrowed: ({ reason, claim }) => void narrowed.push({ reason, ...claim }) },
    );
    const report = await run.cycle({ stopping: () => narrowed.length > 0 });
    expect(report).toMatchObject({ failed: [], finished: false });
    expect(narrowed).toMatchObject([{ reason: 'cursor_repeated' }]);
    const { stored, expected } = await world.compare();
    expect(stored).toBeGreaterThan(0);
    expect(stored).toBeLessThan(expected);
    const { fromMs = 0, toMs = 0 } = narrowed[0] ?? {};
    const { rows } = await world.database.pool.query(
      'select from coverage where ranges && tstzrange(to_timestamp($1), to_timestamp($2))',
      [fromMs / 1_000, toMs / 1_000],
    );
    expect(rows).toEqual([]);

    const asked = world.simulator.requestCount;
    expect(await run.cycle()).toMatchObject({ failed: [], finished: true });
    const again = auditRequests(world.simulator, asked)[0];
    expect(again?.cursor).toBeNull();
    expect((again?.sinceMs ?? 0) - fromMs, 'the newer half').toBeGreaterThan((toMs - fromMs) / 2 - 200_000);
    await world.expectExactTruth();
  });

  test('a page out of order whose cursor is refused twice is not taken for the end', async () => {
    await using world = await openRunning({
      organizations: 1,
      faults: { shuffled_page: { count: 1 }, expired_cursor: { count: 2 } },
    });
    await untilClean(world);
    expect(world.simulator.faults.fired()).toEqual({ shuffled_page: 1, expired_cursor: 2 });
    await world.expectExactTruth();
  });

  test('empty pages without end end the walk instead of going on indefinitely, and nothing is claimed (invariants 8 and 9)', async () => {
    await using world = await openWorld({ ...youngHistory, organizations: 1, faults: { empty_middle_page: 1 } });
    const narrowed: string[] = [];
    await using run = await world.open({}, { windowNarrowed: ({ reason }) => void narrowed.push(reason) });
    await run.cycle({ stopping: () => narrowed.length === 3 });
    expect(narrowed).toEqual(Array(3).fill('too_many_empty_pages'));
    const { rows } = await world.database.pool.query('select from coverage where not isempty(ranges)');
    expect(rows).toEqual([]);

    world.simulator.faults.set({ preset: 'none' });
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });
});

const openWalks = (world: SyncWorld): Promise<number> =>
  firstValue<number>(world.database.pool, "select count(state -> 'walk')::integer as walks from lanes");

interface Case {
  readonly fault: FaultName;
  readonly setting: FaultPatch;
  readonly options?: SimulatorOptions;
}

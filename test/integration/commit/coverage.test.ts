import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addRange, type Coverage, type Range } from '../../../src/ingest/planning/coverage.ts';
import { idleLane, type LaneState } from '../../../src/ingest/planning/lane.ts';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import type { Walk } from '../../../src/ingest/planning/walk.ts';
import { type Lane, lanes } from '../../../src/ingest/planning/walk.ts';
import { claimSource, recordFailure } from '../../../src/ingest/sync/store/leases.sql.ts';
import { loadSources, syncSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { committed } from '../../support/postgres/committed.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import {
  addSources,
  anyWalk,
  commit,
  FILTERS,
  HISTORY_MS,
  HORIZON,
  LEASE_MS,
  newSource,
  organizationKind,
  scopeOf,
  seconds,
  sourceOf,
  T0,
  walking,
} from '../../support/postgres/store-fixture.ts';

const SEED = 7;
const pool = poolOfTests();

describe('coverage', () => {
  test(`is what the domain's own arithmetic gives, to the millisecond (seed ${SEED})`, async () => {
    let source = 0;
    // The last moments of days, months and years.
    const starts = [T0, Date.UTC(2000, 0) - 1, Date.UTC(2024, 1, 29), Date.UTC(2026, 2, 29, 1), Date.UTC(2025, 0) - 2];
    const ranges = fc
      .tuple(fc.constantFrom(...starts), fc.nat({ max: 5_000 }), fc.integer({ min: 1, max: 400 }))
      .map(([start, from, length]): Range => ({ fromMs: start + from, toMs: start + from + length }));
    const passes = fc
      .tuple(
        fc.array(fc.array(ranges, { maxLength: 2 }), { maxLength: 2 }),
        fc.array(ranges, { minLength: 1, maxLength: 2 }),
      )
      .map(([before, last]) => [...before, last]);
    await fc.assert(
      fc.asyncProperty(fc.array(passes, { maxLength: 8 }), async (claims) => {
        source += 1;
        const id = `arithmetic ${source}`;
        const expected: Coverage[] = [];
        for (const claim of claims)
          for (const [pass, each] of claim.entries()) expected[pass] = each.reduce(addRange, expected[pass] ?? []);
        await claimAll(await newSource(pool, id), claims);
        expect((await load(id)).coverage).toEqual(expected);
      }),
      { seed: SEED, numRuns: 25 },
    );
  });

  test('the filter sets of a source are separate: coverage, lanes, rests and holes, whichever is in force (invariant 8)', async () => {
    const lease = await newSource(pool, 'filters');
    const claimed = await claimAll(lease, [[seconds(0, 10)]]);
    const hole = { range: range(20, 21), pass: 0, reason: 'server', message: 'no' };
    const open = await committed(pool, claimed, [], { state: walking(anyWalk('of the one')), holes: [hole] });
    const failed = { lane: 'settle', state: { ...idleLane, failures: 3 } } as const;
    const failure = { failure: 'server', message: 'no', backoffMs: 900_000 };
    await recordFailure(pool, open.lease, { ...failed, ...failure, filterHash: FILTERS });
    const expected = {
      coverage: [seconds(0, 10)],
      lanes: { live: { walk: { cursor: 'of the one' } }, settle: { failures: 3 } },
      restMs: { live: 0, settle: expect.toSatisfy((ms: number) => ms > 0) },
      holes: [{ range: range(20, 21), pass: 0, reason: 'server', due: false }],
    };
    expect(await load('filters')).toMatchObject(expected);
    const nothing = { coverage: [], lanes: {}, restMs: {}, holes: [] };
    expect(await load('filters', OTHER_FILTERS)).toMatchObject(nothing);

    // Which set the last listing was made with is for the views, and says nothing to a process.
    await syncSources(pool, organizationKind(OTHER_FILTERS, HORIZON), 0, HISTORY_MS);
    expect(await load('filters')).toMatchObject(expected);
    await claimAll(open.lease, [[seconds(5, 7), seconds(5, 6)]], OTHER_FILTERS);
    const others = await load('filters', OTHER_FILTERS);
    await pool.query("update sources set lease_until = null where id = 'filters'");
    const taken = await claimSource(pool, sourceOf('filters'), ME, LEASE_MS, OTHER_FILTERS);
    expect(taken?.source, 'by taking the lease').toEqual(others);
    expect(others).toMatchObject({ coverage: [seconds(5, 7), seconds(5, 6)], holes: [] });
    expect(others.lanes).toEqual({ live: idleLane });
    expect(await load('filters')).toMatchObject(expected);
  });

  test('a hole that grows takes in those that it reaches, keeps its attempts, and goes when its time has been read in parts', async () => {
    let lease = await newSource(pool, 'growing');
    const put = async (from: number, to: number, pass = 0): Promise<unknown> => {
      const holes = [{ range: range(from, to), pass, reason: 'count_differs', message: 'count differs' }];
      ({ lease } = await committed(pool, lease, [], { holes }));
      return stored();
    };
    const stored = async (): Promise<unknown> => {
      const { rows } = await pool.query(
        `select (extract(epoch from since) - $1)::integer as from, (extract(epoch from before) - $1)::integer as to, attempts,
           round(extract(epoch from next_attempt_at - clock_timestamp()) / 3600)::integer as hours
         from coverage_holes where source_id = 'growing' and pass = 0 order by since`,
        [range(0, 1).fromMs / 1_000],
      );
      return rows;
    };
    const due = () => pool.query("update coverage_holes set next_attempt_at = now() where source_id = 'growing'");
    expect(await put(10, 11)).toEqual([{ from: 10, to: 11, attempts: 1, hours: 1 }]);
    await put(10, 11, 1);
    await due();
    expect(await put(10, 11)).toEqual([{ from: 10, to: 11, attempts: 2, hours: 2 }]);
    // Later and earlier time, before it is due: that is no attempt.
    expect(await put(10, 13)).toEqual([{ from: 10, to: 13, attempts: 2, hours: 2 }]);
    expect(await put(7, 13)).toEqual([{ from: 7, to: 13, attempts: 2, hours: 2 }]);
    expect(await put(20, 21)).toHaveLength(2);
    expect(await put(7, 21)).toEqual([{ from: 7, to: 21, attempts: 2, hours: 1 }]);
    await due();
    expect(await put(7, 21)).toEqual([{ from: 7, to: 21, attempts: 3, hours: 4 }]);
    lease = await claimAll(lease, [[[range(14, 21)]]]);
    expect(await stored()).toHaveLength(1);
    lease = await claimAll(lease, [[[range(7, 14)]]]);
    expect(await stored()).toEqual([]);
    const { rows } = await pool.query("select pass from coverage_holes where source_id = 'growing'");
    expect(rows).toEqual([{ pass: 1 }]);
  });

  test('a hole is not due until its time has come, and goes when its time is claimed in its pass', async () => {
    const holesOf = async () => (await load('holes')).holes;
    const rows = async () =>
      (
        await pool.query(
          `select pass, attempts, reason, message, extract(epoch from next_attempt_at - last_attempt_at)::float8 / 3600 as hours
           from coverage_holes where source_id = 'holes' order by pass`,
        )
      ).rows;
    let lease = await newSource(pool, 'holes');
    const put = async (pass: number, reason = 'server') => {
      const holes = [{ range: range(5, 6), pass, reason, message: `${reason} in words` }];
      ({ lease } = await committed(pool, lease, [], { holes }));
    };
    await put(0);
    await put(1, 'cut');
    const first = { range: range(5, 6), pass: 0, reason: 'server', due: false };
    const second = { range: range(5, 6), pass: 1, reason: 'cut', due: false };
    expect(await holesOf()).toEqual([first, second]);
    const due = () =>
      pool.query(
        "update coverage_holes set next_attempt_at = clock_timestamp() where pass = 0 and source_id = 'holes'",
      );
    await due();
    expect(await holesOf()).toEqual([{ ...first, due: true }, second]);
    for (let attempt = 2; attempt <= 10; attempt += 1) {
      await due();
      await put(0, 'timeout');
    }
    expect(await rows()).toEqual([
      { pass: 0, attempts: 10, reason: 'timeout', message: 'timeout in words', hours: expect.closeTo(168, 3) },
      { pass: 1, attempts: 1, reason: 'cut', message: 'cut in words', hours: expect.closeTo(1, 3) },
    ]);

    lease = await claimAll(lease, [[seconds(0, 5.5)]]);
    expect(await holesOf(), 'half of it').toHaveLength(2);
    lease = await claimAll(lease, [[seconds(5, 6)]], OTHER_FILTERS);
    expect(await holesOf(), 'under other filters').toHaveLength(2);
    lease = await claimAll(lease, [[seconds(4, 7)]]);
    expect(await holesOf()).toEqual([second]);
    await claimAll(lease, [[[], seconds(5, 6)]]);
    expect(await rows()).toEqual([]);
  });
});

describe('loading sources', () => {
  const ms = fc.integer({ min: Date.UTC(2020), max: Date.UTC(2040) });
  const time = fc.option(ms, { nil: undefined });
  const windows = fc
    .tuple(ms, fc.integer({ min: 1, max: 40_000_000_000 }))
    .map(([fromMs, length]): Range => ({ fromMs, toMs: fromMs + length }));
  const cursor = fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3_000 }), { nil: undefined });
  const walks: fc.Arbitrary<Walk> = fc.record({
    lane: fc.constantFrom(...lanes),
    claim: windows,
    readAtMs: ms,
    cursor,
    savedCursor: cursor,
    lookbackMs: fc.nat({ max: 120_000 }),
    overlapMs: fc.constantFrom(1, 1_000),
    direction: fc.constantFrom('asc', 'desc'),
    pageLimit: fc.integer({ min: 1, max: 1_000 }),
    filters: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 2 }),
    pages: fc.nat(),
    emptyPages: fc.nat(),
    entries: fc.nat({ max: 2 ** 40 }),
    claimEntries: fc.nat(),
    lastPageEntries: fc.nat({ max: 1_000 }),
    oldestMs: time,
    newestMs: time,
    sentinel: fc.option(fc.record({ id: fc.string({ minLength: 1 }), timeMs: ms, hasCome: fc.boolean() }), {
      nil: undefined,
    }),
    repeats: fc.nat(),
    inside: fc.nat(),
    outside: fc.nat(),
    firstMs: time,
    lastMs: time,
    mostUpMs: fc.nat(),
    mostDownMs: fc.nat(),
    isPartial: fc.boolean(),
    namesError: fc.boolean(),
    failures: fc.nat({ max: 2 }),
    countedInAll: fc.option(fc.integer({ min: -1, max: 100_000 }), { nil: undefined }),
  });
  const states: fc.Arbitrary<LaneState> = fc.record({
    walk: fc.option(walks, { nil: undefined }),
    widthMs: time,
    trouble: fc.option(windows, { nil: undefined }),
    servedMs: fc.nat(),
    entriesPerDay: fc.option(fc.double({ noNaN: true, min: 0, max: 1e9 }), { nil: undefined }),
    entriesPerPage: fc.option(fc.nat({ max: 1_000 }), { nil: undefined }),
    pageLimit: fc.integer({ min: 16, max: 1_000 }),
    failures: fc.nat({ max: 100 }),
  });

  test(`the state of a lane comes back exactly as it was committed, by both ways (seed ${SEED})`, async () => {
    let lease = await newSource(pool, 'round trip');
    const expected: Partial<Record<Lane, LaneState>> = {};
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...lanes), states, async (lane, state) => {
        await committed(pool, lease, [], { lane, state });
        expected[lane] = state;
        expect((await load('round trip')).lanes).toEqual(expected);
        const claimed = await claimSource(pool, sourceOf('round trip'), ME, LEASE_MS, FILTERS);
        if (claimed === undefined) throw new Error('not given');
        expect(claimed.source.lanes).toEqual(expected);
        lease = claimed.lease;
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test('a page without a state leaves its lane as it is; one with a state ends its rest', async () => {
    const lease = await newSource(pool, 'left alone');
    const state = { ...walking(anyWalk('on')), failures: 2 };
    const failure = { failure: 'server', message: 'no', backoffMs: 900_000 };
    await recordFailure(pool, lease, { filterHash: FILTERS, lane: 'live', state, ...failure });
    const asked = await committed(pool, lease, [], { state: undefined });
    const resting = await load('left alone');
    expect(resting.lanes).toEqual({ live: state });
    expect(resting.restMs.live).toBeGreaterThan(0);
    await commit(pool, asked.lease, [], { state: { ...state, failures: 1 } });
    expect(await load('left alone')).toMatchObject({ lanes: { live: { failures: 1 } }, restMs: { live: 0 } });
  });

  test('sources of organizations that are gone are left out, and an allow-list leaves out the others', async () => {
    await addSources(pool, ['stays', 'goes', 'refused']);
    await pool.query("update organizations set state = 'gone' where id = 'goes'");
    await pool.query("update organizations set state = 'refused' where id = 'refused'");
    const all = await loadSources(pool, ME, organizationKind(), scopeOf());
    expect(all.map((source) => source.id)).toEqual(expect.arrayContaining(['stays', 'refused']));
    expect(all.map((source) => source.id)).not.toContain('goes');
    const listed = await loadSources(pool, ME, organizationKind(), scopeOf(['goes', 'refused']));
    expect(listed).toMatchObject([
      { kind: 'organization', id: 'refused', refused: true, restMs: {}, heldElsewhere: false },
    ]);
  });

  test('the source that was served longest ago comes first, one that never was before all', async () => {
    for (const id of ['served-2', 'served-1']) await commit(pool, await newSource(pool, id), []);
    await addSources(pool, ['never served']);
    const scope = scopeOf(['served-1', 'never served', 'served-2']);
    const order = (await loadSources(pool, ME, organizationKind(), scope)).map(({ id }) => id);
    expect(order).toEqual(['never served', 'served-2', 'served-1']);
  });

  test('sources are not rewritten for a horizon that moved by less than an hour', async () => {
    await addSources(pool, ['still']);
    const version = async () =>
      (await pool.query("select xmin::text, wanted_since from sources where id = 'still'")).rows[0];
    const before = await version();
    await syncSources(pool, organizationKind(FILTERS, HORIZON + 3_599_000), 0, HISTORY_MS);
    expect(await version()).toEqual(before);
    await syncSources(pool, organizationKind(FILTERS, HORIZON + 3_601_000), 0, HISTORY_MS);
    expect(await version()).toMatchObject({ wanted_since: new Date(HORIZON + 3_601_000) });
  });
});

const ME = 'host/1/test';
const OTHER_FILTERS = 'other-filters';

const load = async (id: string, filterHash = FILTERS) => {
  const [source] = await loadSources(pool, ME, organizationKind(filterHash), scopeOf([id]));
  if (source === undefined) throw new Error(`no source ${id}`);
  return source;
};

/** Commits empty pages that only claim, one after the other. */
const claimAll = async (first: Lease, all: readonly (readonly Coverage[])[], filterHash = FILTERS): Promise<Lease> => {
  let lease = first;
  for (const claims of all) ({ lease } = await committed(pool, lease, [], { claims, filterHash }));
  return lease;
};

const range = (from: number, to: number): Range => ({ fromMs: T0 + from * 1_000, toMs: T0 + to * 1_000 });

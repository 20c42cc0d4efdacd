import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addRange, type Coverage, type Range } from '../../../src/domain/coverage.ts';
import type { Lease } from '../../../src/domain/source.ts';
import { lanes, type Walk } from '../../../src/domain/walk.ts';
import { claimSource, loadSources, syncSources } from '../../../src/store/sources.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  addSources,
  anyWalk,
  commit,
  FILTERS,
  HORIZON,
  LEASE_MS,
  newSource,
  seconds,
  sourceOf,
  T0,
} from '../../support/store-fixture.ts';

const SEED = 7;
const ME = 'host/1/test';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await database?.close();
});

const load = async (id: string) => {
  const [source] = await loadSources(database.pool, ME, [id]);
  if (source === undefined) throw new Error(`no source ${id}`);
  return source;
};

/** Commits empty pages that only claim, one after the other. */
const claimAll = async (first: Lease, all: readonly (readonly Coverage[])[], filterHash = FILTERS): Promise<Lease> => {
  let lease = first;
  for (const claims of all) {
    const result = await commit(database.pool, lease, [], { claims, filterHash });
    if (result.kind !== 'committed') throw new Error('fenced');
    lease = result.lease;
  }
  return lease;
};

const range = (from: number, to: number): Range => ({ fromMs: T0 + from * 1_000, toMs: T0 + to * 1_000 });

describe('coverage', () => {
  test('claims are united, pass by pass', async () => {
    const lease = await newSource(database.pool, 'united');
    await claimAll(lease, [
      [seconds(10, 20)],
      [seconds(40, 50), seconds(40, 45)],
      [seconds(20, 30), [], seconds(1, 2)],
      [[range(0, 5), range(60, 70)], seconds(44, 50)],
      [],
      [[]],
    ]);
    expect((await load('united')).coverage).toEqual([
      [range(0, 5), range(10, 30), range(40, 50), range(60, 70)],
      [range(40, 50)],
      [range(1, 2)],
    ]);
  });

  test(`is what the domain's own arithmetic gives, to the millisecond (seed ${SEED})`, async () => {
    let source = 0;
    const ranges = fc
      .tuple(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 1, max: 400 }))
      .map(([from, length]): Range => ({ fromMs: T0 + from, toMs: T0 + from + length }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), ranges), { maxLength: 12 }),
        async (claims) => {
          source += 1;
          const id = `arithmetic ${source}`;
          const expected: Coverage[] = [];
          for (const [pass, claim] of claims) expected[pass] = addRange(expected[pass] ?? [], claim);
          const lease = await newSource(database.pool, id);
          await claimAll(
            lease,
            claims.map(([pass, claim]) => [...Array<Coverage>(pass).fill([]), [claim]]),
          );
          expect((await load(id)).coverage).toEqual(Array.from(expected, (pass) => pass ?? []));
        },
      ),
      { seed: SEED, numRuns: 25 },
    );
  });

  test('single milliseconds at the edges of days and months are kept exactly', async () => {
    const lease = await newSource(database.pool, 'edges');
    const edges = [
      Date.UTC(1999, 11, 31, 23, 59, 59, 999),
      Date.UTC(2024, 1, 29),
      Date.UTC(2026, 2, 29, 1, 0, 0, 1),
      Date.UTC(2038, 0, 19, 3, 14, 7, 999),
      1_764_000_000_123,
    ].sort((a, b) => a - b);
    const coverage = edges.map((fromMs): Range => ({ fromMs, toMs: fromMs + 1 }));
    await claimAll(lease, [[coverage]]);
    expect((await load('edges')).coverage).toEqual([coverage]);
  });

  test('what was read under other filters does not count, and counts again when they come back', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'filters');
    await claimAll(lease, [[seconds(0, 10)]]);
    const open = await commit(pool, { ...lease, commitSeq: lease.commitSeq + 1 }, [], {
      walk: anyWalk('under the old'),
    });
    if (open.kind !== 'committed') throw new Error('fenced');

    await syncSources(pool, 'other-filters', HORIZON);
    expect(await load('filters')).toMatchObject({ coverage: [], openWalks: [] });
    await claimAll(open.lease, [[seconds(5, 7), seconds(5, 6)]], 'other-filters');
    expect((await load('filters')).coverage).toEqual([seconds(5, 7), seconds(5, 6)]);

    await syncSources(pool, FILTERS, HORIZON);
    expect((await load('filters')).coverage).toEqual([seconds(0, 10)]);
  });

  test('the open walk of other filters comes back with them, unless a new one of its lane took its place', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'walks');
    const first = await commit(pool, lease, [], { walk: anyWalk('live') });
    if (first.kind !== 'committed') throw new Error('fenced');
    const second = await commit(pool, first.lease, [], { lane: 'settle', walk: anyWalk('settle', { lane: 'settle' }) });
    if (second.kind !== 'committed') throw new Error('fenced');
    await syncSources(pool, 'other-filters', HORIZON);
    expect((await load('walks')).openWalks).toEqual([]);
    await commit(pool, second.lease, [], { filterHash: 'other-filters', walk: anyWalk('live under others') });
    expect((await load('walks')).openWalks).toMatchObject([{ cursor: 'live under others' }]);
    await syncSources(pool, FILTERS, HORIZON);
    expect((await load('walks')).openWalks).toMatchObject([{ lane: 'settle', cursor: 'settle' }]);
  });
});

describe('loading sources', () => {
  const ms = fc.integer({ min: Date.UTC(2020), max: Date.UTC(2040) });
  const walks: fc.Arbitrary<Walk> = fc.record({
    lane: fc.constantFrom(...lanes),
    claim: fc
      .tuple(ms, fc.integer({ min: 1, max: 40_000_000_000 }))
      .map(([fromMs, length]) => ({ fromMs, toMs: fromMs + length })),
    startedAtMs: ms,
    cursor: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3_000 }), { nil: undefined }),
    pages: fc.nat(),
    emptyPages: fc.nat(),
    entries: fc.nat({ max: 2 ** 40 }),
    lastTimeMs: fc.option(ms, { nil: undefined }),
    inOrder: fc.boolean(),
    pageLimit: fc.integer({ min: 1, max: 1_000 }),
    stalls: fc.nat({ max: 3 }),
    stalledEntries: fc.nat({ max: 1_000 }),
    lookbackMs: fc.nat({ max: 120_000 }),
  });

  test(`an open walk comes back exactly as it was committed, by both ways (seed ${SEED})`, async () => {
    const { pool } = database;
    let lease = await newSource(pool, 'round trip');
    await fc.assert(
      fc.asyncProperty(walks, async (walk) => {
        const result = await commit(pool, lease, [], { lane: walk.lane, walk });
        if (result.kind !== 'committed') throw new Error('fenced');
        expect((await load('round trip')).openWalks.filter(({ lane }) => lane === walk.lane)).toEqual([walk]);
        const claimed = await claimSource(pool, sourceOf('round trip'), ME, LEASE_MS);
        if (claimed === undefined) throw new Error('not given');
        expect(claimed.source.openWalks.filter(({ lane }) => lane === walk.lane)).toEqual([walk]);
        lease = claimed.lease;
      }),
      { seed: SEED, numRuns: 60 },
    );
  });

  test('sources of organizations that are gone are left out, and an allow-list leaves out the others', async () => {
    const { pool } = database;
    await addSources(pool, ['stays', 'goes', 'refused']);
    await pool.query("update organizations set state = 'gone' where id = 'goes'");
    await pool.query("update organizations set state = 'refused' where id = 'refused'");
    const all = await loadSources(pool, ME, undefined);
    expect(all.map((source) => source.id)).toEqual(expect.arrayContaining(['stays', 'refused']));
    expect(all.map((source) => source.id)).not.toContain('goes');
    const listed = await loadSources(pool, ME, ['goes', 'refused']);
    expect(listed).toMatchObject([
      { kind: 'organization', id: 'refused', refused: true, restMs: 0, heldElsewhere: false },
    ]);
  });

  test('the source that was served longest ago comes first, one that never was before all', async () => {
    const { pool } = database;
    for (const id of ['served-2', 'served-1']) await commit(pool, await newSource(pool, id), []);
    await addSources(pool, ['never served']);
    const order = (await loadSources(pool, ME, ['served-1', 'never served', 'served-2'])).map((source) => source.id);
    expect(order).toEqual(['never served', 'served-2', 'served-1']);
  });

  test('sources are not rewritten for a horizon that moved by less than an hour', async () => {
    const { pool } = database;
    await addSources(pool, ['still']);
    const version = async () =>
      (await pool.query("select xmin::text, wanted_since from sources where id = 'still'")).rows[0];
    const before = await version();
    await syncSources(pool, FILTERS, HORIZON + 3_599_000);
    expect(await version()).toEqual(before);
    await syncSources(pool, FILTERS, HORIZON + 3_601_000);
    expect(await version()).toMatchObject({ wanted_since: new Date(HORIZON + 3_601_000) });
  });
});

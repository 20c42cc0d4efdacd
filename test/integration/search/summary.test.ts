import { beforeAll, describe, expect, test } from 'vitest';
import { withSpellings } from '../../../src/search/conditions/search-conditions.sql.ts';
import { readEntity } from '../../../src/search/entities.sql.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import { type CountLimits, countEvents, isInIndexes } from '../../../src/search/summary/count.sql.ts';
import { readAllFacets, readFacets } from '../../../src/search/summary/facets.sql.ts';
import { summarize } from '../../../src/search/summary/search-summary.sql.ts';
import type { FacetField, SummaryCount } from '../../../src/search/summary/summary.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const nowMs = T0 + 30 * DAY_MS;
const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const at = (ms: number) => new Date(ms).toISOString();
/** Of what Cloudflare may say, and nothing: each tenth is a failure, each tenth something else. */
const results = [
  ...['failure', 'pending', 'SUCCESS', ...Array(7).fill('success')],
  ...['Failure', '', ...Array(8).fill('success')],
  ...['failure', undefined, ...Array(8).fill('Success')],
];

const pool = poolOfTests();
beforeAll(async () => {
  const texts = Array.from({ length: TIMED }, (_, n) =>
    entryText(`e-${n}`, T0 + 2 * n * HOUR_MS, {
      action: {
        type: n % 3 === 0 ? 'Create' : 'create',
        result: results[n % results.length],
        time: at(T0 + 2 * n * HOUR_MS),
      },
      actor: n % 4 === 0 ? {} : { email: `user-${n % 7}@example.com`, ip_address: `192.0.2.${n % 5}` },
      resource: { id: `r-${n}`, type: 'zone', request: { posts: [{}], deletes: [{}] } },
      raw: { uri: n % 10 === 0 ? '/zones/z/dns_records/batch' : '/zones/z' },
    }),
  );
  await commit(pool, await newSource(pool, 'one'), texts);
  await commit(pool, await newSource(pool, 'two'), [
    '{"id":"timeless"}',
    entryText('ancient', Date.UTC(1990, 0, 1)),
    entryText('future', nowMs + 40 * DAY_MS),
  ]);
  await pool.query(
    "insert into organizations (id, name) values ('one', 'One Ltd.') on conflict (id) do update set name = excluded.name",
  );
});

describe('the count of a search', () => {
  test('has every event once, by result, and those without a right time beside the histogram', async () => {
    const all = await count({});
    expect(all).toMatchObject({ events: TIMED + 3, isAtLeast: false, countedSinceMs: null, untimed: 3 });
    expect(sumOf(all)).toEqual({ success: 192, failure: 24, other: 24 });
    expect(all.buckets.length).toBeLessThanOrEqual(72);
    for (const [index, { startMs }] of all.buckets.entries()) {
      expect(startMs - (all.buckets[0]?.startMs ?? 0)).toBe(index * all.bucketMs);
    }
  });

  test('of a time has buckets that fit it, also the empty ones', async () => {
    const day = await count({ since: at(T0 + DAY_MS), before: at(T0 + 2 * DAY_MS) });
    expect(day).toMatchObject({ events: 12, untimed: 0, bucketMs: HOUR_MS });
    expect(day.buckets).toHaveLength(24);
    expect(day.buckets.filter(({ success, failure, other }) => success + failure + other > 0)).toHaveLength(12);
    const nothing = await count({ since: at(T0 + 25 * DAY_MS), before: at(nowMs) });
    expect(nothing).toMatchObject({ events: 0, isAtLeast: false });
    expect(nothing.buckets.length).toBeGreaterThan(30);
  });

  test('of all history that is one afternoon has buckets of minutes, not one day', async () => {
    const few = await count({ resource: 'r-239' });
    expect(few.events).toBe(1);
    expect(few.buckets.length).toBeGreaterThan(10);
  });

  test('that takes too long has the newest events, says from when on, and each once', async () => {
    /** Time for some pieces, whatever the machine. */
    const clockOf = (looks: number) => {
      let asked = 0;
      return () => {
        asked += 1;
        return asked > looks ? 1_000_000 : 0;
      };
    };
    const whole = await count({}, inPieces, clockOf(1_000));
    expect(whole).toMatchObject({ events: TIMED + 3, isAtLeast: false });
    expect(sumOf(whole)).toEqual({ success: 192, failure: 24, other: 24 });
    let before = -1;
    for (const looks of [2, 3, 4, 5]) {
      const part = await count({ since: at(T0) }, inPieces, clockOf(looks));
      expect(part.isAtLeast, `${looks} looks`).toBe(true);
      const sinceMs = part.countedSinceMs ?? 0;
      const exact = await count({ since: at(sinceMs) });
      expect(part.events).toBe(exact.events);
      expect(part.events).toBeGreaterThanOrEqual(before);
      before = part.events;
    }
    expect(before).toBeGreaterThan(3);
  });

  test('of a time and of an organization is the same by indexes, by rows and in pieces', async () => {
    const searches: readonly Partial<EventQuery>[] = [
      {},
      { organization: 'one' },
      { organization: 'two' },
      { organization: 'nobody' },
      { since: at(T0 + DAY_MS), before: at(T0 + 8 * DAY_MS) },
      { organization: 'one', since: at(T0 + 4 * DAY_MS) },
      { organization: 'two', before: at(T0 + 14 * DAY_MS) },
    ];
    for (const some of searches) {
      const query = { ...everything, ...some };
      expect([isInIndexes(query), isInIndexes(byRows(query))]).toEqual([true, false]);
      const counted = await count(byRows(query));
      expect(await count(some), JSON.stringify(some)).toEqual(counted);
      expect(await count(some, inPieces), `${JSON.stringify(some)} in pieces`).toEqual(counted);
    }
  });

  test('of whatever else is searched for is by rows', () => {
    const others: readonly Partial<EventQuery>[] = [
      { account: 'a' },
      { zone: 'z' },
      { actor: { kind: 'any', value: 'mira' } },
      { action: 'create' },
      { result: 'failure' },
      { product: 'dns' },
      { resourceType: 'zone' },
      { resource: 'r' },
      { ray: 'r' },
      { text: 't' },
      { terms: [] },
      { untilPosition: 3 },
      { defects: true },
      { changed: true },
    ];
    for (const other of others) expect(isInIndexes({ ...everything, organization: 'one', ...other })).toBe(false);
  });
});

describe('the facets of a search', () => {
  const read = (query: Partial<EventQuery>, maxEvents = 1_000) =>
    readFacets(pool, { ...everything, ...query }, { maxEvents, timeoutMs: 600_000, valuesPerField: 3 }, nowMs);
  const of = async (field: FacetField, query: Partial<EventQuery> = {}) => {
    const found = await read(query);
    const facet = found?.facets.find((one) => one.field === field);
    if (facet === undefined) throw new Error(`no facet ${field}`);
    return facet;
  };

  test('have the most frequent values, how many there are, and how many events have none', async () => {
    const actor = await of('actor');
    expect(actor).toMatchObject({ distinct: 8, without: 61 });
    expect(actor.values).toHaveLength(3);
    expect((await of('action', { organization: 'one' })).values).toEqual([
      { value: 'create', name: null, events: TIMED },
    ]);
    expect((await of('organization', { organization: 'one' })).values).toEqual([
      { value: 'one', name: 'One Ltd.', events: TIMED },
    ]);
  });

  test.each<Partial<EventQuery>>([{}, { organization: 'one' }, { result: 'failure' }, { text: 'create' }])(
    'of all events, by two connections, are those of the newest if these are all: %j',
    async (query) => {
      const limits = { timeoutMs: 600_000, valuesPerField: 3 };
      const bar = { bucketMs: DAY_MS, nowMs };
      const all = (await readAllFacets(pool, { ...everything, ...query }, limits, bar))?.facets;
      expect(all?.looked).toBeGreaterThan(0);
      expect(all).toEqual(await read(query, 1_000_000));
    },
  );

  test.each<Partial<EventQuery>>([
    {},
    { organization: 'one' },
    { result: 'failure' },
    { text: 'create' },
    { text: 'create', since: at(T0 + DAY_MS), before: at(T0 + 9 * DAY_MS) },
    { terms: [{ field: 'action', isNegated: true, values: ['no such action'] }] },
    { terms: [{ field: 'action', isNegated: true, values: ['create'] }] },
    { actor: { kind: 'any', value: 'user-1@example.com' }, since: at(T0) },
    { text: 'nothing has this' },
  ])('an exact answer has the count, the bars and the values that are asked for alone: %j', async (some) => {
    const query = { ...everything, ...some };
    const exact = await summarize(pool, query, 'exact', nowMs);
    const spelled = await withSpellings(pool, query, 600_000);
    expect(exact.count).toEqual(await countEvents(pool, spelled, patient, nowMs));
    const limits = { timeoutMs: 600_000, valuesPerField: 100, maxEvents: 1_000_000 };
    expect(exact.facets).toEqual(await readFacets(pool, spelled, limits, nowMs));
  });

  test('of a value that is listed, a search for it finds as many', async () => {
    const found = await read({ organization: 'one' });
    for (const { field, values } of found?.facets ?? []) {
      for (const { value, events } of values) {
        const terms = [{ field, isNegated: false, values: [value] }];
        expect((await count({ organization: 'one', terms })).events, `${field}:${value}`).toBe(events);
      }
    }
  });

  test('are those of the newest events if there are too many, and say so', async () => {
    expect(await read({ organization: 'one' }, TIMED)).toMatchObject({ looked: TIMED, isSample: false });
    expect(await read({ organization: 'one' }, 10)).toMatchObject({ looked: 10, isSample: true });
  });
});

test.each([
  ['that has not begun', { since: at(nowMs + HOUR_MS) }, 1],
  ['that begins in two months', { since: at(nowMs + 60 * DAY_MS) }, 0],
  ['that ends before 1970', { before: '1960-01-01T00:00:00Z' }, 1],
] as const)('a search of a time %s has an answer', async (_of, time, events) => {
  const query = { ...everything, ...time };
  for (const depth of ['page', 'entity', 'exact'] as const) {
    expect(await summarize(pool, query, depth, nowMs), depth).toMatchObject({
      count: { events, isAtLeast: false },
      facets: { looked: events, isSample: false },
    });
  }
  expect(await readEntity(pool, query, nowMs)).toMatchObject({ isSample: false });
});

const patient: CountLimits = { firstMs: 600_000, totalMs: 600_000 };
const inPieces: CountLimits = { firstMs: 0, totalMs: 600_000 };

/** Of an event in each two hours of 20 days. */
const TIMED = 240;

const count = (query: Partial<EventQuery>, limits = patient, clockMs?: () => number): Promise<SummaryCount> =>
  countEvents(pool, { ...everything, ...query }, limits, nowMs, clockMs && { clockMs });

const sumOf = ({ buckets }: SummaryCount) => {
  const sum = { success: 0, failure: 0, other: 0 };
  for (const bucket of buckets) for (const name of ['success', 'failure', 'other'] as const) sum[name] += bucket[name];
  return sum;
};

/** The same search in a way that no index counts. */
const byRows = (query: EventQuery): EventQuery => ({
  ...query,
  terms: [{ field: 'action', isNegated: true, values: ['no such action'] }],
});

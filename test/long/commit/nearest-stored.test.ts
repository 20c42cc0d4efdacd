import { beforeAll, describe, expect, test } from 'vitest';
import { commitPage } from '../../../src/ingest/sync/commit/commit-page.sql.ts';
import { nearestStored } from '../../../src/ingest/sync/sync-store.sql.ts';
import { databaseOfTests, type TestDatabase } from '../../support/postgres/database.ts';
import { commitOf, entryText, FILTERS, newSource, pageOf, sourceOf, T0 } from '../../support/postgres/store-fixture.ts';
import { indexesIn, indexNames } from '../../support/search/history-questions.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const database = databaseOfTests();
const large = databaseOfTests();
beforeAll(() => makeLargeHistory(large.pool, { events: 20_000, organizations: 20, untilMs: UNTIL_MS }));

describe('the nearest stored entry', () => {
  test('is the first of a range, or the last one, of this source alone; none where there is none', async () => {
    const lease = await newSource(database.pool, 'near');
    const other = await newSource(database.pool, 'other');
    const entries = [1_000, 5_000, 9_000].map((ms) => entryText(`near-${ms}`, T0 + ms));
    await commitPage(database.pool, commitOf(lease, pageOf(entries)), 1_000_000);
    await commitPage(database.pool, commitOf(other, pageOf([entryText('other', T0 + 3_000)])), 1_000_000);
    expect(await ask('near', T0 + 1_001, T0 + 10_000)).toEqual({ id: 'near-5000', timeMs: T0 + 5_000 });
    expect(await ask('near', T0 + 1_000, T0 + 10_000)).toEqual({ id: 'near-1000', timeMs: T0 + 1_000 });
    expect(await ask('near', T0, T0 + 9_000, 'desc')).toEqual({ id: 'near-5000', timeMs: T0 + 5_000 });
    expect(await ask('near', T0 + 9_001, T0 + 20_000)).toBeUndefined();
  });

  test('is not told once another filter set has read the source: it may not match', async () => {
    const lease = await newSource(database.pool, 'filtered');
    const page = pageOf([entryText('filtered-1', T0 + 1_000)]);
    const claims = [[{ fromMs: T0, toMs: T0 + 2_000 }]];
    const own = await commitPage(database.pool, commitOf(lease, page, { claims }), 1_000_000);
    expect(await ask('filtered', T0, T0 + 9_000), 'its own coverage').toEqual({ id: 'filtered-1', timeMs: T0 + 1_000 });
    if (own.kind !== 'committed') throw new Error('fenced');
    await commitPage(database.pool, commitOf(own.lease, pageOf([]), { claims, filterHash: 'other' }), 1_000_000);
    expect(await ask('filtered', T0, T0 + 9_000)).toBeUndefined();
  });

  test.each(['asc', 'desc'] as const)('is found by an index (%s), however many events there are', async (direction) => {
    const { rows } = await large.pool.query<{ id: string }>('select organization_id as id from audit_events limit 1');
    const id = rows[0]?.id ?? '';
    const plans: string[] = [];
    const explaining = {
      query: async (sql: string, values: readonly unknown[]) => {
        const asked = { text: `explain ${sql}`, values: [...values], rowMode: 'array' as const };
        plans.push((await large.pool.query<[string]>(asked)).rows.join('\n'));
        return { rows: [] };
      },
    } as unknown as TestDatabase['pool'];
    const range = { fromMs: UNTIL_MS - 60 * 86_400_000, toMs: UNTIL_MS };
    await nearestStored(explaining, source(id), range, { direction, filterHash: FILTERS });
    const [plan = ''] = plans;
    expect(indexesIn(plan, await indexNames(large.pool)), plan).toEqual(['organization']);
    expect(plan).not.toContain('Seq Scan on audit_events');
    expect(plan, 'in order of time, without a sort').not.toContain('Sort');
  });
});

const UNTIL_MS = Date.parse('2026-11-01T00:00:00Z');
const source = (id: string) => ({ ...sourceOf(id), organizationId: id });

const ask = (id: string, fromMs: number, toMs: number, direction: 'asc' | 'desc' = 'asc') =>
  nearestStored(database.pool, source(id), { fromMs, toMs }, { direction, filterHash: FILTERS });

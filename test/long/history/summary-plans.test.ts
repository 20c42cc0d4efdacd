import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { marksStatement } from '../../../src/findings/event-marks.sql.ts';
import type { EventQuery } from '../../../src/search/conditions/event-query.ts';
import { conditionsOf } from '../../../src/search/conditions/search-conditions.sql.ts';
import { byIndexes } from '../../../src/search/summary/count-statement.ts';
import { facetsStatement } from '../../../src/search/summary/facets-statement.ts';
import { facetFields } from '../../../src/search/summary/summary.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const UNTIL = '2026-11-01T00:00:00Z';
const organization = createHash('md5').update('organization 2').digest('hex');
const all: EventQuery = { since: '2026-08-03T00:00:00Z', before: UNTIL, defects: false, changed: false };

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  const history = { events: 20_000, organizations: 20, untilMs: Date.parse(UNTIL), withAccounts: true };
  await makeLargeHistory(database.pool, history);
});
afterAll(async () => await database?.close());

test.each([
  ['all', all],
  ['an organization', { ...all, organization }],
])('a count of %s reads no row', async (_, query) => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const plan = await planOf(byIndexes('action_time', sql), values, 'analyze, costs off');
  const scans = plan.split('\n').filter((line) => /Scan .*on audit_events/.test(line));
  // Three months, each by three indexes.
  expect(scans, plan).toHaveLength(9);
  for (const scan of scans) expect(scan).toContain('Index Only Scan');
  expect(plan).not.toMatch(/Heap Fetches: [1-9]/);
});

test.each([
  ['the newest', 1_000],
  ['all', undefined],
])('values of %s are counted in memory, without sorting the rows for each field', async (_, maxEvents) => {
  const { text, values } = facetsStatement(all, { maxEvents, valuesPerField: 10, fields: facetFields });
  const plan = await planOf(text, values, 'costs on');
  expect(plan.match(/Hash Key: /g), plan).toHaveLength(facetFields.length);
  // 200 of each: what PostgreSQL expects of a column that it knows nothing of. With what it knows it sorts if there are many events.
  expect(plan).toMatch(new RegExp(`MixedAggregate .* rows=${200 * facetFields.length + 1} `));
});

test('marks of events are looked for in the months of the events, and no other is planned', async () => {
  const plan = await planOf(marksStatement, [[19_000], '2026-09-30T00:00:00Z', '2026-10-02T00:00:00Z'], 'costs off');
  expect(plan).not.toContain('Subplans Removed');
  // Not those of the subquery about copies.
  const months = [...plan.matchAll(/ on (audit_events_(?:\d{4}_\d\d|default)) e(?:_\d+)?$/gm)].map(
    ([, month]) => month,
  );
  expect([...new Set(months)].sort()).toEqual(['audit_events_2026_09', 'audit_events_2026_10']);
});

const planOf = async (text: string, values: readonly unknown[], options: string): Promise<string> => {
  const { rows } = await database.pool.query<{ 'QUERY PLAN': string }>(`explain (${options}) ${text}`, [...values]);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
};

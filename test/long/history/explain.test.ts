import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { conditionsOf } from '../../../src/search/conditions/search-conditions.sql.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import { byIndexes } from '../../../src/search/summary/count.sql.ts';
import { facetsStatement } from '../../../src/search/summary/facets.sql.ts';
import { facetFields } from '../../../src/search/summary/summary.ts';
import { marksStatement } from '../../../src/sinks/findings/list-findings.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { indexesIn, indexNames, questionsUntil } from '../../support/search/history-questions.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const UNTIL = '2026-11-01T00:00:00Z';
const database = databaseOfTests();
let names: ReadonlyMap<string, string>;
beforeAll(async () => {
  await makeLargeHistory(database.pool, { events: EVENTS, organizations: 60, untilMs: Date.parse(UNTIL) });
  names = await indexNames(database.pool);
});

const organization = createHash('md5').update('organization 2').digest('hex');
const all: EventQuery = { since: '2026-08-03T00:00:00Z', before: UNTIL, defects: false, changed: false };
/** In which events name accounts. */
const summarized = databaseOfTests();
const history = { events: 20_000, organizations: 20, untilMs: Date.parse(UNTIL), withAccounts: true };
beforeAll(() => makeLargeHistory(summarized.pool, history));

describe('the questions people ask', () => {
  // Where text is looked for and no search index is there, only the filters beside it are served.
  const served = questionsUntil(UNTIL).filter(({ indexes }) => !indexes.includes('text'));

  test.each(served.map((question) => [question.name, question] as const))(
    '%s: by an index, in its months only',
    async (_, question) => {
      const plan = await planOf(question.sql);
      const used = indexesIn(plan, names);
      expect(used.length, plan).toBeGreaterThan(0);
      for (const index of used) expect(question.indexes, plan).toContain(index);
      expect(plan).not.toContain('Seq Scan on audit_events');
      const months = new Set([...plan.matchAll(/ on audit_events_(\d{4}_\d{2}|default)/g)].map(([, month]) => month));
      expect(
        [...months].every((month) => ['2026_08', '2026_09', '2026_10'].includes(month ?? '')),
        plan,
      ).toBe(true);
    },
  );

  test('none fails, and nearly all have an answer in so small a history', async () => {
    const counts = [];
    for (const { sql } of served) counts.push((await database.pool.query(sql)).rowCount ?? 0);
    expect(counts.filter((count) => count > 0).length).toBeGreaterThanOrEqual(served.length - 3);
  });
});

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
  const { text, values } = facetsStatement(all, { maxEvents, valuesPerField: 10 });
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

/** Enough that the planner prefers an index where one helps, few enough to be made in some seconds. */
const EVENTS = 40_000;

const planOf = async (text: string, values: readonly unknown[] = [], options?: string): Promise<string> => {
  const [{ pool }, how] = options === undefined ? [database, ''] : [summarized, `(${options})`];
  const { rows } = await pool.query<{ 'QUERY PLAN': string }>(`explain ${how} ${text}`, [...values]);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
};

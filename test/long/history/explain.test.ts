import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { indexesIn, indexNames, questionsUntil } from '../../support/search/history-questions.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const UNTIL = '2026-11-01T00:00:00Z';

let database: TestDatabase;
let names: ReadonlyMap<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  await makeLargeHistory(database.pool, { events: EVENTS, organizations: 60, untilMs: Date.parse(UNTIL) });
  names = await indexNames(database.pool);
});
afterAll(async () => {
  await database?.close();
});

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

/** Enough that the planner prefers an index where one helps, few enough to be made in some seconds. */
const EVENTS = 40_000;

const planOf = async (sql: string): Promise<string> => {
  const { rows } = await database.pool.query<{ 'QUERY PLAN': string }>(`explain ${sql}`);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
};

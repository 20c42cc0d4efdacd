import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { sqlQueries } from '../../support/deploy/dashboards.ts';
import { readRules } from '../../support/deploy/prometheus-rules.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';

/** Each statement that operators are told to type, with where that is. */
const documented = (): readonly (readonly [where: string, statement: string])[] => {
  const directory = new URL('../../../docs/operations/', import.meta.url);
  const pages = readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), 'utf8')] as const);
  const rules = readRules().flatMap((rule) =>
    'alert' in rule ? [[rule.alert, rule.annotations.description] as const] : [],
  );
  return [...pages, ...rules].flatMap(([where, text]) => {
    const blocks = [...text.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, block = '']) => block);
    const inline = [...text.matchAll(/`((?:select|update) [^`]+)`/g)].map(([, statement = '']) => statement);
    return [...blocks, ...inline].map((statement) => [where, statement] as const);
  });
};

const database = databaseOfTests();

describe('SQL for operators', () => {
  test('is found in docs/operations and in the rules', () => expect(documented().length).toBeGreaterThan(8));

  test.each(documented())('%s: %s', async (_, statement) => {
    await database.pool.query(`begin; ${statement.replace(/;?\s*(--.*)?$/, '')}; rollback`);
  });

  test.each(sqlQueries({ organization: 'all', action: 'all', result: 'all' }).map(({ panel, text }) => [panel, text]))(
    'Grafana, %s',
    async (_, text) => {
      await database.pool.query(text);
    },
  );
});

import { readFileSync } from 'node:fs';

const page = readFileSync(new URL('../../../docs/logical-replication.md', import.meta.url), 'utf8');

/** The statements that docs/logical-replication.md gives under this heading. */
export const documented = (heading: string): string => {
  const block = new RegExp(`\`\`\`sql\\n *-- ${heading}\\n([^\`]*)\`\`\``).exec(page)?.[1];
  if (block === undefined) throw new Error(`docs/logical-replication.md has no SQL "${heading}"`);
  return block;
};

/** The documented subscription, to this database by way of this port. */
export const documentedSubscription = (port: number, database: string): string =>
  documented('at the subscriber: subscription').replace(
    /'host=[^']*'/,
    `'host=127.0.0.1 port=${port} dbname=${database} user=orgtrail_replication'`,
  );

/** A numbered query of a page: its heading and its SQL. */
export interface Recipe {
  readonly title: string;
  readonly sql: string;
}

/** The queries of a page, in order: each a heading `## N. …` and a block of SQL. */
export const documentedRecipes = (path: string): readonly Recipe[] =>
  readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const title = section.split('\n', 1)[0] ?? '';
      const sql = /```sql\n([^`]*)```/.exec(section)?.[1];
      if (sql === undefined) throw new Error(`${path}: "${title}" has no SQL`);
      return { title, sql };
    });

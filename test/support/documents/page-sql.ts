import { readFileSync } from 'node:fs';

/** The blocks of SQL of a page of the repository, in their order. */
const sqlBlocks = (path: string): readonly string[] => {
  const page = readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
  return [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, sql = '']) => sql);
};

/** The one block of SQL of a page that has these words. Throws if there is none, or another one. */
export const sqlBlock = (path: string, words: string): string => {
  const [block, ...more] = sqlBlocks(path).filter((sql) => sql.includes(words));
  if (block === undefined || more.length > 0) throw new Error(`${path} has not one block of SQL with "${words}"`);
  return block;
};

/** The statements of a block, without the comments that have a line of their own. */
export const statementsOf = (sql: string): readonly string[] =>
  sql
    .replaceAll(/^--.*$/gm, '')
    .split(';')
    .map((each) => each.trim())
    .filter((each) => each !== '');

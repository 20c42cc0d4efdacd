import { glob, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

test('docs/console.md names everything that the console can change, and whether it asks and is kept', async () => {
  const text = await readFile('docs/console.md', 'utf8');
  const section = /## What can be changed\n([\s\S]*?)\n## /.exec(text)?.[1] ?? '';
  const named = [...section.matchAll(/`(POST [^`]+)`/g)].map(([, route = '']) => route).sort();
  const routes = await postedRoutes();
  expect(routes.length).toBeGreaterThan(8);
  expect(named).toEqual(routes);
});

/** `POST /path` of each route of the console, from the code. */
const postedRoutes = async (): Promise<readonly string[]> => {
  const found: string[] = [];
  for await (const file of glob('src/http/console/**/*.ts')) {
    const code = await readFile(file, 'utf8');
    found.push(...[...code.matchAll(/\.post(?:<[^(]*>)?\(\s*'([^']+)'/g)].map(([, path]) => `POST ${path}`));
  }
  return found.sort();
};

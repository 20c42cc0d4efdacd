import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { leadTo } from '../../../docs/.vitepress/config.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

// The site of the docs, built as `npm run docs:build` does. The build itself fails at a link of the site that leads nowhere.
const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const { folder } = temporaryFolder();
const site = join(folder, 'site');

beforeAll(() => {
  const args = ['vitepress', 'build', 'docs', '--outDir', site];
  const { status, stderr } = spawnSync('npx', args, { cwd: checkout, encoding: 'utf8' });
  expect(status, stderr).toBe(0);
});

/** The pages that the links of a page lead to, as paths of files in the site. */
const linksOf = (page: string): readonly string[] =>
  [...readFileSync(join(site, page), 'utf8').matchAll(/<a [^>]*href="\/([^"#]*)/g)].map(([, path = '']) =>
    path === '' || path.endsWith('/') ? `${path}index.html` : `${path}.html`,
  );

test('every page is two clicks from the first one at most, and every link of the site leads to a page', () => {
  const pages = globSync('**/*.html', { cwd: site }).filter((page) => page !== '404.html');
  expect(pages.length).toBe(
    globSync(['*.md', 'docs/**/*.md', 'src/**/README.md'], { cwd: checkout, exclude: ['**/node_modules'] }).length,
  );
  const one = linksOf('index.html');
  const reached = new Set(['index.html', ...one, ...one.flatMap(linksOf)]);
  expect(pages.filter((page) => !reached.has(page))).toEqual([]);
  for (const page of reached) expect(pages).toContain(page);
});

test.each([
  ['disk full', 'operations/troubleshooting'],
  ['legal hold', 'retention'],
  ['OrgtrailSinkBehind', 'operations/alerts'],
])('its search finds %j on the page %s', async (question, page) => {
  const [index = ''] = globSync(join(site, 'assets/chunks/@localSearchIndexroot*.js'));
  const { default: stored } = await import(pathToFileURL(index).href);
  const MiniSearch = createRequire(import.meta.resolve('vitepress'))('minisearch');
  // As the search box of the theme asks.
  const search = MiniSearch.loadJSON(stored, {
    fields: ['title', 'titles', 'text'],
    storeFields: ['title', 'titles'],
    searchOptions: { fuzzy: 0.2, prefix: true, boost: { title: 4, text: 2, titles: 1 } },
  });
  const found = search.search(question).slice(0, 8) as readonly { readonly id: string }[];
  expect(found.map(({ id }) => id.replace(/^\/|#.*/g, ''))).toContain(page);
});

test('a link that leads nowhere fails the build; one to a file that is no page leads to the repository', () => {
  expect(() => leadTo('docs/feed.md', 'no-such-page.md')).toThrow(
    'docs/feed.md: the link no-such-page.md leads nowhere',
  );
  expect(leadTo('docs/feed.md', '../src/sinks/syslog/README.md#rsyslog')).toBe('/sinks/syslog/index.md#rsyslog');
  expect(leadTo('docs/feed.md', '../deploy/sigma')).toMatch(/^https:.*\/tree\/v[\d.]+\/deploy\/sigma$/);
});

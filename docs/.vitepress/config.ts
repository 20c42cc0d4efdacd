import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DefaultTheme, defineConfig, type MarkdownOptions } from 'vitepress';
import manifest from '../../package.json' with { type: 'json' };

// The site of the docs: the Markdown of this repository as it is. docs/README.md is its first page and its list of pages. What a link leads to
// outside of the pages is shown by the host of the repository; a link that leads nowhere fails the build.
const checkout = fileURLToPath(new URL('../..', import.meta.url));
const repository = manifest.homepage.replace(/#.*/, '');
const pages = globSync(['*.md', 'docs/**/*.md', 'src/**/README.md'], { cwd: checkout });
const isPage = new Set(pages);

/** Where a page is on the site: docs/feed.md is /feed, a README that of its folder, and what is in no folder /about. */
const placeOf = (page: string): string =>
  page.includes('/')
    ? page.replace(/^(docs|src)\//, '').replace(/README\.md$/, 'index.md')
    : `about/${page.toLowerCase()}`;

/** What a link of a page leads to on the site. */
export const leadTo = (page: string, link: string): string => {
  if (/^[a-z]+:|^#/.test(link)) return link;
  const [path = '', anchor] = link.split('#');
  const target = posix.join(posix.dirname(page), decodeURI(path)).replace(/\/$/, '');
  const readme = posix.join(target, 'README.md');
  const reached = isPage.has(target) ? target : isPage.has(readme) ? readme : undefined;
  const hash = anchor === undefined ? '' : `#${anchor}`;
  if (reached !== undefined) return `/${placeOf(reached)}${hash}`;
  if (!existsSync(`${checkout}/${target}`)) throw new Error(`${page}: the link ${link} leads nowhere`);
  const kind = statSync(`${checkout}/${target}`).isDirectory() ? 'tree' : 'blob';
  return `${repository}/${kind}/v${manifest.version}/${target}${hash}`;
};

const markdown: MarkdownOptions = {
  // The anchors are those that the host of the repository makes, which links are tested with (test/documents).
  anchor: {
    slugify: (heading) =>
      heading
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
  },
  config: (md) => {
    md.core.ruler.push('lead_to', ({ tokens, env }) => {
      const page = posix.relative(checkout, env.realPath ?? env.path);
      for (const link of tokens.flatMap(({ children }) => children ?? []).filter(({ type }) => type === 'link_open')) {
        link.attrSet('href', leadTo(page, link.attrGet('href') ?? ''));
      }
    });
  },
};

/** The rows of docs/README.md: what a reader does, and the pages for that, each once. */
const listOfPages = (): DefaultTheme.SidebarItem[] => {
  const seen = new Set<string>();
  return [...readFileSync(`${checkout}/docs/README.md`, 'utf8').matchAll(/^\| ([a-z][^|]+) \| (\[.*) \|$/gm)].map(
    ([, text = '', links = '']) => ({
      text: `${text[0]?.toUpperCase()}${text.slice(1)}`,
      collapsed: true,
      items: [...links.matchAll(/\[([^\]]+)\]\(([^)#]+)[^)]*\)/g)]
        .map(([, name = '', link = '']) => ({ text: name, link: leadTo('docs/README.md', link) }))
        .filter(({ link }) => link.startsWith('/') && !seen.has(link) && seen.add(link)),
    }),
  );
};

export default defineConfig({
  title: 'orgtrail',
  description: manifest.description,
  srcDir: '..',
  srcExclude: globSync('**/*.md', { cwd: checkout, exclude: ['**/node_modules'] }).filter((page) => !isPage.has(page)),
  rewrites: (page) => placeOf(page),
  // Where the site is, if that is not the root of its host.
  base: process.env['DOCS_BASE'] ?? '/',
  cleanUrls: true,
  ignoreDeadLinks: 'localhostLinks',
  lastUpdated: false,
  markdown,
  vite: { publicDir: false, build: { chunkSizeWarningLimit: 5000 } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: listOfPages(),
    nav: [
      {
        text: manifest.version,
        items: [
          { text: `${manifest.version} (this site)`, link: '/' },
          { text: 'What is new in it', link: '/about/changelog' },
          { text: 'Next version', link: `${repository}/tree/main/docs` },
          { text: 'Other versions', link: `${repository}/releases` },
        ],
      },
    ],
  },
});

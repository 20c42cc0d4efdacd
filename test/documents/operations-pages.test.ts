import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const directory = new URL('../../docs/operations/', import.meta.url);
const pages = readdirSync(directory);
const read = (url: URL): string => readFileSync(url, 'utf8');

describe.each(pages)('docs/operations/%s', (page) => {
  const text = read(new URL(page, directory));

  test('has only links that lead somewhere', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link = '']) => link);
    for (const link of links) {
      const [path = '', anchor] = link.split('#');
      const target = new URL(path === '' ? page : path, directory);
      expect(existsSync(target), link).toBe(true);
      if (anchor === undefined) continue;
      const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
      expect(anchors, link).toContain(anchor);
    }
  });

  test('names only commands of npm that there are', () => {
    const { scripts } = JSON.parse(read(new URL('../../package.json', import.meta.url)));
    for (const [, name = ''] of text.matchAll(/npm run ([\w:-]+)/g)) expect(Object.keys(scripts)).toContain(name);
  });

  test('is in the index', () => {
    if (page !== 'README.md') expect(read(new URL('README.md', directory))).toContain(`](${page})`);
  });
});

/** As the heading's anchor is made from it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

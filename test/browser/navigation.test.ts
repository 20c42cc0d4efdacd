import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectLooks, schemes } from '../support/console/page-looks.ts';

/** Every page that has no value in its address, with the entry of the menu and the page beside it that are marked there. */
const pages = [
  { path: '/', entry: 'Overview', beside: [] },
  { path: '/events', entry: 'Events', beside: ['Search'] },
  { path: '/events/news', entry: 'Events', beside: ['What is new'] },
  { path: '/searches', entry: 'Events', beside: ['Saved searches'] },
  { path: '/detections', entry: 'Detections', beside: [] },
  { path: '/evidence-log', entry: 'Evidence', beside: [] },
  { path: '/sinks', entry: 'Operation', beside: ['Sinks'] },
  { path: '/holds', entry: 'Operation', beside: ['Legal holds'] },
  { path: '/checks', entry: 'Operation', beside: ['Checks'] },
  { path: '/archive', entry: 'Operation', beside: ['Archive'] },
  { path: '/access-tokens', entry: 'Operation', beside: ['Tokens'] },
  { path: '/access-log', entry: 'Operation', beside: ['Access log'] },
] as const;

let console: ConsoleFixture;

beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 20 } });
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

test('menus alone lead from the overview to every page, and mark where one is, without a script', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  const marked = (name: string) =>
    page.getByRole('navigation', { name, exact: true }).locator('[aria-current=page]').allTextContents();
  const found = new Map<string, object>();
  const wanted = ['/'];
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (found.has(path)) continue;
    await page.goto(`${console.url}${path}`);
    const [entry] = await marked('Pages');
    const beside = [...(await marked('Searches')), ...(await marked('Operation'))];
    expect(await page.getByRole('heading', { level: 1 }).count(), path).toBe(1);
    found.set(path, { path, entry, beside });
    for (const link of await page.locator('nav.menu a').all()) wanted.push((await link.getAttribute('href')) ?? '');
  }
  const byPath = (a: { readonly path: string }, b: { readonly path: string }) => (a.path < b.path ? -1 : 1);
  expect([...found.values()].sort(byPath as never)).toEqual([...pages].sort(byPath));
  expectNoFaults(faults);
});

test('a search goes along to what is new and back, without its times', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/events?since=24h&result=failure`);
  const menu = page.getByRole('navigation', { name: 'Searches' });
  await menu.getByRole('link', { name: 'What is new' }).click();
  await page.waitForURL(`${console.url}/events/news?result=failure`);
  await menu.getByRole('link', { name: 'Search', exact: true }).click();
  await page.waitForURL(`${console.url}/events?result=failure`);
  expectNoFaults(faults);
});

test.each(schemes)('the menus fit every screen, and axe finds nothing: %s', (scheme) =>
  expectLooks(
    console,
    scheme,
    pages.map(({ path }) => path),
  ),
);

test('lets no page do what it may not', () => expectNoFaults(console.faults));

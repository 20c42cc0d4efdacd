import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { untilNoted } from '../support/accounts/access-log.ts';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;

beforeAll(async () => {
  console = await openExplorerConsole();
  page = console.page;
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const SEARCH = '/events?since=24h&result=success&q=-action%3Aview';
const address = (of = page): string => of.url().slice(console.url.length);

const save = async (path: string, name: string, of = page): Promise<void> => {
  await of.goto(`${console.url}${path}`);
  await of.getByText('Save this search').click();
  await of.getByLabel('Name', { exact: true }).fill(name);
  await of.getByRole('button', { name: 'Save', exact: true }).click();
  await of.waitForLoadState();
};

describe('saved searches', () => {
  test('a search is saved above its result, opened with its relative time, renamed and deleted, all in the trail', async () => {
    await save(SEARCH, 'Changes of today');
    expect(address()).toMatch(/^\/searches#search-\d+$/);
    const row = page.getByRole('row').filter({ hasText: 'Changes of today' });
    await row.getByText('since:24h result:success -action:view').waitFor();
    await row.getByRole('link', { name: 'Changes of today', exact: true }).click();
    await page.waitForURL(/\/events/);
    expect(address()).toBe(SEARCH);
    await page.getByRole('link', { name: 'Saved searches' }).click();
    await row.getByRole('link', { name: 'Rename or delete' }).click();
    await page.getByLabel('Name', { exact: true }).fill('Today, but views');
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByRole('link', { name: 'Rename or delete Today, but views' }).click();
    await page.getByText(/renamed by/).waitFor();
    // It asks.
    expect(await page.getByRole('button', { name: 'Delete this search' }).isVisible()).toBe(false);
    await page.getByText('Delete…').click();
    await page.getByRole('button', { name: 'Delete this search' }).click();
    await page.getByText('No search is saved.').waitFor();
    const { pool } = console.database;
    const noted = { kind: 'saved-search', outcome: 'ok', who: null, address: '127.0.0.1' };
    const search = SEARCH.slice('/events?'.length);
    const saved = await untilNoted(pool, { ...noted, route: 'POST /searches' });
    expect(saved.what).toEqual({ id: expect.any(Number), name: 'Changes of today', search });
    const { id } = saved.what as { id: number };
    const renamed = await untilNoted(pool, { ...noted, route: 'POST /searches/:id/rename' });
    expect(renamed.what).toEqual({ id, name: 'Today, but views', before: 'Changes of today' });
    const deleted = await untilNoted(pool, { ...noted, route: 'POST /searches/:id/delete' });
    expect(deleted.what).toEqual({ id, name: 'Today, but views', search });
  });

  test('works without a script', async () => {
    const { page: plain, faults } = await console.newPage({ javaScriptEnabled: false });
    await save('/events?result=failure', 'Plain', plain);
    await plain.getByRole('link', { name: 'Rename or delete Plain' }).click();
    await plain.getByText('Delete…').click();
    await plain.getByRole('button', { name: 'Delete this search' }).click();
    await plain.getByText('No search is saved.').waitFor();
    expectNoFaults(faults);
  });

  test.each([
    ['   ', 'The name must not be empty.'],
    ['safe\u202etxt.exe', 'The name must not have control characters, or others that are not seen.'],
    ['\u3164', 'The name must have a character that is seen.'],
    ['x'.repeat(101), 'The name must not be longer than 100 characters.'],
    ['FIRST', 'The name is the name of another saved search.'],
  ])('the name %j is refused beside its field, and the search is kept', async (name, words) => {
    if (name === 'FIRST') await save('/events?result=success', 'First');
    await save(SEARCH, name);
    await page.getByRole('alert').getByText(words).waitFor();
    await page.getByLabel('Name', { exact: true }).fill(`Mended ${words.length}`);
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('link', { name: `Mended ${words.length}`, exact: true }).click();
    await page.waitForURL(/\/events/);
    expect(address()).toBe(SEARCH);
  });

  test.each(['light', 'dark'] as const)(
    'hostile names and searches are text, and axe finds nothing, at 1280 and 360 pixels: %s',
    async (scheme) => {
      const name = `<img src=x onerror=alert(1)> "'${'long'.repeat(10)} ${scheme}`;
      await page.emulateMedia({ colorScheme: scheme });
      await save(`/events?text=${encodeURIComponent(`</p><script>alert(2)</script>${'y'.repeat(500)}`)}`, name);
      // Whatever an account of the database has put there.
      await console.database.pool.query("insert into saved_searches (name, search) values ($1, 'q=nosuch%3Ax')", [
        `turned \u202e ${scheme}`,
      ]);
      await page.reload();
      await page.getByText(`turned \\u202e ${scheme}`).first().waitFor();
      const list = address();
      for (const path of [list, await hrefOf(name), '/events?result=success#save-search']) {
        for (const width of [1280, 360]) {
          await page.setViewportSize({ width, height: 800 });
          await page.goto(`${console.url}${path}`);
          await page.evaluate('for (const details of document.querySelectorAll("details")) details.open = true');
          expect(await accessibilityFaults(page)).toEqual([]);
          expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(width);
          expect(await page.locator('main img, main script').count()).toBe(0);
        }
      }
      await page.setViewportSize({ width: 1280, height: 800 });
    },
  );

  test('no page did what it may not', () => expectNoFaults(console.faults));
});

/** Of the page that changes a saved search. */
const hrefOf = async (name: string): Promise<string> => {
  const link = page.getByRole('row').filter({ hasText: name }).getByRole('link', { name: 'Rename or delete' });
  return (await link.getAttribute('href')) ?? '';
};

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

const side = () => page.locator('aside.side');
/** Waits until the panel has the event of this row of the page, counted from 1. */
const shows = async (row: number, href = ''): Promise<void> => {
  await side().getByRole('status').getByText(`Event ${row} of`).waitFor();
  await side().locator(`[data-copy="${href}/original"]`).waitFor({ state: 'attached' });
};
const focused = () => page.evaluate<string | null>('document.activeElement.getAttribute("href")');
const path = (): string => new URL(page.url()).pathname;

describe('the event beside the list', () => {
  test('opens by Enter, follows j, k and the arrows, and closes by Esc with the focus on its row', async () => {
    await console.open('/events?limit=10');
    const rows = await console.rowIds();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await shows(1, rows[0]);
    await page.keyboard.press('j');
    await shows(2, rows[1]);
    await page.keyboard.press('ArrowDown');
    await shows(3, rows[2]);
    expect(await focused()).toBe(rows[2]);
    // Into the panel, from where the keys go on through the result.
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.className')).toBe('side');
    await page.keyboard.press('k');
    await shows(2, rows[1]);
    expect(path()).toBe('/events');
    await page.keyboard.press('Escape');
    expect(await side().count()).toBe(0);
    expect(await focused()).toBe(rows[1]);
  });

  test('opens by a click anywhere in a row but on its links, and leads over the end of the page and back', async () => {
    await console.open('/events?limit=10&before=now');
    const rows = await console.rowIds();
    // In a corner of the cell: in its middle there may stand a mark, which is a link.
    await page
      .locator('table.events tbody tr')
      .nth(9)
      .locator('.cell-result')
      .click({ position: { x: 2, y: 2 } });
    await shows(10, rows[9]);
    await side().getByRole('button', { name: 'Older' }).click();
    await page.waitForURL(/cursor=/);
    const next = await console.rowIds();
    await shows(1, next[0]);
    expect(next).not.toContain(rows[9]);
    await side().getByRole('button', { name: 'Newer' }).click();
    await shows(10, rows[9]);
  });

  test('is there again after Back from the event, with the focus on its row', async () => {
    await console.open('/events?limit=10');
    const rows = await console.rowIds();
    await page.locator('[data-row]').nth(4).click();
    await shows(5, rows[4]);
    await Promise.all([page.waitForEvent('load'), side().getByRole('link', { name: 'Open page' }).click()]);
    expect(path()).toBe(rows[4]);
    await Promise.all([page.waitForEvent('load'), page.goBack()]);
    await shows(5, rows[4]);
    expect(await focused()).toBe(rows[4]);
  });

  test('is the page of the event on a small screen and without a script; Back keeps the row', async () => {
    await page.setViewportSize({ width: 800, height: 800 });
    await console.open('/events?limit=10');
    const rows = await console.rowIds();
    await Promise.all([page.waitForEvent('load'), page.locator('[data-row]').nth(3).click()]);
    expect(path()).toBe(rows[3]);
    await Promise.all([page.waitForEvent('load'), page.goBack()]);
    expect([await focused(), await side().count()]).toEqual([rows[3], 0]);
    await page.setViewportSize({ width: 1280, height: 800 });
    const { page: plain } = await console.newPage({ javaScriptEnabled: false });
    await plain.goto(`${console.url}/events?limit=10`);
    await plain.locator('[data-row]').first().click();
    await plain.waitForURL(/\/events\/\d+$/);
  });

  test.each(['light', 'dark'] as const)('shows hostile text as text, and axe finds nothing: %s', async (scheme) => {
    await page.emulateMedia({ colorScheme: scheme });
    await console.open(`/events?limit=10`);
    await page.locator(`[data-row][href="/events/${await console.positionOf('hostile-entry')}"]`).click();
    await side().getByText('<img src=x onerror=alert(1)>').first().waitFor();
    expect(await side().locator('img, script, svg').count()).toBe(0);
    expect(await accessibilityFaults(page)).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1280);
    await page.keyboard.press('Escape');
  });

  test('no page did what it may not', () => expectNoFaults(console.faults));
});

test('around an event stand searches for a quarter of an hour each way', async () => {
  await console.open(`/events/${await console.positionOf('wanted-entry')}`);
  await page.getByRole('link', { name: 'same actor', exact: true }).click();
  await page.waitForURL(/since=/);
  const parameters = new URL(page.url()).searchParams;
  const ms = (name: string): number => Date.parse(parameters.get(name) ?? '');
  expect(ms('before') - ms('since')).toBe(30 * 60_000);
  expect(parameters.get('actor')).toBe('wanted@example.net');
  expect(await console.rowIds()).toContain(`/events/${await console.positionOf('wanted-entry')}`);
  await page.goBack();
  await page.getByRole('link', { name: 'same organization', exact: true }).click();
  await page.waitForURL(/organization=/);
  expect((await console.rowIds()).length).toBeGreaterThan(1);
});

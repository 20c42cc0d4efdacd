import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { schemes } from '../support/console/page-looks.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;

beforeAll(async () => {
  console = await openExplorerConsole();
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

test('a calendar writes times in UTC into the fields, which take all else as before', async () => {
  // A zone far from UTC, and times of pages in it: what is picked is UTC all the same.
  const { page, faults } = await console.newPage({ timezoneId: 'Asia/Tokyo' });
  await page.goto(`${console.url}/events?since=24h`);
  const from = page.getByLabel('From', { exact: true });
  expect(await from.inputValue(), 'how long ago is nothing for a calendar').toBe('');
  await from.fill('2026-01-31T08:05');
  expect(await page.getByRole('combobox', { name: 'Since' }).inputValue()).toBe('2026-01-31T08:05');
  await page.getByLabel('to', { exact: true }).fill('2026-02-01T00:00');
  await page.keyboard.press('Enter');
  await page.waitForURL(/before=/);
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({
    since: '2026-01-31T08:05:00Z',
    before: '2026-02-01T00:00:00Z',
  });
  expect([await from.inputValue(), await page.getByLabel('to', { exact: true }).inputValue()]).toEqual([
    '2026-01-31T08:05',
    '2026-02-01T00:00',
  ]);
  // An emptied calendar leaves what is written; the text form stays.
  await from.fill('');
  const since = page.getByRole('combobox', { name: 'Since' });
  expect(await since.inputValue()).toBe('2026-01-31T08:05:00Z');
  await since.fill('30d');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await page.waitForURL(/since=30d/);
  expectNoFaults(faults);
  await page.context().close();
});

test('times in another zone, and what is no time, leave the calendar empty', async () => {
  const { page } = await console.newPage();
  for (const [since, shown] of [
    ['2026-01-31', '2026-01-31T00:00'],
    ['2026-01-31T08:05:06.5Z', '2026-01-31T08:05'],
    ['2026-01-31T08:05:00+09:00', ''],
    ['yesterday', ''],
    ['2026-99-31', ''],
  ]) {
    await page.goto(`${console.url}/events?${new URLSearchParams({ since: since ?? '' })}`);
    await page.locator('[data-pick-times]:not([hidden])').waitFor();
    expect(await page.getByLabel('From', { exact: true }).inputValue(), since).toBe(shown);
  }
  await page.context().close();
});

test('without a script there is none', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/events`);
  expect(await page.locator('[data-pick-times]').isVisible()).toBe(false);
  await page.context().close();
});

test.each(schemes)('%s, 360 to 2560 px: nothing that axe finds, nothing wider than the screen', async (colorScheme) => {
  const { page, faults } = await console.newPage({ colorScheme });
  for (const width of [360, 768, 1280, 2560]) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto(`${console.url}/events?since=2026-01-31&before=now`);
    if (width === 360) await page.locator('#search-fold summary').click();
    await page.getByLabel('From', { exact: true }).waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth'), String(width)).toBe(width);
    expect(await accessibilityFaults(page), String(width)).toEqual([]);
  }
  expectNoFaults(faults);
  await page.context().close();
});

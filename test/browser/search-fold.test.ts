import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { schemes } from '../support/console/page-looks.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

const PHONE = { width: 360, height: 800 };
let console: ExplorerFixture;

beforeAll(async () => {
  console = await openExplorerConsole();
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const fold = (page: Page) => page.locator('#search-fold summary');
const form = (page: Page) => page.getByRole('search', { name: 'Events' });

test.each([true, false])(
  'on a phone the form is behind the number of its filters, opened by key; with a script: %s',
  async (javaScriptEnabled) => {
    const { page, faults } = await console.newPage({ javaScriptEnabled, viewport: PHONE });
    await page.goto(`${console.url}/events`);
    expect(await fold(page).textContent()).toBe('Filters');
    expect(await form(page).isVisible()).toBe(false);
    await page.goto(`${console.url}/events?actor=wanted@example.net&q=-action:view+status:4xx&since=24h`);
    expect(await fold(page).textContent()).toBe('Filters (4)');
    await fold(page).focus();
    await page.keyboard.press('Enter');
    await form(page).waitFor();
    // The next field is that of the form, and it sends what is written.
    await page.keyboard.press('Tab');
    await page.keyboard.insertText('needle');
    await page.keyboard.press('Enter');
    await page.waitForURL(/text=needle/);
    await page.getByText('1 event on this page').waitFor();
    expect(await fold(page).textContent()).toBe('Filters (5)');
    expect(await form(page).isVisible()).toBe(false);
    expectNoFaults(faults);
    await page.context().close();
  },
);

test('on a phone the form is open if something in it is wrong, and / opens it', async () => {
  const { page, faults } = await console.newPage({ viewport: PHONE });
  await page.goto(`${console.url}/events?before=yesterday`);
  await form(page).waitFor();
  expect(await page.evaluate('document.activeElement.id')).toBe('f-before');
  await page.goto(`${console.url}/events`);
  for (const key of ['/', 'Control+k']) {
    await page.keyboard.press(key);
    await form(page).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('f-text');
    await fold(page).click();
    await form(page).waitFor({ state: 'hidden' });
  }
  expectNoFaults(faults);
  await page.context().close();
});

test.each([800, 1280, 2560])('at %i px the form is there, and nothing to open', async (width) => {
  const { page } = await console.newPage({ javaScriptEnabled: false, viewport: { width, height: 800 } });
  await page.goto(`${console.url}/events?since=24h`);
  await form(page).waitFor();
  expect(await fold(page).isVisible()).toBe(false);
  await page.context().close();
});

test.each(schemes)(
  '%s, at 360 px, closed and open: nothing that axe finds, nothing wider than the screen',
  async (colorScheme) => {
    const { page, faults } = await console.newPage({ colorScheme, viewport: PHONE });
    for (const path of ['/events?since=24h&action=create', '/events?before=yesterday', '/events?ray=x']) {
      await page.goto(`${console.url}${path}`);
      for (const _ of ['as it comes', 'the other way']) {
        expect(await accessibilityFaults(page), path).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBe(360);
        await fold(page).click();
      }
    }
    expectNoFaults(faults);
    await page.context().close();
  },
);

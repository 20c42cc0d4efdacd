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

const schemes = ['light', 'dark'] as const;
/** What a page must escape wherever it shows it. */
const attack = `"><img src=x onerror=alert(1)>\u202e'$(id)`;
const inQuotes = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

describe('copying a search', () => {
  test('as curl, SQL or command, by the keyboard, exactly as it is shown', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await console.open(`/events?actor=wanted@example.net&q=${encodeURIComponent(`-agent:${inQuotes(attack)}`)}`);
    await page.locator('#copy-as summary').focus();
    await page.keyboard.press('Enter');
    for (const [n, name] of ['curl', 'SQL', 'Command'].entries()) {
      const text = await page.locator(`#copy-${n}`).textContent();
      await page.getByRole('button', { name: `Copy ${name}`, exact: true }).focus();
      await page.keyboard.press('Enter');
      await page.locator(`[data-copy-text=copy-${n}]`, { hasText: 'Copied' }).waitFor();
      expect(await page.evaluate('navigator.clipboard.readText()')).toBe(text);
      expect(text).toMatch([/^curl -sf .*actor=wanted%40example.net/, /^select /, /^orgtrail search /][n] as RegExp);
    }
    expect(await page.locator('#copy-as img').count()).toBe(0);
    await page.getByRole('button', { name: 'Copy SQL', exact: true }).waitFor();
  });

  test.each(schemes)('has no faults that axe finds: %s', async (scheme) => {
    await page.emulateMedia({ colorScheme: scheme });
    await console.open('/events?action=create');
    await page.locator('#copy-as summary').click();
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test('works without a script, and is no wider than a small screen', async () => {
    const { page: plain } = await console.newPage({ javaScriptEnabled: false, viewport: { width: 360, height: 800 } });
    await plain.goto(`${console.url}/events?text=needle`);
    await plain.locator('#copy-as summary').click();
    await plain.locator('#copy-2', { hasText: 'orgtrail search' }).waitFor();
    expect(await plain.getByRole('button', { name: 'Copy curl' }).count()).toBe(0);
    await page.setViewportSize({ width: 360, height: 800 });
    await console.open('/events?text=needle');
    await page.locator('#copy-as summary').click();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await page.setViewportSize({ width: 1280, height: 800 });
  });
});

test('no page did what it may not', () => expectNoFaults(console.faults));

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;

beforeAll(async () => {
  console = await openExplorerConsole();
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

describe('the list of keys', () => {
  test('opens by ? on every page, holds the keys, and gives the focus back', async () => {
    const { page } = console;
    for (const path of ['/', '/events', `/events/${await console.positionOf('wanted-entry')}`]) {
      await console.open(path);
      const button = page.getByRole('button', { name: 'Keys' });
      await button.focus();
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor();
      await page.keyboard.press('j');
      expect(await page.locator('dialog:focus-within').count()).toBe(1);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
      expect(await page.evaluate('document.activeElement.hasAttribute("data-keys")')).toBe(true);
    }
  });

  test('leaves what is typed, and the event beside the list, alone', async () => {
    const { page } = console;
    await console.open('/events');
    await page.keyboard.press('/');
    await page.keyboard.type('a?b');
    expect(await page.getByRole('searchbox', { name: 'Text' }).inputValue()).toBe('a?b');
    expect(await page.getByRole('dialog').count()).toBe(0);
    await page.locator('[data-row]').first().click();
    await page.locator('aside.side .event').waitFor();
    await page.keyboard.press('?');
    await page.getByRole('button', { name: 'Close', exact: true }).last().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(await page.locator('aside.side').count()).toBe(1);
  });

  test.each(['light', 'dark'] as const)('has no faults that axe finds, and fits a small screen: %s', async (scheme) => {
    const { page } = console;
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width: 360, height: 800 });
    await console.open('/events');
    await page.getByRole('button', { name: 'Keys' }).click();
    expect(await accessibilityFaults(page)).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  });

  test('is not there without a script', async () => {
    const { page: plain } = await console.newPage({ javaScriptEnabled: false });
    await plain.goto(`${console.url}/`);
    expect(await plain.getByRole('button', { name: 'Keys' }).count()).toBe(0);
  });

  test('lets no page do what it may not', () => expectNoFaults(console.faults));
});

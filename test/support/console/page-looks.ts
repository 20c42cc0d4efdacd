import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { accessibilityFaults, colourRules } from './accessibility.ts';
import { type ConsoleFixture, expectNoFaults } from './console-fixture.ts';

/** From a phone to a large screen. */
export const widths = [360, 768, 1280, 2560] as const;

/** Text that would run, lead away or read in another direction if a page took it for markup. */
export const hostileText = `</title><script>window.hacked=1</script><img src="https://evil.example/x" onerror="window.hacked=1">"'\u202egnp.exe`;

/** Times and addresses that do not stand in one line. */
export const brokenLines = `[...document.querySelectorAll('main time, main .address, main .cell-actor .narrow')]
  .filter((one) => new Set([...one.getClientRects()].map(({ bottom }) => Math.round(bottom / 4))).size > 1).map((one) => one.textContent)`;

/** For `expectLooks`: whatever can be opened is open. */
export const openDetails = (page: Page): Promise<unknown> =>
  page.evaluate('for (const details of document.querySelectorAll("details")) details.open = true');

/**
 * No page is wider than the screen, at any width, and none breaks a time or an address; axe finds nothing at the smallest and at an
 * ordinary one. Dark pages have other colours and nothing else: of them axe looks at those.
 */
export const expectLooks = async (
  console: ConsoleFixture,
  paths: readonly string[],
  prepare: (page: Page) => Promise<unknown> = async () => {},
): Promise<void> => {
  const { page, faults } = await console.newPage();
  for (const path of paths) {
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(`${console.url}${path}`);
    await prepare(page);
    for (const width of widths) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth'), `${path} at ${width}`).toBe(width);
      expect(await page.evaluate(brokenLines), `${path} at ${width}`).toEqual([]);
      if (width !== 360 && width !== 1280) continue;
      await page.emulateMedia({ colorScheme: 'light' });
      expect(await accessibilityFaults(page), `${path} at ${width}`).toEqual([]);
      await page.emulateMedia({ colorScheme: 'dark' });
      expect(await accessibilityFaults(page, colourRules), `${path} at ${width}, dark`).toEqual([]);
    }
  }
  expectNoFaults(faults);
  await page.context().close();
};

/** Nothing of a text is markup on this page, and no script of it ran. */
export const expectNoMarkup = async (page: Page): Promise<void> => {
  expect(await page.evaluate('window.hacked'), page.url()).toBeUndefined();
  expect(await page.locator('main img, main script').count(), page.url()).toBe(0);
};

/** Each page shows the hostile text, and nothing of it is markup. */
export const expectInert = async (console: ConsoleFixture, paths: readonly string[]): Promise<void> => {
  const { page, faults } = await console.newPage();
  for (const path of paths) {
    await page.goto(`${console.url}${path}`, { waitUntil: 'networkidle' });
    await page.getByText('window.hacked=1').first().waitFor();
    await expectNoMarkup(page);
  }
  expectNoFaults(faults);
  await page.context().close();
};

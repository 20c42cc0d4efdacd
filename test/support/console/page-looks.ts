import { expect } from 'vitest';
import { accessibilityFaults } from './accessibility.ts';
import { type ConsoleFixture, expectNoFaults } from './console-fixture.ts';

/** From a phone to a large screen. */
const widths = [360, 768, 1280, 2560] as const;
export const schemes = ['light', 'dark'] as const;

/** Text that would run, lead away or read in another direction if a page took it for markup. */
export const hostileText = `</title><script>window.hacked=1</script><img src="https://evil.example/x" onerror="window.hacked=1">"'\u202egnp.exe`;

/** Times and addresses that do not stand in one line. */
const brokenLines = `[...document.querySelectorAll('main time, main .address')]
  .filter((one) => new Set([...one.getClientRects()].map(({ bottom }) => Math.round(bottom / 4))).size > 1).map((one) => one.textContent)`;

/** No page is wider than the screen, at any width, and none breaks a time or an address; axe finds nothing at the smallest and at an ordinary one. */
export const expectLooks = async (
  console: ConsoleFixture,
  colorScheme: (typeof schemes)[number],
  paths: readonly string[],
): Promise<void> => {
  const { page, faults } = await console.newPage({ colorScheme });
  for (const path of paths) {
    await page.goto(`${console.url}${path}`);
    for (const width of widths) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth'), `${path} at ${width}`).toBe(width);
      expect(await page.evaluate(brokenLines), `${path} at ${width}`).toEqual([]);
      if (width === 360 || width === 1280) expect(await accessibilityFaults(page), `${path} at ${width}`).toEqual([]);
    }
  }
  expectNoFaults(faults);
  await page.context().close();
};

/** Each page shows the hostile text, and nothing of it is markup. */
export const expectInert = async (console: ConsoleFixture, paths: readonly string[]): Promise<void> => {
  const { page, faults } = await console.newPage();
  for (const path of paths) {
    await page.goto(`${console.url}${path}`, { waitUntil: 'networkidle' });
    await page.getByText('window.hacked=1').first().waitFor();
    expect(await page.evaluate('window.hacked'), path).toBeUndefined();
    expect(await page.evaluate('document.querySelectorAll("main img, main script").length'), path).toBe(0);
  }
  expectNoFaults(faults);
  await page.context().close();
};

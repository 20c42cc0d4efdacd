import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
/** In Newfoundland: half an hour, and a change of the clocks twice a year. */
let page: Page;
let pageFaults: ExplorerFixture['faults'];

const zone = 'America/St_Johns';

beforeAll(async () => {
  console = await openExplorerConsole();
  ({ page, faults: pageFaults } = await console.newPage({ timezoneId: zone }));
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const chooseLocal = async (): Promise<void> => {
  await page.goto(`${console.url}/events`);
  const local = page.getByRole('button', { name: 'local', exact: true });
  if ((await local.getAttribute('aria-pressed')) === 'true') return;
  await local.focus();
  await page.keyboard.press('Enter');
  await page.getByText(`all times are those of ${zone}`).waitFor();
};
/** As the database says it. */
const inZone = async (instant: string, name: string): Promise<string> => {
  const { rows } = await console.database.pool.query(
    `select to_char($1::timestamptz at time zone $2, 'YYYY-MM-DD HH24:MI:SS') as text`,
    [instant, name],
  );
  return rows[0].text;
};
/** Every time of the page: what it is, and what is shown. */
const shownTimes = (of: Page) =>
  of.evaluate<readonly (readonly [string, string])[]>(
    `[...document.querySelectorAll('main time')].map((time) => [time.dateTime, time.textContent])`,
  );
const paths = async (): Promise<readonly string[]> => [
  '/events?limit=20',
  `/events/${await console.positionOf('wanted-entry')}`,
  `/events/${await console.positionOf('wanted-entry')}/history`,
  '/actors/wanted@example.net',
  '/',
];

describe('times', () => {
  test('are UTC at first and without a script, and the page says so', async () => {
    const { page: plain } = await console.newPage({ javaScriptEnabled: false, timezoneId: zone });
    await plain.goto(`${console.url}/events`);
    await plain.locator('.foot noscript').waitFor();
    expect(await plain.getByRole('button', { name: 'local' }).count()).toBe(0);
    await plain.getByRole('columnheader', { name: 'Time (UTC)' }).waitFor();
    const response = await fetch(`${console.url}/events`);
    const [, instant = '', text] =
      /datetime="([^"]+)"[^>]*>([\d-]+) <span class="clock">/.exec(await response.text()) ?? [];
    expect(instant.slice(0, 10)).toBe(text);
  });

  test('are those of the browser if it chooses so, on every page, and stay so', async () => {
    await chooseLocal();
    await page.getByRole('columnheader', { name: 'Time (local time)' }).waitFor();
    for (const path of await paths()) {
      await page.goto(`${console.url}${path}`);
      const times = (await shownTimes(page)).filter(([, text]) => /^\d{4}-/.test(text));
      for (const [instant, text] of times.slice(0, 30)) {
        expect(text.slice(0, 19).replace('T', ' '), `${path}: ${instant}`).toBe(await inZone(instant, zone));
      }
      if (path !== '/') expect(times.length, path).toBeGreaterThan(0);
    }
    await page.goto(`${console.url}/events/${await console.positionOf('wanted-entry')}`);
    expect(await page.locator('.facts time').first().textContent()).toMatch(/^[\dT:.-]{19,}-0[23]:30$/);
    await page.goto(`${console.url}/events?since=24h`);
    const bar = page.locator('.histogram .bars a').first();
    const since = new URL((await bar.getAttribute('href')) ?? '', console.url).searchParams.get('since') ?? '';
    expect(await bar.getAttribute('aria-label')).toContain(`${await inZone(since, zone)} ${zone}: `);
    // Another browser goes on as it was.
    await console.open('/events');
    await console.page.getByText('all times are UTC').waitFor();
  });

  test('are UTC again by a click, on the same page', async () => {
    await chooseLocal();
    await page.goto(`${console.url}/events?action=create`);
    await page.getByRole('button', { name: 'UTC', exact: true }).click();
    await page.getByText('all times are UTC').waitFor();
    expect(new URL(page.url()).search).toBe('?action=create');
  });

  test.each(['Mars/Olympus', '"><img src=x onerror=alert(1)>', '', 'UTC\u0000', '../../etc/passwd', '%E2%80%AE'])(
    'are UTC for a zone that is none: %s',
    async (name) => {
      const response = await fetch(`${console.url}/console/times`, {
        method: 'POST',
        body: new URLSearchParams({ times: name, next: '/events' }),
        headers: { origin: console.url },
        redirect: 'manual',
      });
      expect([response.status, response.headers.getSetCookie()[0]?.split(';')[0]]).toEqual([303, 'orgtrail_times=UTC']);
      const shown = await fetch(`${console.url}/events`, {
        headers: { cookie: `orgtrail_times=${encodeURIComponent(name)}` },
      });
      expect(await shown.text()).toContain('all times are UTC');
    },
  );

  test('and addresses stand in one line, whatever the width', async () => {
    await chooseLocal();
    for (const width of [360, 768, 1280, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      for (const path of await paths()) {
        await page.goto(`${console.url}${path}`);
        const broken = await page.evaluate<readonly string[]>(
          `[...document.querySelectorAll('main time, main .address, main .cell-actor .narrow')]
            .filter((one) => new Set([...one.getClientRects()].map(({ bottom }) => Math.round(bottom / 4))).size > 1
              || one.getBoundingClientRect().height > 30).map((one) => one.textContent)`,
        );
        expect(broken, `${path} at ${width}`).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth'), `${path} at ${width}`).toBeLessThanOrEqual(
          width,
        );
      }
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test.each(['light', 'dark'] as const)('have no faults that axe finds: %s', async (scheme) => {
    await chooseLocal();
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto(`${console.url}/events`);
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test('bring no page to do what it may not', () => expectNoFaults(pageFaults));
});

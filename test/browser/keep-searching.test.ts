import type { Page, Request } from 'playwright-core';
import { afterAll, expect } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { test } from '../support/console/browser-test.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectNoMarkup, hostileText } from '../support/console/page-looks.ts';

let console: ConsoleFixture;

test.beforeAll(async ({ chromium }) => {
  console = await openConsole(chromium, {
    simulator: { entries: 100, historyMs: 80 * DAY_MS },
    env: { ORGTRAIL_HISTORY: '90d' },
  });
  // The oldest event, in a month that a search reaches only after those that are newer.
  await console.database.pool.query(
    `update audit_events set resource_type = 'needle', action_description = $1, raw = $2
     where position = (select position from audit_events order by action_time limit 1)`,
    [hostileText, JSON.stringify({ id: 'needle', action: { description: hostileText } })],
  );
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

/** Whatever asks about the month of the needle waits, and so a search comes no further than to it. Resolves with what ends that. */
const holdMonth = async (): Promise<() => Promise<void>> => {
  const client = await console.database.pool.connect();
  const { rows } = await client.query<{ month: string }>(
    "select tableoid::regclass::text as month from audit_events where resource_type = 'needle'",
  );
  await client.query(`begin; lock table ${rows[0]?.month} in access exclusive mode`);
  return async () => {
    await client.query('rollback');
    client.release();
  };
};

/** Requests for more of a search that are under way. */
const countRequests = (page: Page) => {
  const underWay = new Set<Request>();
  const counts = { most: 0 };
  page.on('request', (request) => {
    if (request.resourceType() === 'fetch' && request.url().includes('/events?')) underWay.add(request);
    counts.most = Math.max(counts.most, underWay.size);
  });
  page.on('requestfinished', (request) => underWay.delete(request));
  page.on('requestfailed', (request) => underWay.delete(request));
  return counts;
};

const search = (page: Page, line: string) =>
  page.goto(`${console.url}/events?${new URLSearchParams({ q: line, since: '89d' })}`);

test('a slow search goes on by itself, says how far it is, stops on request, and ends with what it found', async () => {
  const { page, faults } = await console.newPage();
  const requests = countRequests(page);
  const release = await holdMonth();
  try {
    await search(page, 'text:needle');
    const status = page.locator('[data-go-on] [role=status]');
    await page.getByRole('progressbar', { name: 'Part of the time that is searched' }).waitFor();
    // By the time of day, several answers come first, each nearer to the month that is held, each after seconds.
    await page.getByText('No answer in time; trying again.').waitFor();
    const share = Number(await page.locator('[data-go-on] progress').getAttribute('value'));
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(1);
    expect(await accessibilityFaults(page)).toEqual([]);
    // While an answer is on its way: it must not count beside those of the search that goes on.
    await page.waitForRequest(/\/events\?/);
    await page.getByRole('button', { name: 'Stop', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('Stopped.').waitFor();
    expect(await page.getByRole('link', { name: 'Keep searching' }).count()).toBe(1);
    await page.setViewportSize({ width: 360, height: 800 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await page.getByRole('button', { name: 'Go on', exact: true }).click();
    await release();
    await status.getByText(/to the end/).waitFor();
    expect(requests.most, 'requests at once').toBe(1);
    expect(await page.locator('[data-row]').count()).toBe(1);
    await page.getByText('1 event on this page').waitFor();
    await expectNoMarkup(page);
    expect(await page.getByRole('link', { name: 'Keep searching' }).count()).toBe(0);
  } finally {
    await release().catch(() => {});
  }
  expectNoFaults(faults);
});

test('without a script a click goes on', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  const release = await holdMonth();
  try {
    await search(page, 'text:needle');
    await page.getByText('nothing found back to').waitFor();
    expect(await page.getByRole('button', { name: 'Stop', exact: true }).count()).toBe(0);
  } finally {
    await release();
  }
  await page.getByRole('link', { name: 'Keep searching' }).click();
  await page.locator('[data-row]').waitFor();
});

const DAY_MS = 86_400_000;

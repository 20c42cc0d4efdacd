import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { hostileText } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';

const feedToken = 'feed-token-of-the-test';
const actor = hostileText;

let console: ConsoleFixture;

/** An actor whose name is hostile changed a token, among others who did. */
beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 200 }, env: { ORGTRAIL_FEED_TOKEN: feedToken } });
  const [organization] = console.simulator.summary().organizations;
  const token = {
    id: 'token',
    action: { type: 'create', result: 'success', description: 'Create API Token', time: new Date(Date.now() - 30_000) },
    actor: { id: 'x', email: actor },
    resource: { type: 'api_token', id: 'token-of-it', request: {} },
  };
  console.simulator.append(organization?.id ?? '', [JSON.stringify(token)]);
  await console.untilStored();
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

/** Signs in, and leads to the findings about tokens. */
const openFindings = async (page: Page): Promise<void> => {
  await page.goto(`${console.url}/detections?detection=api_token_changed`);
  await page.getByLabel('Token').fill(feedToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Detections', level: 1 }).waitFor();
};
const rowOf = (page: Page) =>
  page.getByRole('region', { name: 'Table of findings' }).locator('tbody tr').filter({ hasText: 'window.hacked' });

describe.each([true, false])('with scripts: %s', (javaScriptEnabled) => {
  test('findings of an actor are muted with a reason, shown on request, and unmuted; all of it is kept', async () => {
    const { page, faults } = await console.newPage({
      javaScriptEnabled,
      colorScheme: javaScriptEnabled ? 'light' : 'dark',
    });
    await openFindings(page);
    const before = await page.getByRole('heading', { name: /^\d+ findings?$/ }).textContent();
    await rowOf(page).getByRole('link', { name: 'Mute API token changed by this actor' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Mute API token changed', level: 1 }).waitFor();
    await page.getByLabel('Reason').fill(`rotation ${hostileText}`);
    if (javaScriptEnabled) expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Mute as ORGTRAIL_FEED_TOKEN' }).click();
    await page.getByRole('region', { name: 'Table of mutes' }).getByText('window.hacked').first().waitFor();
    await page.goto(`${console.url}/detections?detection=api_token_changed`);
    expect(await rowOf(page).count()).toBe(0);
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      if (!javaScriptEnabled) break;
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      expect(await accessibilityFaults(page)).toEqual([]);
      expect(await page.evaluate('window.hacked')).toBeUndefined();
    }

    await page.getByRole('link', { name: 'Show muted ones, too' }).click();
    await rowOf(page).getByText('(muted)').waitFor();
    expect(await page.getByRole('heading', { name: /^\d+ findings?$/ }).textContent()).toBe(before);

    await page.getByRole('link', { name: 'Unmute API token changed' }).click();
    if (javaScriptEnabled) expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Unmute as ORGTRAIL_FEED_TOKEN' }).click();
    await page.getByRole('heading', { name: 'Detections', level: 1 }).waitFor();
    expect(await page.getByRole('region', { name: 'Table of mutes' }).count()).toBe(0);
    await page.goto(`${console.url}/detections?detection=api_token_changed`);
    await rowOf(page).waitFor();
    const wanted = javaScriptEnabled ? 2 : 4;
    await until('both are in the trail of access, with the name', async () => {
      const { rows } = await console.database.pool.query<{ who: string }>(
        "select who from access_log where kind = 'mute'",
      );
      return rows.length === wanted && rows.every(({ who }) => who === 'ORGTRAIL_FEED_TOKEN');
    });
    expectNoFaults(faults);
  });
});

test('what lacks a reason, is muted already or may not be muted is refused', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await openFindings(page);
  const post = ({ detection = '', ...form }: Record<string, string>, origin = console.url) =>
    page.request.post(`${console.url}/detections/mute?detection=${detection}`, {
      form,
      headers: { origin },
      maxRedirects: 0,
    });
  const wanted = { detection: 'member_added', reason: 'new colleagues', days: '7' };
  for (const reason of ['  ', '\u200b', '\u0001']) expect((await post({ ...wanted, reason })).status()).toBe(400);
  expect((await post({ ...wanted, days: '8' })).status()).toBe(400);
  expect((await post({ ...wanted, detection: 'nosuch' })).status()).toBe(404);
  expect((await post({ ...wanted, detection: 'collector_token' })).status()).toBe(400);
  expect((await post(wanted, 'https://evil.example')).status()).toBe(403);
  expect((await post(wanted)).status()).toBe(303);
  const again = await post(wanted);
  expect([again.status(), await again.text()]).toEqual([400, expect.stringContaining('are muted already')]);
  const { rows } = await console.database.pool.query(
    'select count(*)::integer as n from detection_mutes where ended_at is null',
  );
  expect(rows[0].n).toBe(1);
});

test('where the console is open without a token, nothing is muted', async () => {
  await using open = await openConsole({ simulator: { entries: 20 } });
  const { page, url } = open;
  await page.goto(`${url}/detections/mute?detection=member_added`);
  await page.getByText('Who mutes must be signed in').waitFor();
  expect(await page.getByRole('button', { name: /^Mute/ }).count()).toBe(0);
  const form = { reason: 'r', days: '7' };
  const answer = await page.request.post(`${url}/detections/mute?detection=member_added`, {
    form,
    headers: { origin: url },
  });
  expect(answer.status()).toBe(403);
});

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

const attack = '<img src=x onerror=alert(1)>';
/** Something happens at Cloudflare now. */
const happens = (id: string, type: string, extra: object = {}): void => {
  const [organization] = console.simulator.summary().organizations;
  const action = { type, result: 'success', description: attack, time: new Date(Date.now() - 15_000).toISOString() };
  const actor = { id: 'live-user', email: `${id}@example.net`, ip_address: '192.0.2.77' };
  console.simulator.append(organization?.id ?? '', [JSON.stringify({ id, action, actor, ...extra })]);
};
const says = (text: string) => page.locator('.live-status').getByText(text, { exact: true }).waitFor();
const arrived = () => page.locator('tbody.arrived .cell-actor .narrow').allTextContents();
const start = () => page.getByRole('button', { name: 'Live', exact: true }).click();

describe('the live list', () => {
  test('shows new matches alone above the list, by a key, and rows that open beside it', async () => {
    await console.open('/events?q=-action:unwanted&limit=10');
    const before = await console.rowIds();
    await page.keyboard.press('l');
    await says('0 new · live');
    happens('not-this', 'unwanted');
    await console.untilStored();
    happens('first', 'live-one');
    await says('1 new · live');
    expect(await arrived()).toEqual(['first@example.net']);
    expect(await page.title()).toBe('(1) Events · orgtrail');
    happens('second', 'live-one');
    await says('2 new · live');
    expect(await arrived()).toEqual(['second@example.net', 'first@example.net']);
    expect((await console.rowIds()).slice(2)).toEqual(before);
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.locator('aside.side').getByText('second@example.net').first().waitFor();
    await page.keyboard.press('Escape');
  });

  test('is paused, goes on without missing anything, and outlasts a lost connection', async () => {
    await console.open('/events?limit=10');
    await start();
    happens('third', 'live-two');
    await says('1 new · live');
    await page.getByRole('button', { name: 'Pause' }).click();
    await says('1 new · paused');
    happens('while-paused', 'live-two');
    await console.untilStored();
    expect(await arrived()).toEqual(['third@example.net']);
    await page.getByRole('button', { name: 'Go on' }).click();
    await says('2 new · live');
    await page.context().setOffline(true);
    await says('2 new · connection lost, trying again');
    happens('while-offline', 'live-two');
    await console.untilStored();
    await page.context().setOffline(false);
    await says('3 new · live');
    expect(await arrived()).toEqual(['while-offline@example.net', 'while-paused@example.net', 'third@example.net']);
  });

  test('has what is stored between the making of the page and the first look', async () => {
    await console.open('/events?q=action:live-three');
    await page.getByText('No event matches.').waitFor();
    happens('early', 'live-three');
    await console.untilStored();
    await start();
    await says('1 new · live');
    await page.getByRole('columnheader', { name: 'Actor' }).waitFor();
    expect(await page.getByText('No event matches.').count()).toBe(0);
  });

  test('keeps the columns, and hostile text is text', async () => {
    await console.open('/events?columns=actor,agent&density=compact&limit=10');
    await start();
    happens('hostile-live', attack, { raw: { user_agent: '<script>alert(2)</script>', uri: 'javascript:alert(3)' } });
    await page.locator('tbody.arrived .extra-agent').getByText('<script>alert(2)</script>').waitFor();
    expect(await page.locator('tbody.arrived td:visible').count()).toBe(2);
    expect(await page.locator('main img, main script').count()).toBe(0);
    const link = await page.locator('tbody.arrived .extra-agent a').getAttribute('href');
    expect(link).toContain('columns=actor%2Cagent');
  });

  test('says where there is none', async () => {
    await console.open('/events?limit=10&before=2099-01-01');
    await page.getByText('There is no live list for a search that has an end').waitFor();
    await page.getByRole('link', { name: 'newest events of this search' }).click();
    await page.getByRole('button', { name: 'Live', exact: true }).waitFor();
    await console.open('/events?limit=10');
    await page.getByRole('link', { name: 'Older' }).click();
    await page.getByText('There is no live list on a page of older events').waitFor();
    const { page: plain } = await console.newPage({ javaScriptEnabled: false });
    await plain.goto(`${console.url}/events`);
    await plain.locator('.live-list noscript').waitFor();
    expect(await plain.getByRole('button', { name: 'Live' }).count()).toBe(0);
  });

  test('is served from a position on, and refuses what is none', async () => {
    const answer = async (query: string) => {
      const response = await fetch(`${console.url}/events/arrivals?${query}`);
      return [response.status, await response.text()] as const;
    };
    for (const query of ['', 'after=', 'after=-1', 'after=1e3', 'after=99999999999999999', 'after=1&columns=none']) {
      expect((await answer(query))[0], query).toBe(400);
    }
    const [status, text] = await answer('after=0&action=rotate');
    expect(status).toBe(200);
    expect(text.match(/data-row/g)).toHaveLength(1);
    expect(text).toContain('wanted@example.net');
    expect((await answer('after=999999999'))[1]).not.toContain('data-row');
  });

  test.each(['light', 'dark'] as const)('has no faults that axe finds, from 360 to 2560 px: %s', async (scheme) => {
    await page.emulateMedia({ colorScheme: scheme });
    expect((await console.open('/events?limit=10'))?.status()).toBe(200);
    await start();
    happens(`seen-${scheme}`, 'live-four');
    await says('1 new · live');
    expect(await accessibilityFaults(page)).toEqual([]);
    for (const width of [360, 768, 1280, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate('document.documentElement.scrollWidth'), `${width}`).toBeLessThanOrEqual(width);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test('lets no page do what it may not', () => expectNoFaults(console.faults));
});

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

/** Of two actors by turns, so that the neighbours in the feed are others than those in a search. */
const COUNT = 6;
const actors = ['stepper@example.net', 'other@example.net'] as const;
let console: ExplorerFixture;
let page: Page;

beforeAll(async () => {
  console = await openExplorerConsole();
  page = console.page;
  const [organization] = console.simulator.summary().organizations;
  const entries = Array.from({ length: COUNT }, (_, n) => ({
    id: `step-${n}`,
    // The later an entry is in the feed, the older it is.
    action: { type: 'step', result: 'success', time: new Date(Date.now() - (60 + n) * 1_000).toISOString() },
    actor: { email: actors[n % 2] },
    resource: { id: `step-${n}`, product: 'steps', type: 'step' },
  }));
  for (const entry of entries) {
    console.simulator.append(organization?.id ?? '', [JSON.stringify(entry)]);
    await console.untilStored();
  }
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const SEARCH = '/events?actor=stepper%40example.net&since=24h';
const path = (of: Page): string => new URL(of.url()).pathname;
const carrying = (search: string): string => `?${new URLSearchParams({ search })}`;
const of = async (n: number): Promise<string> => `/events/${await console.positionOf(`step-${n}`)}`;

describe('the page of an event that was opened from a result', () => {
  test.each([true, false])(
    'leads through that result, and back to it; with a script: %s',
    async (javaScriptEnabled) => {
      const options = { javaScriptEnabled, viewport: { width: 1_000, height: 800 } };
      const { page: other, faults } = await console.newPage(options);
      await other.goto(`${console.url}${SEARCH}`);
      await other.locator('[data-row]').first().click();
      await other.waitForURL(/\/events\/\d+\?search=/);
      expect(path(other)).toBe(await of(0));
      // The newest one has nothing newer.
      await other.getByText('Newest in this search').waitFor();
      for (const n of [2, 4]) {
        await other.getByRole('link', { name: 'Older in this search' }).click();
        await other.waitForURL(`**${await of(n)}?*`);
      }
      await other.getByText('Oldest in this search').waitFor();
      await other.getByRole('link', { name: 'Newer in this search' }).click();
      await other.waitForURL(`**${await of(2)}?*`);
      await other.getByRole('link', { name: 'Events of this search' }).click();
      expect(other.url()).toBe(`${console.url}${SEARCH.replace(/\?.*/, '?since=24h&actor=stepper%40example.net')}`);
      expectNoFaults(faults);
      await other.context().close();
    },
  );

  test('keeps the search with the whole original, and leads to what was stored before and after', async () => {
    const position = await console.positionOf('large-entry');
    await console.open(`/events/${position}${carrying('action=upload')}`);
    await page.getByRole('link', { name: 'Show all' }).first().click();
    await page.waitForURL('**whole=true**');
    expect(new URL(page.url()).searchParams.get('search')).toBe('action=upload');
    await page.getByText('Newest in this search').waitFor();
    await page.getByRole('link', { name: 'Next stored' }).click();
    await page.waitForURL(`**/events/${position + 1}`);
  });

  test('has the steps of the feed without a search, and beside the list', async () => {
    await console.open('/events');
    expect(await page.locator('[data-row][href*="?"]').count()).toBe(0);
    await console.open(await of(2));
    await page.getByRole('link', { name: 'Previous stored' }).waitFor();
    expect(await page.getByText('in this search').count()).toBe(0);
    // The panel has steps of its own: its event is read without looking for others.
    await console.open(SEARCH);
    await page.locator('[data-row]').first().click();
    const side = page.locator('aside.side');
    await side.getByRole('link', { name: 'Previous stored' }).waitFor();
    expect(await side.getByText('in this search').count()).toBe(0);
    await Promise.all([page.waitForEvent('load'), side.getByRole('link', { name: 'Open page' }).click()]);
    await page.getByRole('link', { name: 'Older in this search' }).waitFor();
  });

  test.each([
    ['acton=delete', 'acton'],
    ['since=yesterday', 'yesterday'],
    ['actor=a&actor=b', 'more than once'],
    ['organization=Nosuch', 'organization'],
    ['__proto__=1&%=%ff', '__proto__'],
    [`since=${hostileText}`, 'window.hacked=1'],
  ])(
    'says that a search cannot be read, and shows the event with its neighbours in the feed: %s',
    async (search, words) => {
      const answer = await console.open(`${await of(2)}${carrying(search)}`);
      expect(answer?.status()).toBe(200);
      await page.getByRole('status').filter({ hasText: 'The search of this link is left out' }).waitFor();
      expect(await page.locator('.steps-fault').textContent()).toContain(words);
      await page.getByRole('link', { name: 'Previous stored' }).waitFor();
      expect(await page.evaluate('window.hacked')).toBeUndefined();
      expect(await page.locator('main img, main script').count()).toBe(0);
    },
  );

  test('takes a foreign search, two searches, hostile values and values that PostgreSQL refuses', async () => {
    // The event itself is not of it: its neighbours in time are.
    await console.open(`${await of(3)}${carrying('actor=stepper@example.net')}`);
    await page.getByRole('link', { name: 'Newer in this search' }).click();
    await page.waitForURL(`**${await of(2)}?*`);
    for (const query of ['?search=a&search=b', carrying(`text=${hostileText}`), carrying('actor=ip:999.1.1.1/99')]) {
      expect((await console.open(`${await of(2)}${query}`))?.status(), query).toBe(200);
      await page.getByRole('heading', { level: 1 }).waitFor();
      expect(await page.locator('main img, main script').count()).toBe(0);
    }
    expect((await console.open(`/events/999999999${carrying('action=step')}`))?.status()).toBe(404);
    expectNoFaults(console.faults);
  });
});

test.each(schemes)('%s, 360 to 2560 px: nothing that axe finds, nothing wider than the screen', async (scheme) => {
  const long = `text=${'x'.repeat(300)}`;
  await expectLooks(console, scheme, [
    SEARCH,
    `${await of(2)}${carrying('action=step')}`,
    `${await of(2)}${carrying(long)}`,
    `${await of(2)}${carrying('since=yesterday')}`,
  ]);
});

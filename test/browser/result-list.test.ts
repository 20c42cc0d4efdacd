import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { test } from '../support/console/browser-test.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { expectLooks, expectNoMarkup, hostileText } from '../support/console/page-looks.ts';
import { anotherPage, type ExplorerFixture } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;
let organizationId: string;

test.beforeAll(async ({ explorer }) => {
  console = await anotherPage(explorer);
  page = console.page;
  organizationId = console.simulator.summary().organizations[0]?.id ?? '';
  const entries = Array.from({ length: STEPS }, (_, n) => ({
    id: `step-${n}`,
    // The later an entry is in the feed, the older it is.
    action: { type: 'step', result: 'success', time: new Date(Date.now() - (60 + n) * 1_000).toISOString() },
    actor: { email: actors[n % 2] },
    resource: { id: `step-${n}`, product: 'steps', type: 'step' },
  }));
  for (const entry of entries) {
    console.simulator.append(organizationId, [JSON.stringify(entry)]);
    await console.untilStored();
  }
});

const attack = '<img src=x onerror=alert(1)>';

/** Something happens at Cloudflare now. */
const happens = (id: string, type: string, extra: object = {}): void => {
  const action = { type, result: 'success', description: attack, time: new Date(Date.now() - 15_000).toISOString() };
  const actor = { id: 'live-user', email: `${id}@example.net`, ip_address: '192.0.2.77' };
  console.simulator.append(organizationId, [JSON.stringify({ id, action, actor, ...extra })]);
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
    await console.open('/events?columns=actor,agent&limit=10');
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
    await page.getByText('No live list for a search that has an end').waitFor();
    await page.getByRole('link', { name: 'newest events' }).click();
    await page.getByRole('button', { name: 'Live', exact: true }).waitFor();
    await console.open('/events?limit=10');
    await page.getByRole('link', { name: 'Older' }).click();
    await page.getByText('No live list on a page of older events').waitFor();
    const { page: plain } = await console.newPage({ javaScriptEnabled: false });
    await plain.goto(`${console.url}/events`);
    await plain.locator('.live-list noscript').waitFor();
    expect(await plain.getByRole('button', { name: 'Keys' }).count()).toBe(0);
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
});

const side = () => page.locator('aside.side');

/** Waits until the panel has the event of this row of the page, counted from 1. */
const shows = async (row: number, href = ''): Promise<void> => {
  await side().getByRole('status').getByText(`Event ${row} of`).waitFor();
  await side().locator(`[data-copy="${href}/original"]`).waitFor({ state: 'attached' });
};

const focused = () => page.evaluate<string | null>('document.activeElement.getAttribute("href")');
const path = (of = page): string => new URL(of.url()).pathname;

describe('the event beside the list', () => {
  test('opens by Enter, follows j, k and the arrows, and closes by Esc with the focus on its row', async () => {
    await console.open('/events?limit=10');
    const rows = await console.rowIds();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await shows(1, rows[0]);
    await page.keyboard.press('j');
    await shows(2, rows[1]);
    await page.keyboard.press('ArrowDown');
    await shows(3, rows[2]);
    expect(await focused()).toBe(rows[2]);
    // Into the panel, from where the keys go on through the result.
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.className')).toBe('side');
    await page.keyboard.press('k');
    await shows(2, rows[1]);
    expect(path()).toBe('/events');
    await page.keyboard.press('Escape');
    expect(await side().count()).toBe(0);
    expect(await focused()).toBe(rows[1]);
  });

  test('opens by a click anywhere in a row but on its links, and leads over the end of the page and back', async () => {
    await console.open('/events?limit=10&before=now');
    const rows = await console.rowIds();
    // In a corner of the cell: in its middle there may stand a mark, which is a link.
    await page
      .locator('table.events tbody tr')
      .nth(9)
      .locator('.cell-result')
      .click({ position: { x: 2, y: 2 } });
    await shows(10, rows[9]);
    await side().getByRole('button', { name: 'Older' }).click();
    await page.waitForURL(/cursor=/);
    const next = await console.rowIds();
    await shows(1, next[0]);
    expect(next).not.toContain(rows[9]);
    await side().getByRole('button', { name: 'Newer' }).click();
    await shows(10, rows[9]);
  });

  test('is there again after Back from the event, with the focus on its row', async () => {
    await console.open('/events?limit=10');
    const rows = await console.rowIds();
    await page.locator('[data-row]').nth(4).click();
    await shows(5, rows[4]);
    await Promise.all([page.waitForEvent('load'), side().getByRole('link', { name: 'Open page' }).click()]);
    expect(path()).toBe(rows[4]);
    await Promise.all([page.waitForEvent('load'), page.goBack()]);
    await shows(5, rows[4]);
    expect(await focused()).toBe(rows[4]);
  });

  test('is the page of the event on a small screen and without a script; Back keeps the row', async () => {
    await page.setViewportSize({ width: 800, height: 800 });
    await console.open('/events?limit=10');
    const rows = await console.rowIds();
    await Promise.all([page.waitForEvent('load'), page.locator('[data-row]').nth(3).click()]);
    expect(path()).toBe(rows[3]);
    await Promise.all([page.waitForEvent('load'), page.goBack()]);
    expect([await focused(), await side().count()]).toEqual([rows[3], 0]);
    await page.setViewportSize({ width: 1280, height: 800 });
    const { page: plain } = await console.newPage({ javaScriptEnabled: false });
    await plain.goto(`${console.url}/events?limit=10`);
    await plain.locator('[data-row]').first().click();
    await plain.waitForURL(/\/events\/\d+$/);
  });

  test('shows hostile text as text', async () => {
    await console.open(`/events?resource=${encodeURIComponent('../../etc')}`);
    await page.locator('[data-row]').click();
    await side().getByText('<img src=x onerror=alert(1)>').first().waitFor();
    expect(await side().locator('img, script, svg').count()).toBe(0);
    await page.keyboard.press('Escape');
  });
});

test('keys: / to the search, j and k through the rows', async () => {
  await console.open('/events');
  const rows = await console.rowIds();
  const focused = () => page.evaluate<string | null>('document.activeElement.getAttribute("href")');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('ArrowDown');
  expect(await focused()).toBe(rows[2]);
  await page.keyboard.press('k');
  expect(await focused()).toBe(rows[1]);
  await page.keyboard.press('/');
  expect(await page.evaluate('document.activeElement.name')).toBe('q');
  await page.keyboard.type('j/k');
  expect(await page.getByLabel('Query', { exact: true }).inputValue()).toBe('j/k');
});

describe('the list of keys', () => {
  test('opens by ? on every page, holds the keys, and gives the focus back', async () => {
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
    await console.open('/events');
    await page.keyboard.press('/');
    await page.keyboard.type('a?b');
    expect(await page.getByLabel('Query', { exact: true }).inputValue()).toBe('a?b');
    expect(await page.getByRole('dialog').count()).toBe(0);
    await page.locator('[data-row]').first().click();
    await page.locator('aside.side .event').waitFor();
    await page.keyboard.press('?');
    await page.getByRole('button', { name: 'Close', exact: true }).last().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    expect(await page.locator('aside.side').count()).toBe(1);
  });
});

const SEARCH = '/events?actor=stepper%40example.net&since=24h';
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

  test('says that a search cannot be read, and shows the event with its neighbours in the feed', async () => {
    for (const [search, words] of [
      ['acton=delete', 'acton'],
      ['since=lately', 'lately'],
      ['actor=a&actor=b', 'more than once'],
      ['organization=Nosuch', 'organization'],
      ['__proto__=1&%=%ff', '__proto__'],
      [`since=${hostileText}`, 'window.hacked=1'],
    ] as const) {
      expect((await console.open(`${await of(2)}${carrying(search)}`))?.status(), search).toBe(200);
      await page.getByRole('status').filter({ hasText: 'The search of this link is left out' }).waitFor();
      expect(await page.locator('.steps-fault').textContent()).toContain(words);
      await page.getByRole('link', { name: 'Previous stored' }).waitFor();
      await expectNoMarkup(page);
    }
  });

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
  });
});

test('nothing that axe finds, nothing wider than the screen: the live list, the panel, the keys, the steps', async () => {
  await expectLooks(console, ['/events?limit=10&q=action:live-four'], async (page) => {
    await page.getByRole('button', { name: 'Live', exact: true }).click();
    happens('seen', 'live-four');
    await page.locator('.live-status').getByText('1 new · live', { exact: true }).waitFor();
  });
  await expectLooks(console, [SEARCH], async (page) => {
    await page.locator('[data-row]').first().click();
    await page.locator('aside.side .event').waitFor();
  });
  await expectLooks(console, ['/events'], (page) => page.getByRole('button', { name: 'Keys' }).click());
  const event = await of(2);
  await expectLooks(console, [
    SEARCH,
    `${event}${carrying('action=step')}`,
    `${event}${carrying(`text=${'x'.repeat(300)}`)}`,
    `${event}${carrying('since=lately')}`,
  ]);
});

test('lets no page do what it may not', () => expectNoFaults(console.faults));

/** Of two actors by turns, so that the neighbours in the feed are others than those in a search. */
const actors = ['stepper@example.net', 'other@example.net'] as const;
const STEPS = 6;

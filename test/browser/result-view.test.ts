import type { Page } from 'playwright-core';
import { afterAll, describe, expect } from 'vitest';
import { untilNoted } from '../support/accounts/access-log.ts';
import { test } from '../support/console/browser-test.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { expectLooks, expectNoMarkup, openDetails } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';
import { anotherPage, type ExplorerFixture } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;

test.beforeAll(async ({ explorer }) => {
  console = await anotherPage(explorer);
  page = console.page;
});

const heads = (of: Page = page) => of.locator('table.events thead th:visible').allTextContents();
const parameters = (): URLSearchParams => new URL(page.url()).searchParams;

const everything =
  'organization,actor,action,resource,result,address,token,actor_type,context,zone,method,uri,status,agent,ray,received,position,id';

/** Opens the choice and takes some columns away and adds others, all without a script. */
const choose = async (of: Page, path: string, columns: readonly string[]): Promise<void> => {
  await of.goto(`${console.url}${path}`);
  await of.getByText('Columns and density').click();
  for (const name of columns) await of.locator('.view-choice').getByLabel(`Column ${name}`, { exact: true }).click();
};

const asUsual = async (): Promise<void> => {
  await choose(page, '/events', []);
  await page.getByRole('button', { name: 'As usual' }).click();
  await page.waitForURL((url) => !url.searchParams.has('columns') && !url.searchParams.has('density'));
};

describe('columns and density', () => {
  test('are chosen, stand in the address, and every link of the page and a new visit keep them', async () => {
    await choose(page, '/events?action=rotate', ['Organization', 'Resource', 'User agent', 'Ray id']);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.waitForURL(/columns=/);
    expect(await heads()).toEqual(['Time (UTC)', 'Actor', 'Action', 'Result', 'User agent', 'Ray id']);
    expect([parameters().get('action'), parameters().get('columns')]).toEqual([
      'rotate',
      'actor,action,result,agent,ray',
    ]);
    await page.getByRole('link', { name: 'ray-of-it', exact: true }).click();
    await page.waitForURL(/ray=ray-of-it/);
    expect(await heads()).toContain('Ray id');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.waitForLoadState();
    expect(parameters().get('columns')).toBe('actor,action,result,agent,ray');
    // From elsewhere, and in the address again.
    await console.open('/');
    await page.getByRole('link', { name: 'Events', exact: true }).click();
    await page.waitForURL(/columns=actor/);
    await asUsual();
    expect(await heads()).toEqual(['Time (UTC)', 'Organization', 'Actor', 'Action', 'Resource', 'Result']);
    await console.open('/events');
    expect(page.url()).toBe(`${console.url}/events`);
  });

  test('of a link are the same for another browser without a script, and stay when it goes on', async () => {
    const { page: other } = await console.newPage({ javaScriptEnabled: false });
    await other.goto(`${console.url}/events?columns=actor,method&density=comfortable&limit=10`);
    expect(await heads(other)).toEqual(['Time (UTC)', 'Actor', 'Method']);
    const first = other.url();
    await other.getByRole('link', { name: 'Older' }).click();
    await other.waitForURL((url) => url.href !== first);
    expect(await heads(other)).toEqual(['Time (UTC)', 'Actor', 'Method']);
    // It was not its own choice.
    await other.goto(`${console.url}/events`);
    expect(await heads(other)).toContain('Organization');
    await choose(other, '/events', ['Status']);
    await other.getByLabel('comfortable').check();
    await other.getByRole('button', { name: 'Show', exact: true }).click();
    await other.waitForURL(/density=comfortable/);
    await other.goto(`${console.url}/events?since=2d`);
    expect(await heads(other)).toContain('Status');
    expect(new URL(other.url()).search).toMatch(/^\?since=2d&columns=.*status&density=comfortable$/);
  });

  test('that are none are refused by name', async () => {
    const response = await console.open('/events?columns=actr&density=%3Cb%3E');
    expect(response?.status()).toBe(400);
    await page.getByText('“actr” is not a column; did you mean "actor"?').waitFor();
    const posted = await fetch(`${console.url}/console/result-view`, {
      method: 'POST',
      body: new URLSearchParams({ columns: '"><script>', next: '//elsewhere.example' }),
      headers: { origin: console.url },
      redirect: 'manual',
    });
    expect([posted.status, posted.headers.get('location')]).toEqual([303, '/']);
    const shown = await fetch(`${console.url}/events`, {
      headers: { cookie: 'orgtrail_result=columns%3D%22%3E%3Cb%3E' },
    });
    expect(shown.status).toBe(200);
  });

  test('compact rows are a line high, and rows with everything scroll in their box', async () => {
    const heights = () =>
      page.evaluate<number[]>(
        `[...document.querySelectorAll('table.events tbody tr')].map((row) => row.getBoundingClientRect().height)`,
      );
    await console.open('/events?limit=20');
    const compact = await heights();
    await console.open('/events?limit=20&density=comfortable');
    expect(Math.max(...compact)).toBeLessThan(34);
    expect(Math.max(...compact)).toBeLessThan(Math.min(...(await heights())));
    for (const width of [360, 768, 1280, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      for (const path of [`/events?columns=${everything}`, `/events?columns=${everything}&density=comfortable`]) {
        await console.open(path);
        const scrolled = await page.evaluate('document.documentElement.scrollWidth');
        expect(scrolled, `${path} at ${width}`).toBeLessThanOrEqual(width);
      }
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test('show hostile text as text, and axe finds nothing', async () => {
    for (const density of ['comfortable', 'compact']) {
      const path = `/events?columns=${everything}&density=${density}&action=rotate`;
      await console.open(path);
      await page.locator('.extra-agent').getByText('<img src=x onerror=alert(1)>').first().waitFor();
      await page.locator('.extra-uri').getByText('javascript:alert(3)').first().waitFor();
      expect(await page.locator('.scroll img, .scroll script, .scroll svg, a[href^="javascript"]').count()).toBe(0);
    }
    await expectLooks(
      console,
      ['comfortable', 'compact'].map((density) => `/events?columns=${everything}&density=${density}&limit=12`),
      (of) => of.getByText('Columns and density').click(),
    );
  });
});

describe('on paper', () => {
  afterAll(() => page.emulateMedia({ media: 'screen' }));

  const printed = async (path: string): Promise<void> => {
    await console.open(path);
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  };

  test('stand the query, whether that is all, and the events, and nothing that can only be clicked', async () => {
    await printed('/events?action=rotate&since=2020-01-01');
    const head = page.locator('.print-head');
    expect(await head.textContent()).toMatch(/since:2020-01-01T00:00:00Z action:rotate/);
    expect(await head.textContent()).toMatch(/Incomplete: the search begins earlier than what is collected\./);
    expect(await head.textContent()).toMatch(/1 event here, 1 match/);
    for (const gone of ['nav.menu', 'form.search', '.line', '.filters', '.result-pager a', '.foot', 'button']) {
      expect(await page.locator(gone).locator('visible=true').count(), gone).toBe(0);
    }
    expect(await page.locator('.print-line').textContent()).toMatch(/action:rotate · incomplete/i);
    expect(await page.locator('table.events time').isVisible()).toBe(true);
    expect(await page.evaluate('getComputedStyle(document.querySelector(".print-head")).color')).toBe(
      'rgb(24, 32, 43)',
    );
    await page.emulateMedia({ media: 'screen', colorScheme: 'light' });
    expect(await head.isVisible()).toBe(false);
  });

  test('an answer without a gap is called complete, and a part of the result a part', async () => {
    const { rows } = await console.database.pool.query('select count(*)::integer as stored from audit_events');
    // A gap is filled soon.
    await until('no time is missing', async () => {
      await printed('/events?limit=10');
      return /Complete up to .*: no time/.test((await page.locator('.print-head').textContent()) ?? '');
    });
    expect(await page.locator('.print-head').textContent()).toMatch(/all events/);
    expect(await page.locator('.print-head').textContent()).toMatch(/Complete up to .*: no time searched is missing\./);
    expect(await page.locator('.print-head').textContent()).toContain(
      `A part of the result: 10 events here, ${rows[0].stored} matches`,
    );
  });

  test('hostile text is text, also in the query, and everything can be printed', async () => {
    await console.open(
      `/events?limit=500&columns=${everything}&q=${encodeURIComponent('agent:"<img src=x onerror*"')}`,
    );
    const paper = await page.pdf({ format: 'A4', landscape: true });
    expect(paper.subarray(0, 5).toString()).toBe('%PDF-');
    await console.open(`/events?q=${encodeURIComponent('action:"<script>alert(9)</script>"')}`);
    expect(await page.locator('.print-head').innerHTML()).toContain('&lt;script&gt;alert(9)');
  });
});

const SEARCH = '/events?since=24h&result=success&q=-action%3Aview';
const address = (of = page): string => of.url().slice(console.url.length);

const save = async (path: string, name: string, of = page): Promise<void> => {
  await of.goto(`${console.url}${path}`);
  await of.getByText('Use result').click();
  await of.getByText('Save this search').click();
  await of.getByLabel('Name', { exact: true }).fill(name);
  await of.getByRole('button', { name: 'Save', exact: true }).click();
  await of.waitForLoadState();
};

describe('saved searches', () => {
  test('a search is saved above its result, opened with its relative time, renamed and deleted, all in the trail', async () => {
    await save(SEARCH, 'Changes of today');
    expect(address()).toMatch(/^\/searches#search-\d+$/);
    const row = page.getByRole('row').filter({ hasText: 'Changes of today' });
    await row.getByText('since:24h result:success -action:view').waitFor();
    await row.getByRole('link', { name: 'Changes of today', exact: true }).click();
    await page.waitForURL(/\/events/);
    expect(address()).toBe(SEARCH);
    await page.getByRole('link', { name: 'Saved searches' }).click();
    await row.getByRole('link', { name: 'Change Changes of today' }).click();
    await page.getByLabel('Name', { exact: true }).fill('Today, but views');
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByRole('link', { name: 'Change Today, but views' }).click();
    await page.getByText(/renamed without a token/).waitFor();
    // It asks.
    expect(await page.getByRole('button', { name: 'Delete this search' }).isVisible()).toBe(false);
    await page.getByText('Delete…').click();
    await page.getByRole('button', { name: 'Delete this search' }).click();
    await page.getByText('No search is saved.').waitFor();
    const { pool } = console.database;
    const noted = { kind: 'saved-search', outcome: 'ok', who: null, address: '127.0.0.1' };
    const search = SEARCH.slice('/events?'.length);
    const saved = await untilNoted(pool, { ...noted, route: 'POST /searches' });
    expect(saved.what).toEqual({ id: expect.any(Number), name: 'Changes of today', search });
    const { id } = saved.what as { id: number };
    const renamed = await untilNoted(pool, { ...noted, route: 'POST /searches/:id/rename' });
    expect(renamed.what).toEqual({ id, name: 'Today, but views', before: 'Changes of today' });
    const deleted = await untilNoted(pool, { ...noted, route: 'POST /searches/:id/delete' });
    expect(deleted.what).toEqual({ id, name: 'Today, but views', search });
  });

  test('works without a script', async () => {
    const { page: plain, faults } = await console.newPage({ javaScriptEnabled: false });
    await save('/events?result=failure', 'Plain', plain);
    await plain.getByRole('link', { name: 'Change Plain' }).click();
    await plain.getByText('Delete…').click();
    await plain.getByRole('button', { name: 'Delete this search' }).click();
    await plain.getByText('No search is saved.').waitFor();
    expectNoFaults(faults);
  });

  test('a name is refused beside its field, and the search is kept', async () => {
    await save('/events?result=success', 'First');
    for (const [name, words] of [
      ['   ', 'The name must not be empty.'],
      ['safe\u202etxt.exe', 'The name must not have control characters, or others that are not seen.'],
      ['\u3164', 'The name must have a character that is seen.'],
      ['x'.repeat(101), 'The name must not be longer than 100 characters.'],
      ['FIRST', 'The name is the name of another saved search.'],
    ] as const) {
      await save(SEARCH, name);
      await page.getByRole('alert').getByText(words).waitFor();
      const mended = `Mended ${words.length}`;
      await page.getByLabel('Name', { exact: true }).fill(mended);
      await page.getByRole('button', { name: 'Save', exact: true }).click();
      await page.getByRole('link', { name: mended, exact: true }).click();
      await page.waitForURL(/\/events/);
      expect(address(), name).toBe(SEARCH);
    }
  });

  test('hostile names and searches are text, and axe finds nothing', async () => {
    const name = `<img src=x onerror=alert(1)> "'${'long'.repeat(10)}`;
    await save(`/events?text=${encodeURIComponent(`</p><script>alert(2)</script>${'y'.repeat(500)}`)}`, name);
    // Whatever an account of the database has put there.
    await console.database.pool.query(
      "insert into saved_searches (name, search) values (E'turned \u202e', 'q=nosuch%3Ax')",
    );
    await page.reload();
    await page.getByText('turned \\u202e').first().waitFor();
    await expectNoMarkup(page);
    const change = await page
      .getByRole('row')
      .filter({ hasText: name })
      .getByRole('link', { name: 'Change' })
      .getAttribute('href');
    await expectLooks(console, ['/searches', change ?? '', '/events?result=success#save-search'], openDetails);
  });
});

test('lets no page do what it may not', () => expectNoFaults(console.faults));

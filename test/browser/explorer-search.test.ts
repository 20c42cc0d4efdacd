import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { until } from '../support/process/until.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;

beforeAll(async () => {
  console = await openExplorerConsole();
  page = console.page;
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

describe('searching', () => {
  const fields: readonly (readonly [label: string, value: string])[] = [
    ['Text', 'needle IN the'],
    ['Actor', 'wanted@example.net'],
    ['Actor', '192.0.2.250'],
    ['Actor', 'user-of-the-test'],
    ['Actor', 'token:token-of-it'],
    ['Action', 'rotate'],
    ['Product', 'vault'],
    ['Resource type', 'vault_key'],
    ['Resource id', 'resource-of-it'],
    ['Ray id', 'ray-of-it'],
  ];
  test.each(fields)('by %s: %s', async (label, value) => {
    await console.open('/events');
    await page.evaluate('document.querySelector("#more-filters").open = true');
    await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('1 event on this page').waitFor();
    expect(await console.rowIds()).toEqual([`/events/${await console.positionOf('wanted-entry')}`]);
    // The link has what was searched for and nothing else, and reproduces it.
    const link = page.url();
    expect([...new URL(link).searchParams.keys()].length).toBe(1);
    await page.goto(link);
    expect(await page.getByLabel(label, { exact: true }).inputValue()).toBe(value);
    expect(await console.rowIds()).toEqual([`/events/${await console.positionOf('wanted-entry')}`]);
  });

  test('by organization, time and flags together; the values of a row narrow the search', async () => {
    // A fixed time: of the last 24 hours an event may leave between the count and the page.
    const since = new Date(Date.now() - 86_400_000).toISOString();
    const { rows } = await console.database.pool.query(
      'select organization_id, count(*)::integer as matching from audit_events where action_time >= $1 group by 1 order by 2 desc limit 1',
      [since],
    );
    const { organization_id: id, matching } = rows[0];
    await console.open(`/events?since=${since}&organization=${id}&limit=500`);
    await page.getByText(`${matching} events on this page`).waitFor();
    const { rows: names } = await console.database.pool.query('select name from organizations where id = $1', [id]);
    await console.open('/events');
    await page.getByLabel('Organization', { exact: true }).fill(names[0].name.toLowerCase());
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    // The name stays, in the box and in the link.
    await page.getByText(/^The organization is collected$/).waitFor();
    expect(await page.getByLabel('Organization', { exact: true }).inputValue()).toBe(names[0].name.toLowerCase());
    expect(new URL(page.url()).searchParams.get('organization')).toBe(names[0].name.toLowerCase());
    const { rows: all } = await console.database.pool.query(
      'select count(*)::integer as stored from audit_events where organization_id = $1',
      [id],
    );
    await page.getByText(`${Math.min(50, all[0].stored)} events on this page`).waitFor();
    await console.open('/events?defects=true');
    expect(await console.rowIds()).toContain(`/events/${await console.positionOf('defective-entry')}`);
    await console.open('/events?text=needle');
    await page.locator('a.narrow', { hasText: 'wanted@example.net' }).click();
    const parameters = new URL(page.url()).searchParams;
    expect(parameters.get('actor')).toBe('wanted@example.net');
    expect(parameters.get('text')).toBe('needle');
  });

  test('a fault stands at its field, and what was written stays', async () => {
    await console.open('/events?since=yesterday&actor=unknown-actor');
    await page.getByText('is not a time').waitFor();
    expect(await page.getByLabel('Since').inputValue()).toBe('yesterday');
    expect(await page.evaluate('document.activeElement.name'), 'what is to be mended has the focus').toBe('since');
    expect(await page.getByRole('textbox', { name: 'Actor' }).inputValue()).toBe('unknown-actor');
    expect(await page.locator('table.events').count()).toBe(0);
    const heights = await page.evaluate<number[]>(
      '[...document.querySelectorAll(".search-main input")].map((input) => input.getBoundingClientRect().height)',
    );
    expect(new Set(heights).size, `all fields are as tall: ${heights}`).toBe(1);
    expect(await accessibilityFaults(page)).toEqual([]);
    expect((await console.open('/events?cursor=nonsense'))?.status()).toBe(400);
    expect((await console.open('/events/999999'))?.status()).toBe(404);
    expect((await console.open('/events/nonsense'))?.status()).toBe(404);
  });

  test('nothing found says whether the time has been read', async () => {
    await console.open('/events?since=24h&actor=wanted@example.net&action=update');
    await page.getByText('No event matches.').waitFor();
    await page.getByText('All of the time searched is collected, and every value searched for occurs').waitFor();
    await page.getByText('Each of these filters alone has events; no event meets all of them.').waitFor();
    await console.open('/events?since=24h&action=rotaet');
    await page.getByText('No event that is in PostgreSQL has action “rotaet”, of any time.').waitFor();
    expect(await page.getByText('every value searched for occurs').count()).toBe(0);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('link', { name: 'rotate', exact: true }).click();
    await page.getByText('1 event on this page').waitFor();
    expect(new URL(page.url()).searchParams.get('action')).toBe('rotate');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the result');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.closest("#result") !== null')).toBe(true);
    // A gap is filled soon; the page of that moment is what counts.
    await until('the page tells of time that is not collected', async () => {
      await console.database.pool.query(
        `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '5 hours', now() - interval '4 hours'))
         where pass = 0 and source_id = (select min(id) from sources)`,
      );
      await console.open('/events?since=24h&action=rotate&result=success');
      return (await page.getByText(/^Not collected: 1h( \d+m| \d+s)? of this time$/).count()) === 1;
    });
    await page.getByText('Part of the time searched has not been collected.').waitFor();
  });

  test('an organization that is not known is a fault at its field, with links to those that are near', async () => {
    const { rows } = await console.database.pool.query('select name from organizations order by name limit 1');
    const near = rows[0].name.slice(0, -1);
    const response = await console.open(`/events?organization=${encodeURIComponent(near)}`);
    expect(response?.status()).toBe(400);
    await page.getByText(`Organization "${near}" is not known; did you mean`).waitFor();
    expect(await page.locator('table.events').count()).toBe(0);
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('link', { name: rows[0].name, exact: true }).click();
    await page.locator('table.events').waitFor();
    expect((await console.open('/events?acton=delete'))?.status()).toBe(400);
    await page.getByText('unknown parameter "acton"; did you mean "action"?').waitFor();
    expect(await page.locator('table.events').count()).toBe(0);
  });
});

test('pages there and back show every event once', async () => {
  await console.open('/events?limit=40&before=now');
  const first = await console.rowIds();
  const seen = [...first];
  const older = page.getByRole('link', { name: 'Older →' });
  const pages = [first];
  while ((await older.count()) === 1) {
    await Promise.all([page.waitForEvent('load'), older.click()]);
    pages.push(await console.rowIds());
    seen.push(...(pages.at(-1) ?? []));
  }
  const { rows } = await console.database.pool.query(
    'select position::integer from audit_events order by action_time desc, position desc',
  );
  expect(seen).toEqual(rows.map(({ position }) => `/events/${position}`));
  for (const expected of pages.slice(0, -1).reverse()) {
    await Promise.all([page.waitForEvent('load'), page.getByRole('link', { name: '← Newer' }).click()]);
    expect(await console.rowIds()).toEqual(expected);
  }
});

test('keys: / to the search, j and k through the rows, Enter opens', async () => {
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
  expect(await page.evaluate('document.activeElement.name')).toBe('text');
  await page.keyboard.type('j/k');
  expect(await page.getByRole('searchbox', { name: 'Text' }).inputValue()).toBe('j/k');
  await console.open('/events');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.locator(`aside.side [data-copy="${rows[0]}/original"]`).waitFor({ state: 'attached' });
});

describe('exports', () => {
  test.each([
    ['CSV', /^orgtrail-events-.*\.csv$/],
    ['NDJSON', /^orgtrail-events-.*\.ndjson$/],
  ])('%s is downloaded with what the search finds', async (name, fileName) => {
    await console.open('/events?result=failure');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name, exact: true }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(fileName);
    const text = await readFile(await download.path(), 'utf8');
    const { rows } = await console.database.pool.query(
      "select count(*)::integer as failures from audit_events where action_result = 'failure'",
    );
    const lines = text.split('\n').slice(0, -1);
    expect(lines.length).toBe(rows[0].failures + (name === 'CSV' ? 1 : 0));
    expect(text).toContain('wanted-entry');
  });
});

test('without a script it still searches', async () => {
  const { page: plain } = await console.newPage({ javaScriptEnabled: false });
  await plain.goto(`${console.url}/events`);
  await plain.getByRole('textbox', { name: 'Actor' }).fill('wanted@example.net');
  await plain.getByRole('button', { name: 'Search', exact: true }).click();
  await plain.getByText('1 event on this page').waitFor();
});

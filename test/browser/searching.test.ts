import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { test } from '../support/console/browser-test.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { expectLooks, openDetails } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';
import { anotherPage, type ExplorerFixture } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;

test.beforeAll(async ({ explorer }) => {
  console = await anotherPage(explorer);
  page = console.page;
});

const countOf = async (where: string): Promise<number> => {
  const { rows } = await console.database.pool.query(
    `select count(*)::integer as events from audit_events where ${where}`,
  );
  return rows[0].events;
};

/** What the page says of matches. */
const matches = async (): Promise<number> => {
  const text = (await page.locator('.match-count strong').textContent()) ?? '';
  return Number(text.replace(/\D/g, ''));
};

const parameter = (name: string): string | null => new URL(page.url()).searchParams.get(name);

const facetLink = (kind: 'value' | 'not', value: string) =>
  page.locator('.facet li', { hasText: value }).locator(`.facet-${kind}`).first();

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
  test('by each field; the link has what was searched for and nothing else', async () => {
    const wanted = [`/events/${await console.positionOf('wanted-entry')}`];
    for (const [label, value] of fields) {
      await console.open('/events');
      await openDetails(page);
      await page.getByLabel(label, { exact: true }).fill(value);
      await page.getByRole('button', { name: 'Search', exact: true }).click();
      await page.getByText('1 event on this page').waitFor();
      expect(await console.rowIds(), value).toEqual(wanted);
      expect([...new URL(page.url()).searchParams.keys()], value).toHaveLength(1);
      expect(await page.getByLabel(label, { exact: true }).inputValue()).toBe(value);
    }
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

test('exports are downloaded with what the search finds', async () => {
  const { rows } = await console.database.pool.query(
    "select count(*)::integer as failures from audit_events where action_result = 'failure'",
  );
  for (const [name, ending, headLines] of [
    ['CSV', '.csv', 1],
    ['NDJSON', '.ndjson', 0],
  ] as const) {
    await console.open('/events?result=failure');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name, exact: true }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(new RegExp(`^orgtrail-events-.*\\${ending}$`));
    const text = await readFile(await download.path(), 'utf8');
    expect(text.split('\n').slice(0, -1), name).toHaveLength(rows[0].failures + headLines);
    expect(text).toContain('wanted-entry');
  }
});

describe('above a result', () => {
  test('stands how many match; a value filters by itself, and its sign excludes it', async () => {
    await console.open('/events');
    expect(await matches()).toBe(await countOf('true'));
    await facetLink('value', 'delete').click();
    await page.waitForURL(/action=delete/);
    expect(await matches()).toBe(await countOf("action_type = 'delete'"));
    await page.getByRole('link', { name: 'Remove action: delete' }).click();
    await page.waitForURL(/\/events$/);
    await facetLink('not', 'delete').click();
    await page.waitForURL(/q=-action%3Adelete/);
    expect(await matches()).toBe(await countOf("action_type is distinct from 'delete'"));
    expect(await page.getByLabel('Query', { exact: true }).inputValue()).toBe('-action:delete');
    await facetLink('not', 'update').click();
    await page.waitForURL(/update/);
    expect(await matches()).toBe(await countOf("coalesce(action_type, '') not in ('delete', 'update')"));
    await page.getByRole('link', { name: 'Remove -action:delete' }).click();
    await page.waitForURL(/q=-action%3Aupdate$/);
  });

  test('stands the query line, which gives its simple terms to the fields', async () => {
    await console.open('/events');
    await page.getByLabel('Query', { exact: true }).fill('actor:wanted@example.net -result:success since:24h');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.waitForURL(/since=24h/);
    expect([parameter('actor'), parameter('since'), parameter('q')]).toEqual([
      'wanted@example.net',
      '24h',
      '-result:success',
    ]);
    await console.open('/events?q=acton:delete');
    await page.getByText('Query has the unknown field "acton:"').waitFor();
    expect(await page.getByLabel('Query', { exact: true }).getAttribute('aria-invalid')).toBe('true');
  });

  test('stand bars that lead to their time, and dragging over them zooms into it', async () => {
    await console.open('/events?since=48h&before=now');
    const all = await matches();
    const bar = page.locator('.histogram .bars a').nth(3);
    const link = new URL((await bar.getAttribute('href')) ?? '', console.url).searchParams;
    await bar.click({ position: { x: 3, y: 60 } });
    await page.waitForURL((url) => url.searchParams.get('since') === link.get('since'));
    const [since, before] = [parameter('since'), parameter('before')];
    expect(await matches()).toBe(await countOf(`action_time >= '${since}' and action_time < '${before}'`));
    await console.open('/events?since=48h&before=now');
    const box = await page.locator('.histogram .bars').boundingBox();
    if (box === null) throw new Error('no histogram');
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
    await page.mouse.move(box.x + box.width * 0.8, box.y + 60);
    await page.mouse.up();
    await page.waitForURL((url) => url.searchParams.get('since') !== '48h');
    const zoomed = await matches();
    expect(zoomed).toBeGreaterThan(0);
    expect(zoomed).toBeLessThan(all);
    expect(zoomed).toBe(
      await countOf(`action_time >= '${parameter('since')}' and action_time < '${parameter('before')}'`),
    );
  });
});

/** What a page must escape wherever it shows it. */
const attack = `"><img src=x onerror=alert(1)>\u202e'$(id)`;

const inQuotes = (text: string): string => `"${text.replace(/["\\]/g, '\\$&')}"`;

test('a search is copied as curl, SQL or command, by the keyboard, exactly as it is shown', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await console.open(`/events?actor=wanted@example.net&q=${encodeURIComponent(`-agent:${inQuotes(attack)}`)}`);
  await page.locator('#copy-as summary').focus();
  await page.keyboard.press('Enter');
  for (const [n, name] of ['curl', 'SQL', 'Command'].entries()) {
    const text = await page.locator(`#copy-${n}`).textContent();
    await page.getByRole('button', { name: `Copy ${name}`, exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.locator(`[data-copy-text=copy-${n}]`, { hasText: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(text);
    expect(text).toMatch([/^curl -sf .*actor=wanted%40example.net/, /^select /, /^orgtrail search /][n] as RegExp);
  }
  expect(await page.locator('#copy-as img').count()).toBe(0);
  await page.getByRole('button', { name: 'Copy SQL', exact: true }).waitFor();
});

const PHONE = { width: 360, height: 800 };
const fold = (page: Page) => page.locator('#search-fold summary');
const form = (page: Page) => page.getByRole('search', { name: 'Events' });

test.each([true, false])(
  'on a phone the form is behind the number of its filters, opened by key; with a script: %s',
  async (javaScriptEnabled) => {
    const { page, faults } = await console.newPage({ javaScriptEnabled, viewport: PHONE });
    await page.goto(`${console.url}/events`);
    expect(await fold(page).textContent()).toBe('Filters');
    expect(await form(page).isVisible()).toBe(false);
    await page.goto(`${console.url}/events?actor=wanted@example.net&q=-action:view+status:4xx&since=24h`);
    expect(await fold(page).textContent()).toBe('Filters (4)');
    await fold(page).focus();
    await page.keyboard.press('Enter');
    await form(page).waitFor();
    // The next field is that of the form, and it sends what is written.
    await page.keyboard.press('Tab');
    await page.keyboard.insertText('needle');
    await page.keyboard.press('Enter');
    await page.waitForURL(/text=needle/);
    await page.getByText('1 event on this page').waitFor();
    expect(await fold(page).textContent()).toBe('Filters (5)');
    expect(await form(page).isVisible()).toBe(false);
    expectNoFaults(faults);
    await page.context().close();
  },
);

test('on a phone the form is open if something in it is wrong, and / opens it', async () => {
  const { page, faults } = await console.newPage({ viewport: PHONE });
  await page.goto(`${console.url}/events?before=yesterday`);
  await form(page).waitFor();
  expect(await page.evaluate('document.activeElement.id')).toBe('f-before');
  await page.goto(`${console.url}/events`);
  for (const key of ['/', 'Control+k']) {
    await page.keyboard.press(key);
    await form(page).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('f-text');
    await fold(page).click();
    await form(page).waitFor({ state: 'hidden' });
  }
  expectNoFaults(faults);
  await page.context().close();
});

test('on wider screens the form is there, and nothing to open', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/events?since=24h`);
  for (const width of [800, 1280, 2560]) {
    await page.setViewportSize({ width, height: 800 });
    await form(page).waitFor();
    expect(await fold(page).isVisible(), `${width}`).toBe(false);
  }
  await page.context().close();
});

test('a calendar writes times in UTC into the fields, which take all else as before', async () => {
  // A zone far from UTC, and times of pages in it: what is picked is UTC all the same.
  const { page, faults } = await console.newPage({ timezoneId: 'Asia/Tokyo' });
  await page.goto(`${console.url}/events?since=24h`);
  const from = page.getByLabel('From', { exact: true });
  expect(await from.inputValue(), 'how long ago is nothing for a calendar').toBe('');
  await from.fill('2026-01-31T08:05');
  expect(await page.getByRole('combobox', { name: 'Since' }).inputValue()).toBe('2026-01-31T08:05');
  await page.getByLabel('to', { exact: true }).fill('2026-02-01T00:00');
  await page.keyboard.press('Enter');
  await page.waitForURL(/before=/);
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({
    since: '2026-01-31T08:05:00Z',
    before: '2026-02-01T00:00:00Z',
  });
  expect([await from.inputValue(), await page.getByLabel('to', { exact: true }).inputValue()]).toEqual([
    '2026-01-31T08:05',
    '2026-02-01T00:00',
  ]);
  // An emptied calendar leaves what is written; the text form stays.
  await from.fill('');
  const since = page.getByRole('combobox', { name: 'Since' });
  expect(await since.inputValue()).toBe('2026-01-31T08:05:00Z');
  await since.fill('30d');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await page.waitForURL(/since=30d/);
  expectNoFaults(faults);
  await page.context().close();
});

test('times in another zone, and what is no time, leave the calendar empty', async () => {
  const { page } = await console.newPage();
  for (const [since, shown] of [
    ['2026-01-31', '2026-01-31T00:00'],
    ['2026-01-31T08:05:06.5Z', '2026-01-31T08:05'],
    ['2026-01-31T08:05:00+09:00', ''],
    ['yesterday', ''],
    ['2026-99-31', ''],
  ]) {
    await page.goto(`${console.url}/events?${new URLSearchParams({ since: since ?? '' })}`);
    await page.locator('[data-pick-times]:not([hidden])').waitFor();
    expect(await page.getByLabel('From', { exact: true }).inputValue(), since).toBe(shown);
  }
  await page.context().close();
});

test('without a script it still searches, narrows and copies, and has no calendar', async () => {
  const { page: plain } = await console.newPage({ javaScriptEnabled: false });
  await plain.goto(`${console.url}/events`);
  expect(await plain.locator('[data-pick-times]').isVisible()).toBe(false);
  await plain.locator('.facet li', { hasText: 'create' }).locator('.facet-value').first().click();
  await plain.waitForURL(/action=create/);
  await plain.goto(`${console.url}/events`);
  await plain.getByRole('textbox', { name: 'Actor' }).fill('wanted@example.net');
  await plain.getByRole('button', { name: 'Search', exact: true }).click();
  await plain.getByText('1 event on this page').waitFor();
  await plain.locator('#copy-as summary').click();
  await plain.locator('#copy-2', { hasText: 'orgtrail search' }).waitFor();
  expect(await plain.getByRole('button', { name: 'Copy curl' }).count()).toBe(0);
});

test('nothing that axe finds, nothing wider than the screen, closed and open; no script of an entry', async () => {
  await console.open('/events');
  await page.getByText('<img src=x onerror=').first().waitFor();
  expect(await page.locator('.summary img, .summary script').count()).toBe(0);
  await expectLooks(console, [
    '/events?since=yesterday&actor=unknown-actor',
    '/events?since=24h&action=rotaet',
    '/events?since=24h&action=create',
  ]);
  await expectLooks(
    console,
    ['/events?q=-action:view+status:200,4xx&exact=true', '/events?since=2026-01-31&before=now', '/events?ray=x'],
    openDetails,
  );
});

test('lets no page do what it may not', () => expectNoFaults(console.faults));

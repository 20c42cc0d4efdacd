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

const line = () => page.getByLabel('Query', { exact: true });
const ask = async (words: string): Promise<void> => {
  await line().fill(words);
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Search', exact: true }).click()]);
};

const parameter = (name: string): string | null => new URL(page.url()).searchParams.get(name);

const facetLink = (kind: 'value' | 'not', value: string) =>
  page.locator('.facet li', { hasText: value }).locator(`.facet-${kind}`).first();

describe('searching', () => {
  test('by each field of the line; the link has what was searched for and nothing else, and the line says it again', async () => {
    const wanted = [`/events/${await console.positionOf('wanted-entry')}`];
    const simple = `actor:wanted@example.net actor:192.0.2.250 actor:user-of-the-test actor:token:token-of-it action:rotate
      product:vault resource_type:vault_key resource:resource-of-it ray:ray-of-it`;
    for (const words of ['"needle IN the"', ...simple.split(/\s+/)]) {
      await console.open('/events');
      await ask(words);
      await page.getByText('1 event on this page').waitFor();
      expect(await console.rowIds(), words).toEqual(wanted);
      expect([...new URL(page.url()).searchParams.keys()], words).toHaveLength(1);
      expect(await line().inputValue()).toBe(words);
    }
    // A field of its own takes a star as it is, which the line cannot say.
    await console.open('/events?resource=nothing*&since=24h');
    await ask('action:rotate');
    expect([parameter('resource'), parameter('since'), parameter('action')]).toEqual(['nothing*', '24h', 'rotate']);
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
    await ask(`organization:"${names[0].name.toLowerCase()}"`);
    // The name stays, in the line and in the link.
    await page.getByText(/^1 of 1 log complete/).waitFor();
    expect(await line().inputValue()).toBe(`organization:"${names[0].name.toLowerCase()}"`);
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

  test('a fault stands below the line, and what was written stays in it', async () => {
    await console.open('/events?since=lately&actor=unknown-actor');
    await page.getByText('Since “lately” is not a time').waitFor();
    expect(await page.evaluate('document.activeElement.name'), 'what is to be mended has the focus').toBe('q');
    expect(await line().inputValue()).toBe('since:lately actor:unknown-actor');
    expect(await line().getAttribute('aria-invalid')).toBe('true');
    expect(await page.locator('table.events').count()).toBe(0);
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
      return (await page.getByText(/^Not collected: parts of /).count()) === 1;
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
    await page.getByText('Use result').click();
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
    expect(await line().inputValue()).toBe('-action:delete');
    await facetLink('not', 'update').click();
    await page.waitForURL(/update/);
    expect(await matches()).toBe(await countOf("coalesce(action_type, '') not in ('delete', 'update')"));
    await page.getByRole('link', { name: 'Remove -action:delete' }).click();
    await page.waitForURL(/q=-action%3Aupdate$/);
  });

  test('stands the query line, which completes fields and values, and gives its simple terms to the fields', async () => {
    await console.open('/events');
    await line().focus();
    for (const keys of [
      'acti',
      'Tab',
      'dele',
      'Tab',
      '-resul',
      'Tab',
      'succ',
      'ArrowDown',
      'Enter',
      'since:to',
      'Tab',
    ]) {
      await (/^[A-Z]/.test(keys) ? page.keyboard.press(keys) : page.keyboard.type(keys));
    }
    expect(await line().inputValue()).toBe('action:delete -result:success since:today ');
    await page.keyboard.press('Enter');
    await page.waitForURL(/since=today/);
    expect([parameter('action'), parameter('q')]).toEqual(['delete', '-result:success']);
  });

  test('stand bars that lead to their time, and dragging over them zooms into it', async () => {
    await console.open('/events?since=48h&before=now');
    const all = await matches();
    const bar = page.locator('.histogram .bars a').nth(3);
    const link = new URL((await bar.getAttribute('href')) ?? '', console.url).searchParams;
    await bar.click({ position: { x: 3, y: 20 } });
    await page.waitForURL((url) => url.searchParams.get('since') === link.get('since'));
    const [since, before] = [parameter('since'), parameter('before')];
    expect(await matches()).toBe(await countOf(`action_time >= '${since}' and action_time < '${before}'`));
    await console.open('/events?since=48h&before=now');
    const box = await page.locator('.histogram .bars').boundingBox();
    if (box === null) throw new Error('no histogram');
    await page.mouse.move(box.x + box.width * 0.5, box.y + 30);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 30);
    await page.mouse.move(box.x + box.width * 0.8, box.y + 30);
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
  await page.getByText('Use result').click();
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

const sizes = [
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
  { width: 1440, height: 900 },
  { width: 1920, height: 1080 },
] as const;

test.each(sizes)(
  'at $width px events are in the first screen, near by Tab, and stay where they are opened',
  async (viewport) => {
    const { page, faults } = await console.newPage({ viewport });
    const row = (n: number) => page.locator('[data-row]').nth(n);
    const top = async (n: number): Promise<number> => (await row(n).boundingBox())?.y ?? Number.NaN;
    await page.goto(`${console.url}/events?before=now&limit=100`);
    expect(await top(0)).toBeLessThan(viewport.width < 1000 ? viewport.height / 2 : 340);
    let tabs = 0;
    for (; !(await page.evaluate('document.activeElement.matches("[data-row]")')); tabs += 1)
      await page.keyboard.press('Tab');
    expect(tabs).toBeLessThanOrEqual(30);
    if (viewport.width > 1000) {
      for (const [n, how] of [
        [4, 'mouse'],
        [4, 'key'],
        [60, 'mouse'],
        [60, 'key'],
      ] as const) {
        await row(n).scrollIntoViewIfNeeded();
        const before = await top(n);
        if (how === 'mouse') await row(n).click();
        else await row(n).press('Enter');
        await page.locator('aside.side .event').waitFor();
        expect(Math.abs((await top(n)) - before), `row ${n} by ${how}`).toBeLessThanOrEqual(4);
        await page.keyboard.press('Escape');
        expect(Math.abs((await top(n)) - before), `row ${n} by ${how}, closed`).toBeLessThanOrEqual(4);
      }
      // What is put away stays away.
      await page.getByText('Top values').click();
      await page.reload();
      expect(await page.locator('.facet').first().isVisible()).toBe(false);
    } else {
      await page.getByRole('link', { name: 'Filters (1)' }).click();
      await page.locator('.facet').first().waitFor();
      await page.getByRole('link', { name: 'To the events' }).click();
      expect(await page.locator('.facet').first().isVisible()).toBe(false);
    }
    expectNoFaults(faults);
    await page.context().close();
  },
);

test.each([true, false])(
  'times are picked by name, around one, and from one to another; with a script: %s',
  async (javaScriptEnabled) => {
    // A zone far from UTC: what is picked is UTC all the same.
    const { page, faults } = await console.newPage({ javaScriptEnabled, timezoneId: 'Asia/Tokyo' });
    const times = async () => Object.fromEntries(new URL(page.url()).searchParams);
    await page.goto(`${console.url}/events?since=24h&action=rotate`);
    await page.getByText('Last 24h', { exact: true }).first().click();
    await page.getByRole('link', { name: 'Yesterday' }).click();
    await page.waitForURL(/yesterday/);
    expect(await times()).toEqual({ since: 'yesterday', before: 'today', action: 'rotate' });
    expect(await page.getByLabel('Query', { exact: true }).inputValue()).toBe(
      'since:yesterday before:today action:rotate',
    );
    await page.locator('.when > summary', { hasText: 'Yesterday' }).click();
    await page.getByLabel('Around').fill('2026-01-31T08:05:00');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.waitForURL(/2026/);
    const around = { since: '2026-01-31T07:50:00Z', before: '2026-01-31T08:20:00Z', action: 'rotate' };
    expect(await times()).toEqual(around);
    await page.locator('.when > summary').click();
    expect(await page.getByLabel('From').inputValue()).toBe('2026-01-31T07:50');
    await page.getByLabel('To', { exact: true }).fill('2026-02-01T00:00:00');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.waitForURL(/2026-02/);
    expect(await times()).toEqual({ ...around, before: '2026-02-01T00:00:00Z' });
    expectNoFaults(faults);
    await page.context().close();
  },
);

test('without a script it still searches, narrows and copies', async () => {
  const { page: plain } = await console.newPage({ javaScriptEnabled: false });
  await plain.goto(`${console.url}/events`);
  await plain.locator('.facet li', { hasText: 'create' }).locator('.facet-value').first().click();
  await plain.waitForURL(/action=create/);
  await plain.goto(`${console.url}/events`);
  await plain.getByLabel('Query', { exact: true }).fill('actor:wanted@example.net');
  await plain.getByRole('button', { name: 'Search', exact: true }).click();
  await plain.getByText('1 event on this page').waitFor();
  await plain.getByText('Use result').click();
  await plain.locator('#copy-as summary').click();
  await plain.locator('#copy-2', { hasText: 'orgtrail search' }).waitFor();
  expect(await plain.getByRole('button', { name: 'Copy curl' }).count()).toBe(0);
});

test('nothing that axe finds, nothing wider than the screen, closed and open; no script of an entry', async () => {
  await console.open('/events');
  await page.getByText('<img src=x onerror=').first().waitFor();
  expect(await page.locator('.desk img, .desk script').count()).toBe(0);
  await expectLooks(console, [
    '/events?since=lately&actor=unknown-actor',
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

import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/accessibility.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console-fixture.ts';
import { defectiveText, hostileText, largeText, wantedEntry } from '../support/explorer-entries.ts';
import { until } from '../support/until.ts';

let console: ConsoleFixture;
let page: Page;

beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 300 } });
  page = console.page;
  const [organization] = console.simulator.summary().organizations;
  console.simulator.append(organization?.id ?? '', [
    JSON.stringify(wantedEntry),
    hostileText,
    largeText,
    defectiveText,
  ]);
  await console.untilStored();
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const open = (path: string) => page.goto(`${console.url}${path}`);
const rowIds = (): Promise<string[]> =>
  page.evaluate<string[]>('[...document.querySelectorAll("[data-row]")].map((link) => link.getAttribute("href"))');
const positionOf = async (id: string): Promise<number> => {
  const { rows } = await console.database.pool.query('select position::integer from audit_events where id = $1', [id]);
  return rows[0].position;
};

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
    await open('/events');
    await page.evaluate('document.querySelector("#more-filters").open = true');
    await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.getByText('1 event on this page').waitFor();
    expect(await rowIds()).toEqual([`/events/${await positionOf('wanted-entry')}`]);
    // The link has what was searched for and nothing else, and reproduces it.
    const link = page.url();
    expect([...new URL(link).searchParams.keys()].length).toBe(1);
    await page.goto(link);
    expect(await page.getByLabel(label, { exact: true }).inputValue()).toBe(value);
    expect(await rowIds()).toEqual([`/events/${await positionOf('wanted-entry')}`]);
  });

  test('by organization, time and flags together; the values of a row narrow the search', async () => {
    const { rows } = await console.database.pool.query(
      "select organization_id, count(*)::integer as matching from audit_events where action_time > now() - interval '1 day' group by 1 order by 2 desc limit 1",
    );
    const { organization_id: id, matching } = rows[0];
    await open(`/events?since=24h&organization=${id}&limit=500`);
    await page.getByText(`${matching} events on this page`).waitFor();
    const { rows: names } = await console.database.pool.query('select name from organizations where id = $1', [id]);
    await open('/events');
    await page.getByLabel('Organization', { exact: true }).fill(names[0].name.toLowerCase());
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.waitForURL(`**/events?organization=${id}`);
    await open('/events?defects=true');
    expect(await rowIds()).toContain(`/events/${await positionOf('defective-entry')}`);
    await open('/events?text=needle');
    await page.getByRole('link', { name: 'wanted@example.net' }).click();
    const parameters = new URL(page.url()).searchParams;
    expect(parameters.get('actor')).toBe('wanted@example.net');
    expect(parameters.get('text')).toBe('needle');
  });

  test('a fault stands at its field, and what was written stays', async () => {
    await open('/events?since=yesterday&actor=somebody');
    await page.getByText('Since is no time').waitFor();
    expect(await page.getByLabel('Since').inputValue()).toBe('yesterday');
    expect(await page.getByLabel('Actor').inputValue()).toBe('somebody');
    expect(await page.locator('table.events').count()).toBe(0);
    expect(await accessibilityFaults(page)).toEqual([]);
    expect((await open('/events?cursor=nonsense'))?.status()).toBe(400);
    expect((await open('/events/999999'))?.status()).toBe(404);
    expect((await open('/events/nonsense'))?.status()).toBe(404);
  });

  test('nothing found says whether the time has been read', async () => {
    await open('/events?since=24h&action=nobody-does-this');
    await page.getByText('No event matches.').waitFor();
    await page.getByText('The time searched has been read completely').waitFor();
    // A gap is filled soon; the page of that moment is what counts.
    await until('the page tells of unread time', async () => {
      await console.database.pool.query(
        `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '5 hours', now() - interval '4 hours'))
         where pass = 0 and source_id = (select min(id) from sources)`,
      );
      await open('/events?since=24h&action=nobody-does-this');
      return (await page.getByText('1 of 5 organizations has unread time in this range').count()) === 1;
    });
    await page.getByText('part of the time searched has not been read yet').waitFor();
  });
});

test('pages there and back show every event once', async () => {
  await open('/events?limit=40&before=now');
  const first = await rowIds();
  const seen = [...first];
  const older = page.getByRole('link', { name: 'Older →' });
  const pages = [first];
  while ((await older.count()) === 1) {
    await Promise.all([page.waitForEvent('load'), older.click()]);
    pages.push(await rowIds());
    seen.push(...(pages.at(-1) ?? []));
  }
  const { rows } = await console.database.pool.query(
    'select position::integer from audit_events order by action_time desc, position desc',
  );
  expect(seen).toEqual(rows.map(({ position }) => `/events/${position}`));
  for (const expected of pages.slice(0, -1).reverse()) {
    await Promise.all([page.waitForEvent('load'), page.getByRole('link', { name: '← Newer' }).click()]);
    expect(await rowIds()).toEqual(expected);
  }
});

test('keys: / to the search, j and k through the rows, Enter opens', async () => {
  await open('/events');
  const rows = await rowIds();
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
  expect(await page.getByLabel('Text').inputValue()).toBe('j/k');
  await open('/events');
  await page.keyboard.press('j');
  await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
  expect(new URL(page.url()).pathname).toBe(rows[0]);
});

describe('the page of an event', () => {
  test('has the exact original, its fields, and searches for them', async () => {
    const position = await positionOf('wanted-entry');
    await open(`/events/${position}`);
    await page.getByRole('heading', { name: 'Rotate Key', level: 1 }).waitFor();
    expect(await page.getByRole('region', { name: 'The original, laid out' }).textContent()).toBe(
      JSON.stringify(wantedEntry, null, 2),
    );
    const original = await page.request.get(`${console.url}/events/${position}/original`);
    expect(await original.text()).toBe(JSON.stringify(wantedEntry));
    expect(original.headers()['content-type']).toBe('text/plain; charset=utf-8');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy exactly' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(JSON.stringify(wantedEntry));
    await page.getByRole('link', { name: 'Permanent link' }).click();
    expect(new URL(page.url()).pathname).toBe(`/events/${position}`);
    await page.getByRole('link', { name: 'Stored after →' }).click();
    await page.waitForURL(`**/events/${position + 1}`);
    await open(`/events/${position}`);
    await page.getByRole('link', { name: 'search for this Ray id' }).click();
    expect(new URL(page.url()).search).toBe('?ray=ray-of-it');
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test('defects are told in words, and the original keeps its numbers, double keys and escapes', async () => {
    await open(`/events/${await positionOf('defective-entry')}`);
    await page.getByText('A text in it holds the character NUL').waitFor();
    const text = await page.getByRole('region', { name: 'The original, laid out' }).textContent();
    expect(text).toContain('"n": 1e400,\n  "a": "\\u0000",\n  "a": "\\ud800"');
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test('a megabyte, nested deeply, is shown in part and on demand as a whole', async () => {
    const position = await positionOf('large-entry');
    await open(`/events/${position}`);
    const box = page.getByRole('region', { name: 'The original, laid out' });
    expect((await box.textContent())?.length).toBe(40_000);
    await page.getByRole('link', { name: 'Show all' }).first().click();
    await page.waitForURL('**whole=true**');
    expect((await box.textContent())?.length).toBeGreaterThan(1_000_000);
    expect(await (await page.request.get(`${console.url}/events/${position}/original`)).text()).toBe(largeText);
  });

  test('text of others is text: no script, no link of theirs, deceptive characters are shown', async () => {
    const { page: watched, faults } = await console.newPage();
    for (const path of [
      '/events',
      `/events/${await positionOf('hostile-entry')}`,
      `/events/${await positionOf('wanted-entry')}`,
    ]) {
      await watched.goto(`${console.url}${path}`);
      await watched.locator('main').waitFor();
      const addresses = await watched.evaluate<string[]>(
        '[...document.querySelectorAll("[href], [src], [action]")].map((e) => e.getAttribute("href") ?? e.getAttribute("src") ?? e.getAttribute("action"))',
      );
      expect(addresses.filter((address) => !/^[/#]/.test(address) || address.startsWith('//'))).toEqual([]);
      expect(await watched.locator('main script, main img, main svg, main b').count()).toBe(0);
    }
    await watched.goto(`${console.url}/events/${await positionOf('hostile-entry')}`);
    expect(await watched.locator('main').textContent()).toContain('evil\\u202egpj.exe \\u0007');
    expectNoFaults(faults);
  });

  test('what changed later is shown as a difference', async () => {
    const { simulator, database } = console;
    simulator.faults.set({ changed_content: 1 });
    await until('a change is stored', async () => {
      // What counts as unread is read again.
      await database.pool.query("update coverage set ranges = '{}'");
      const { rows } = await database.pool.query('select count(*)::integer as changes from audit_event_changes');
      return rows[0].changes > 0;
    });
    simulator.faults.set({ preset: 'none' });
    await open('/events?changed=true');
    await page.locator('.mark-changed').first().waitFor();
    await Promise.all([page.waitForEvent('load'), page.locator('[data-row]').first().click()]);
    await page.getByRole('heading', { name: 'Changed later' }).waitFor();
    const diff = page.getByRole('region', { name: 'Differences' }).first();
    expect(await diff.locator('.line-added').count()).toBeGreaterThan(0);
    const { rows } = await database.pool.query(
      'select e.raw::text as before, c.raw::text as after from audit_event_changes c join audit_events e using (position) order by e.action_time desc, c.id limit 1',
    );
    const added = (await diff.locator('.line-added code').first().textContent())?.trim().replace(/,$/, '') ?? '';
    expect(JSON.stringify(JSON.parse(rows[0].after), null, 2)).toContain(added);
    expect(JSON.stringify(JSON.parse(rows[0].before), null, 2)).not.toContain(added);
    expect(await accessibilityFaults(page)).toEqual([]);
  });
});

describe('exports', () => {
  test.each([
    ['CSV', /^orgtrail-events-.*\.csv$/],
    ['NDJSON', /^orgtrail-events-.*\.ndjson$/],
  ])('%s is downloaded with what the search finds', async (name, fileName) => {
    await open('/events?result=failure');
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

test('light and dark, at 360 px and without a script: nothing that axe finds, nothing wider than the screen', async () => {
  const position = await positionOf('wanted-entry');
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [width, javaScriptEnabled] of [
      [360, true],
      [1280, true],
    ] as const) {
      const { page: other, faults } = await console.newPage({
        colorScheme,
        javaScriptEnabled,
        viewport: { width, height: 800 },
      });
      for (const path of ['/events', '/events?changed=true&since=24h', `/events/${position}`]) {
        await other.goto(`${console.url}${path}`);
        expect(await accessibilityFaults(other)).toEqual([]);
        expect(await other.evaluate('document.documentElement.scrollWidth')).toBe(width);
      }
      expectNoFaults(faults);
      await other.context().close();
    }
  }
  const { page: plain } = await console.newPage({ javaScriptEnabled: false });
  await plain.goto(`${console.url}/events`);
  await plain.getByLabel('Actor').fill('wanted@example.net');
  await plain.getByRole('button', { name: 'Search', exact: true }).click();
  await plain.getByText('1 event on this page').waitFor();
});

import type { Page } from 'playwright-core';
import { describe, expect } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { test } from '../support/console/browser-test.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { brokenLines, expectLooks, widths } from '../support/console/page-looks.ts';
import { retryDeadlocks } from '../support/postgres/retry-deadlocks.ts';
import { until } from '../support/process/until.ts';
import { anotherPage, type ExplorerFixture } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;
/** In Newfoundland: half an hour, and a change of the clocks twice a year. */
let local: Page;
let localFaults: ExplorerFixture['faults'];

test.beforeAll(async ({ explorer }) => {
  console = await anotherPage(explorer);
  page = console.page;
  ({ page: local, faults: localFaults } = await console.newPage({ timezoneId: zone }));
});

describe('the page of an event', () => {
  test('has the exact original, its fields, and searches for them', async () => {
    const position = await console.positionOf('wanted-entry');
    await console.open(`/events/${position}`);
    await page.getByRole('heading', { name: 'Rotate Key', level: 1 }).waitFor();
    expect(await page.getByRole('region', { name: 'Original entry, formatted' }).textContent()).toBe(
      JSON.stringify(console.entries.wantedEntry, null, 2),
    );
    const original = await page.request.get(`${console.url}/events/${position}/original`);
    expect(await original.text()).toBe(JSON.stringify(console.entries.wantedEntry));
    expect(original.headers()['content-type']).toBe('text/plain; charset=utf-8');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy raw' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(JSON.stringify(console.entries.wantedEntry));
    await page.getByRole('link', { name: 'Permanent link' }).click();
    expect(new URL(page.url()).pathname).toBe(`/events/${position}`);
    await page.getByRole('link', { name: 'Next stored →' }).click();
    await page.waitForURL(`**/events/${position + 1}`);
    await console.open(`/events/${position}`);
    await page.getByRole('link', { name: 'search for this Ray id' }).click();
    expect(new URL(page.url()).search).toBe('?ray=ray-of-it');
  });

  test('leads to the history of its resource, with the states side by side', async () => {
    const { simulator } = console;
    const [organization] = simulator.summary().organizations;
    const entry = (id: string, secondsAgo: number, content: string) =>
      JSON.stringify({
        id,
        action: { type: 'update', result: 'success', time: new Date(Date.now() - secondsAgo * 1_000).toISOString() },
        actor: { email: 'dns@example.net' },
        resource: { id: 'record-of-it', product: 'dns', type: 'dns_record', response: { name: 'www', content } },
      });
    simulator.append(organization?.id ?? '', [
      entry('history-1', 30, '192.0.2.1'),
      entry('history-2', 20, '<b>192.0.2.2</b>'),
    ]);
    await console.untilStored();
    const position = await console.positionOf('history-1');
    await console.open(`/events/${position}`);
    await page.getByRole('link', { name: 'history of this resource' }).click();
    await page.getByRole('heading', { name: 'History of dns / dns_record record-of-it', level: 1 }).waitFor();
    const row = page.getByRole('region', { name: 'Differences' }).locator('tr', { has: page.locator('.line-added') });
    expect(await row.locator('.line-removed code').textContent()).toContain('192.0.2.1');
    expect(await row.locator('.line-added code').textContent()).toContain('<b>192.0.2.2</b>');
    await page.getByText('this event', { exact: true }).waitFor();
  });

  test('defects are told in words, and the original keeps its numbers, double keys and escapes', async () => {
    await console.open(`/events/${await console.positionOf('defective-entry')}`);
    await page.getByText('A text in it holds the character NUL').waitFor();
    const text = await page.getByRole('region', { name: 'Original entry, formatted' }).textContent();
    expect(text).toContain('"n": 1e400,\n  "a": "\\u0000",\n  "a": "\\ud800"');
  });

  test('a megabyte, nested deeply, is shown in part and on demand as a whole', async () => {
    const position = await console.positionOf('large-entry');
    await console.open(`/events/${position}`);
    const box = page.getByRole('region', { name: 'Original entry, formatted' });
    expect((await box.textContent())?.length).toBe(40_000);
    await page.getByRole('link', { name: 'Show all' }).first().click();
    await page.waitForURL('**whole=true**');
    expect((await box.textContent())?.length).toBeGreaterThan(1_000_000);
    expect(await (await page.request.get(`${console.url}/events/${position}/original`)).text()).toBe(
      console.entries.largeText,
    );
  });

  test('text of others is text: no script, no link of theirs, deceptive characters are shown', async () => {
    const { page: watched, faults } = await console.newPage();
    for (const path of [
      '/events',
      `/events/${await console.positionOf('hostile-entry')}`,
      `/events/${await console.positionOf('wanted-entry')}`,
    ]) {
      await watched.goto(`${console.url}${path}`);
      await watched.locator('main').waitFor();
      const addresses = await watched.evaluate<string[]>(
        '[...document.querySelectorAll("[href], [src], [action]")].map((e) => e.getAttribute("href") ?? e.getAttribute("src") ?? e.getAttribute("action"))',
      );
      expect(addresses.filter((address) => !/^[/#]/.test(address) || address.startsWith('//'))).toEqual([]);
      // But for the histogram of a search.
      expect(await watched.locator('main script, main img, main svg:not(.bars), main b').count()).toBe(0);
    }
    await watched.goto(`${console.url}/events/${await console.positionOf('hostile-entry')}`);
    expect(await watched.locator('main').textContent()).toContain('evil\\u202egpj.exe \\u0007');
    expectNoFaults(faults);
  });
});

test('around an event stand searches for a quarter of an hour each way', async () => {
  await console.open(`/events/${await console.positionOf('wanted-entry')}`);
  await page.getByRole('link', { name: 'same actor', exact: true }).click();
  await page.waitForURL(/since=/);
  const parameters = new URL(page.url()).searchParams;
  const ms = (name: string): number => Date.parse(parameters.get(name) ?? '');
  expect(ms('before') - ms('since')).toBe(30 * 60_000);
  expect(parameters.get('actor')).toBe('wanted@example.net');
  expect(await console.rowIds()).toContain(`/events/${await console.positionOf('wanted-entry')}`);
  await page.goBack();
  await page.getByRole('link', { name: 'same organization', exact: true }).click();
  await page.waitForURL(/organization=/);
  expect((await console.rowIds()).length).toBeGreaterThan(1);
});

test('the page of an entity is led to by an event, counts what a search counts, and leads back to its events', async () => {
  const { rows } = await console.database.pool.query(
    `select actor_email as email, max(position)::integer as position, count(*)::integer as events from audit_events
     where actor_email is not null and action_time > now() - interval '90 days' group by 1 order by events desc limit 1`,
  );
  const { email, position, events } = rows[0];
  await console.open(`/events/${position}`);
  await page.locator('.around').getByRole('link', { name: 'actor', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: email }).waitFor();
  expect(await page.locator('.match-count strong').textContent()).toBe(`${events} events`);
  expect(await page.locator('table.hours td').count()).toBe(7 * 24);
  await page.getByRole('link', { name: 'All events' }).click();
  await page.waitForURL(/\/events\?since=90d&actor=/);
  expect(await page.locator('.match-count strong').textContent()).toBe(`${events} events`);
});

test('the page of an entity shows hostile text as text, and axe finds nothing', async () => {
  const paths: string[] = ['/addresses/198.51.100.238'];
  const { rows } = await console.database.pool.query(
    "select distinct on (kind) * from (select 'resources' as kind, resource_id as value from audit_events where resource_id like '%<%' union all select 'addresses', actor_ip_address from audit_events where actor_ip_address is not null union all select 'tokens', actor_token_name from audit_events where actor_token_name is not null) named",
  );
  expect(rows.length).toBeGreaterThan(1);
  for (const { kind, value } of rows) {
    const answer = await console.open(`/${kind}/${encodeURIComponent(value)}`);
    expect(answer?.status()).toBe(200);
    expect(await page.locator('h1').textContent()).toBe(value);
    paths.push(`/${kind}/${encodeURIComponent(value)}`);
  }
  const hostile = '<img src=x onerror="document.title=1">/%2e%2e';
  await console.open(`/resources/${encodeURIComponent(hostile)}`);
  expect(await page.locator('h1').textContent()).toBe(hostile);
  expect(await page.locator('main img').count()).toBe(0);
  expect((await console.open('/actors/none@example.com'))?.status()).toBe(200);
  await page.getByText('No event of this time.').waitFor();
  expect((await console.open('/actors/x?since=lately'))?.status()).toBe(400);
  await expectLooks(console, paths);
});

const chooseLocal = async (): Promise<void> => {
  await local.goto(`${console.url}/events`);
  const button = local.getByRole('button', { name: 'local', exact: true });
  if ((await button.getAttribute('aria-pressed')) === 'true') return;
  await button.focus();
  await local.keyboard.press('Enter');
  await local.getByText(`all times are those of ${zone}`).waitFor();
};

/** As the database says it. */
const inZone = async (instant: string, name: string): Promise<string> => {
  const { rows } = await console.database.pool.query(
    `select to_char($1::timestamptz at time zone $2, 'YYYY-MM-DD HH24:MI:SS') as text`,
    [instant, name],
  );
  return rows[0].text;
};

/** Every time of the page: what it is, and what is shown. */
const shownTimes = (of: Page) =>
  of.evaluate<readonly (readonly [string, string])[]>(
    `[...document.querySelectorAll('main time')].map((time) => [time.dateTime, time.textContent])`,
  );

const paths = async (): Promise<readonly string[]> => [
  '/events?limit=20',
  `/events/${await console.positionOf('wanted-entry')}`,
  `/events/${await console.positionOf('wanted-entry')}/history`,
  '/actors/wanted@example.net',
  '/',
];

describe('times', () => {
  test('are UTC at first and without a script, and the page says so', async () => {
    const { page: plain } = await console.newPage({ javaScriptEnabled: false, timezoneId: zone });
    await plain.goto(`${console.url}/events`);
    await plain.locator('.foot noscript').waitFor();
    expect(await plain.getByRole('button', { name: 'local' }).count()).toBe(0);
    await plain.getByRole('columnheader', { name: 'Time (UTC)' }).waitFor();
    const response = await fetch(`${console.url}/events`);
    const [, instant = '', text] =
      /datetime="([^"]+)"[^>]*>([\d-]+) <span class="clock">/.exec(await response.text()) ?? [];
    expect(instant.slice(0, 10)).toBe(text);
  });

  test('are those of the browser if it chooses so, on every page, and stay so', async () => {
    await chooseLocal();
    await local.getByRole('columnheader', { name: 'Time (local time)' }).waitFor();
    for (const path of await paths()) {
      await local.goto(`${console.url}${path}`);
      const times = (await shownTimes(local)).filter(([, text]) => /^\d{4}-/.test(text));
      for (const [instant, text] of times.slice(0, 30)) {
        expect(text.slice(0, 19).replace('T', ' '), `${path}: ${instant}`).toBe(await inZone(instant, zone));
      }
      if (path !== '/') expect(times.length, path).toBeGreaterThan(0);
    }
    await local.goto(`${console.url}/events/${await console.positionOf('wanted-entry')}`);
    expect(await local.locator('.facts time').first().textContent()).toMatch(/^[\dT:.-]{19,}-0[23]:30$/);
    await local.goto(`${console.url}/events?since=24h`);
    const bar = local.locator('.histogram .bars a').first();
    const since = new URL((await bar.getAttribute('href')) ?? '', console.url).searchParams.get('since') ?? '';
    expect(await bar.getAttribute('aria-label')).toContain(`${await inZone(since, zone)} ${zone}: `);
    // Another browser goes on as it was.
    await console.open('/events');
    await console.page.getByText('all times are UTC').waitFor();
  });

  test('are UTC again by a click, on the same page', async () => {
    await chooseLocal();
    await local.goto(`${console.url}/events?action=create`);
    await local.getByRole('button', { name: 'UTC', exact: true }).click();
    await local.getByText('all times are UTC').waitFor();
    expect(new URL(local.url()).search).toBe('?action=create');
  });

  test('are UTC for a zone that is none', async () => {
    for (const name of [
      'Mars/Olympus',
      '"><img src=x onerror=alert(1)>',
      '',
      'UTC\u0000',
      '../../etc/passwd',
      '%E2%80%AE',
    ]) {
      const response = await fetch(`${console.url}/console/times`, {
        method: 'POST',
        body: new URLSearchParams({ times: name, next: '/events' }),
        headers: { origin: console.url },
        redirect: 'manual',
      });
      const [cookie] = response.headers.getSetCookie();
      expect([response.status, cookie?.split(';')[0]], name).toEqual([303, 'orgtrail_times=UTC']);
      const shown = await fetch(`${console.url}/events`, {
        headers: { cookie: `orgtrail_times=${encodeURIComponent(name)}` },
      });
      expect(await shown.text(), name).toContain('all times are UTC');
    }
  });

  test('and addresses stand in one line, whatever the width, and axe finds nothing', async () => {
    for (const path of await paths()) {
      await chooseLocal();
      await local.goto(`${console.url}${path}`);
      for (const width of widths) {
        await local.setViewportSize({ width, height: 800 });
        expect(await local.evaluate(brokenLines), `${path} at ${width}`).toEqual([]);
        expect(await local.evaluate('document.documentElement.scrollWidth'), `${path} at ${width}`).toBe(width);
      }
      expect(await accessibilityFaults(local), path).toEqual([]);
      await local.setViewportSize({ width: 1280, height: 800 });
    }
    expectNoFaults(localFaults);
  });
});

test('nothing that axe finds, nothing wider than the screen', async () => {
  const event = `/events/${await console.positionOf('wanted-entry')}`;
  await expectLooks(console, [
    '/events?changed=true&since=24h',
    event,
    `${event}/history`,
    `/events/${await console.positionOf('history-1')}/history`,
    `/events/${await console.positionOf('defective-entry')}`,
  ]);
});

test('what changed later is shown as a difference', async () => {
  const { simulator, database } = console;
  simulator.faults.set({ changed_content: 1 });
  await until('a change is stored', async () => {
    // What counts as unread is read again.
    await retryDeadlocks(() => database.pool.query("update coverage set ranges = '{}'"));
    const { rows } = await database.pool.query('select count(*)::integer as changes from audit_event_changes');
    return rows[0].changes > 0;
  });
  simulator.faults.set({ preset: 'none' });
  await console.open('/events?changed=true');
  await page.locator('.mark-changed').first().waitFor();
  await page.locator('[data-row]').first().click();
  await Promise.all([page.waitForEvent('load'), page.getByRole('link', { name: 'Open page' }).click()]);
  await page.getByRole('heading', { name: 'Changed later' }).waitFor();
  const diff = page.getByRole('region', { name: 'Differences' }).first();
  expect(await diff.locator('.line-added').count()).toBeGreaterThan(0);
  // Of the event that was opened: more of them may have changed since.
  const { rows } = await database.pool.query(
    'select e.raw::text as before, c.raw::text as after from audit_event_changes c join audit_events e using (position) where position = $1 order by c.id limit 1',
    [/\/events\/(\d+)/.exec(page.url())?.[1]],
  );
  const added = (await diff.locator('.line-added code').first().textContent())?.trim().replace(/,$/, '') ?? '';
  expect(JSON.stringify(JSON.parse(rows[0].after), null, 2)).toContain(added);
  expect(JSON.stringify(JSON.parse(rows[0].before), null, 2)).not.toContain(added);
  await expectLooks(console, [new URL(page.url()).pathname]);
});

test('lets no page do what it may not', () => expectNoFaults(console.faults));

const zone = 'America/St_Johns';

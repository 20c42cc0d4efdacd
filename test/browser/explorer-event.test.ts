import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { expectNoFaults } from '../support/console/console-fixture.ts';
import { retryDeadlocks } from '../support/postgres/retry-deadlocks.ts';
import { until } from '../support/process/until.ts';
import { largeText, wantedEntry } from '../support/search/search-entries.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;

beforeAll(async () => {
  console = await openExplorerConsole();
  page = console.page;
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

describe('the page of an event', () => {
  test('has the exact original, its fields, and searches for them', async () => {
    const position = await console.positionOf('wanted-entry');
    await console.open(`/events/${position}`);
    await page.getByRole('heading', { name: 'Rotate Key', level: 1 }).waitFor();
    expect(await page.getByRole('region', { name: 'Original entry, formatted' }).textContent()).toBe(
      JSON.stringify(wantedEntry, null, 2),
    );
    const original = await page.request.get(`${console.url}/events/${position}/original`);
    expect(await original.text()).toBe(JSON.stringify(wantedEntry));
    expect(original.headers()['content-type']).toBe('text/plain; charset=utf-8');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy raw' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(JSON.stringify(wantedEntry));
    await page.getByRole('link', { name: 'Permanent link' }).click();
    expect(new URL(page.url()).pathname).toBe(`/events/${position}`);
    await page.getByRole('link', { name: 'Next stored →' }).click();
    await page.waitForURL(`**/events/${position + 1}`);
    await console.open(`/events/${position}`);
    await page.getByRole('link', { name: 'search for this Ray id' }).click();
    expect(new URL(page.url()).search).toBe('?ray=ray-of-it');
    expect(await accessibilityFaults(page)).toEqual([]);
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
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test('defects are told in words, and the original keeps its numbers, double keys and escapes', async () => {
    await console.open(`/events/${await console.positionOf('defective-entry')}`);
    await page.getByText('A text in it holds the character NUL').waitFor();
    const text = await page.getByRole('region', { name: 'Original entry, formatted' }).textContent();
    expect(text).toContain('"n": 1e400,\n  "a": "\\u0000",\n  "a": "\\ud800"');
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test('a megabyte, nested deeply, is shown in part and on demand as a whole', async () => {
    const position = await console.positionOf('large-entry');
    await console.open(`/events/${position}`);
    const box = page.getByRole('region', { name: 'Original entry, formatted' });
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
    expect(await accessibilityFaults(page)).toEqual([]);
  });
});

test('light and dark, at 360 px: nothing that axe finds, nothing wider than the screen', async () => {
  const position = await console.positionOf('wanted-entry');
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [360, 1280]) {
      const { page: other, faults } = await console.newPage({ colorScheme, viewport: { width, height: 800 } });
      for (const path of [
        '/events',
        '/events?changed=true&since=24h',
        `/events/${position}`,
        `/events/${position}/history`,
      ]) {
        await other.goto(`${console.url}${path}`);
        expect(await accessibilityFaults(other)).toEqual([]);
        expect(await other.evaluate('document.documentElement.scrollWidth')).toBe(width);
      }
      expectNoFaults(faults);
      await other.context().close();
    }
  }
});

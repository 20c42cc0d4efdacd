import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { type ExplorerFixture, openExplorerConsole } from '../support/search/search-fixture.ts';

let console: ExplorerFixture;
let page: Page;

beforeAll(async () => {
  console = await openExplorerConsole();
  page = console.page;
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

describe('the page of an entity', () => {
  test('is led to by an event, counts what a search counts, and leads back to its events', async () => {
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

  test.each(['light', 'dark'] as const)(
    'of a hostile resource shows it as text, and axe finds nothing wrong: %s',
    async (scheme) => {
      await page.emulateMedia({ colorScheme: scheme });
      const { rows } = await console.database.pool.query(
        "select distinct on (kind) * from (select 'resources' as kind, resource_id as value from audit_events where resource_id like '%<%' union all select 'addresses', actor_ip_address from audit_events where actor_ip_address is not null union all select 'tokens', actor_token_name from audit_events where actor_token_name is not null) named",
      );
      expect(rows.length).toBeGreaterThan(1);
      for (const { kind, value } of rows) {
        const answer = await console.open(`/${kind}/${encodeURIComponent(value)}`);
        expect(answer?.status()).toBe(200);
        expect(await page.locator('h1').textContent()).toBe(value);
        expect(await accessibilityFaults(page)).toEqual([]);
      }
      const hostile = '<img src=x onerror="document.title=1">/%2e%2e';
      await console.open(`/resources/${encodeURIComponent(hostile)}`);
      expect(await page.locator('h1').textContent()).toBe(hostile);
      expect(await page.locator('main img').count()).toBe(0);
      expect((await console.open('/actors/none@example.com'))?.status()).toBe(200);
      await page.getByText('No event of this time.').waitFor();
      expect((await console.open('/actors/x?since=yesterday'))?.status()).toBe(400);
    },
  );

  test('fits a small screen', async () => {
    await page.setViewportSize({ width: 360, height: 800 });
    await console.open('/addresses/198.51.100.238');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  });
});

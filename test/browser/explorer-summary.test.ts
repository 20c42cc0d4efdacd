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

  test.each(['light', 'dark'] as const)(
    'stands nothing that axe finds wrong, and no script of an entry: %s',
    async (scheme) => {
      await page.emulateMedia({ colorScheme: scheme });
      await console.open('/events?q=-action:view+status:200,4xx&exact=true');
      expect(await accessibilityFaults(page)).toEqual([]);
      await console.open('/events');
      await page.getByText('<img src=x onerror=').first().waitFor();
      expect(await page.locator('.summary img, .summary script').count()).toBe(0);
    },
  );

  test('works without a script, and on a small screen nothing is wider than it', async () => {
    const { page: plain } = await console.newPage({ javaScriptEnabled: false });
    await plain.goto(`${console.url}/events`);
    await plain.setViewportSize({ width: 360, height: 800 });
    await plain.locator('.facet li', { hasText: 'create' }).locator('.facet-value').first().click();
    await plain.waitForURL(/action=create/);
    await page.setViewportSize({ width: 360, height: 800 });
    await console.open('/events?q=-action:view');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  });
});

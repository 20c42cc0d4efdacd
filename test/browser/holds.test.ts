import { afterAll, beforeAll, expect, test } from 'vitest';
import { addHold, releaseHold } from '../../src/retention/holds.sql.ts';
import { type ConsoleFixture, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';

let console: ConsoleFixture;

beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 20 } });
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

test('without a hold the page says what that means; with holds it has each, by whom and why', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Legal holds' }).click();
  await page.getByText('None: retention drops months as soon as they are old enough.').waitFor();

  const { pool } = console.database;
  const [organization] = console.simulator.summary().organizations;
  const hold = { organizationId: undefined, sinceMs: undefined, beforeMs: undefined, by: undefined };
  await addHold(pool, { ...hold, organizationId: organization?.id, reason: hostileText, by: 'jane.doe' });
  await addHold(pool, { ...hold, reason: 'notice of the regulator', sinceMs: Date.UTC(2026, 0, 1) });
  const { id } = await addHold(pool, { ...hold, reason: 'over', accountId: 'account-of-the-test' });
  await releaseHold(pool, id, 'noor');

  await page.reload();
  await page.getByRole('heading', { name: '2 holds in force' }).waitFor();
  const rows = await page
    .getByRole('region', { name: 'Table of holds in force' })
    .locator('tbody tr')
    .allTextContents();
  expect(rows[0]).toMatch(/everything\s*2026-01-01 00:00:00\s*no end\s*notice of the regulator/);
  expect(rows[1]).toContain('jane.doe');
  const released = await page.getByRole('region', { name: 'Table of released holds' }).textContent();
  expect(released).toMatch(/account-of-the-test[\s\S]*over[\s\S]*released by noor/);
  await page.getByRole('region', { name: 'Table of holds in force' }).getByRole('link').click();
  await page.waitForURL(`${console.url}/organizations/${organization?.id}`);
});

test('a hostile reason is inert', () => expectInert(console, ['/holds']));

test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
  expectLooks(console, scheme, ['/holds']),
);

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';
import { retryDeadlocks } from '../support/postgres/retry-deadlocks.ts';

let console: ConsoleFixture;
let id: string;

/** No process reads this organization any more: half of its history is not read yet. */
beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 50 } });
  const { pool } = console.database;
  id = console.simulator.summary().organizations[0]?.id ?? '';
  await pool.query(
    `update sources set lease_owner = 'elsewhere', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '1 hour'
     where id = $1`,
    [id],
  );
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

/** As if its newest time were read this moment. */
const halfRead = () =>
  retryDeadlocks(() =>
    console.database.pool.query(
      `update coverage c set ranges = (ranges + tstzmultirange(tstzrange(now() - interval '1 hour', now() + interval '50 seconds')))
         * tstzmultirange(tstzrange(now() - (now() - s.wanted_since) / 2, null))
       from sources s where s.id = c.source_id and c.source_id = $1 and c.pass = 0`,
      [id],
    ),
  );

test('the overview and the page of the organization show how far it is, without scripts, and nothing red', async () => {
  await halfRead();
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/`);
  const line = page.getByRole('region', { name: 'State of everything' });
  expect(await line.textContent()).toMatch(/The history of 1 organization is being read for the first time: (49|50) %/);
  const row = page.locator(`tr[id="o-${id}"]`);
  await row.getByText('reading history').waitFor();
  expect(await row.textContent()).toMatch(/(49|50) % · (about .* left|no estimate)/);
  expect(await row.locator('.tl-gap').count()).toBe(0);
  const ahead = await row.locator('.tl-ahead').boundingBox();
  const whole = await row.locator('.timeline').boundingBox();
  expect((ahead?.width ?? 0) / (whole?.width ?? 1)).toBeCloseTo(0.5, 1);

  await page.getByLabel('State', { exact: true }).selectOption({ label: 'reading history (1)' });
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.locator(`tr[id="o-${id}"]`).getByRole('link').click();
  await page.getByText('Its history is being read for the first time').waitFor();
  expect(await page.getByRole('progressbar', { name: 'History that is read' }).getAttribute('value')).toMatch(/49|50/);
});

test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', async (scheme) => {
  await halfRead();
  await expectLooks(console, scheme, ['/', `/organizations/${id}`]);
});

test('a long hostile error stands whole on the overview, and is inert', async () => {
  const other = console.simulator.summary().organizations[1]?.id ?? '';
  const { pool } = console.database;
  const error = `${hostileText}${'x'.repeat(300)} its point`;
  console.simulator.faults.set({ html_ok: { organizationId: other } });
  await pool.query(
    `update sources set lease_owner = 'elsewhere', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '1 hour' where id = $1`,
    [other],
  );
  await retryDeadlocks(() =>
    pool.query("update lanes set failures = 3, last_failure = 'http', last_error = $2 where source_id = $1", [
      other,
      error,
    ]),
  );
  await expectInert(console, ['/']);
  const { page, faults } = await console.newPage({ viewport: { width: 360, height: 800 } });
  await page.goto(`${console.url}/`);
  await page.getByText('its point').first().waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
  expectNoFaults(faults);
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';

let console: ConsoleFixture;
let folder: string;

const LETTERS = 120;

/** One sink delivers, one has a receiver that is not there, and one is not configured any more. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-sinks-page-'));
  console = await openConsole({
    simulator: { entries: 200 },
    env: {
      ORGTRAIL_SINKS: JSON.stringify({
        disk: { type: 'file', path: join(folder, 'events.ndjson') },
        siem: { type: 'http', url: 'http://127.0.0.1:9/ingest' },
      }),
    },
  });
  const { pool } = console.database;
  await until('one sink has delivered all, one fails', async () => {
    const { rows } = await pool.query<{ name: string; failures: number; done: boolean }>(
      'select name, failures, position = (select position from feed_head) as done from sinks',
    );
    return rows.some(({ name, done }) => name === 'disk' && done) && rows.some(({ failures }) => failures > 0);
  });
  await pool.query("insert into sinks (name, kind, target, position) values ('former', 'webhook', $1, 3)", [
    hostileText,
  ]);
  await pool.query(
    `insert into sink_dead_letters (sink, position, reason)
     select 'disk', n, $1 || n from generate_series(1, ${LETTERS}) n
     union all select 'disk', 900000000000, 'an event that is gone'`,
    [hostileText],
  );
});
afterAll(async () => {
  await console?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe('the sinks', () => {
  test('are led to by the trouble on the overview, the failing one first, its error whole', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/`);
    await page.getByRole('link', { name: '1 sink failing' }).click();
    await page.getByRole('heading', { name: 'Sinks', level: 1 }).waitFor();
    const names = await page.getByRole('region', { name: 'Table of sinks' }).locator('tbody th > a').allTextContents();
    expect(names).toEqual(['siem', 'disk']);
    const current = page.getByRole('navigation', { name: 'Pages' }).locator('[aria-current=page]');
    expect(await current.textContent()).toBe('Operation');
    expect(await page.getByRole('region', { name: 'Table of former sinks' }).textContent()).toContain('not configured');

    await page.getByRole('link', { name: 'siem' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'siem', level: 1 }).waitFor();
    const { rows } = await console.database.pool.query("select last_error from sinks where name = 'siem'");
    expect(await page.getByRole('region', { name: 'Text of the last error' }).textContent()).toBe(rows[0].last_error);
    await page.getByText('None: its receiver has rejected nothing permanently.').waitFor();
    expect(await page.getByRole('region', { name: 'Commands' }).textContent()).toContain('orgtrail sink replay siem');
    expectNoFaults(faults);
  });

  test('have all dead letters on pages, the newest first, each with its reason and its event', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/sinks/disk`);
    const rows = page.getByRole('region', { name: 'Table of dead letters' }).locator('tbody tr');
    const seen: string[] = [];
    for (;;) {
      await rows.first().waitFor();
      seen.push(...(await rows.locator('th').allTextContents()));
      const older = page
        .getByRole('navigation', { name: 'Pages of dead letters' })
        .getByRole('link', { name: 'Older' });
      if ((await older.count()) === 0) break;
      await Promise.all([page.waitForEvent('load'), older.click()]);
    }
    const expected = ['900,000,000,000', ...Array.from({ length: LETTERS }, (_, index) => String(LETTERS - index))];
    expect(seen).toEqual(expected);
    expect(await page.getByRole('region', { name: 'Commands' }).textContent()).toContain('replay disk --after 0 ');
    await rows.last().getByRole('link').click();
    await page.waitForURL(`${console.url}/events/1`);
    expectNoFaults(faults);
  });

  test('work without scripts; one that there never was is not found', async () => {
    const { page } = await console.newPage({ javaScriptEnabled: false });
    await page.goto(`${console.url}/sinks/disk?before=not-a-position`);
    await page.getByText('dropped by retention').waitFor();
    await page.getByRole('link', { name: 'Older' }).click();
    await page.getByRole('link', { name: 'Newest' }).waitFor();
    expect((await page.goto(`${console.url}/sinks/nosuch`))?.status()).toBe(404);
  });

  test('hostile text of a receiver is inert', () =>
    expectInert(console, ['/sinks', '/sinks/former', '/sinks/disk?before=9']));

  test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
    expectLooks(console, scheme, ['/', '/sinks', '/sinks/siem', '/sinks/disk', '/sinks/former']),
  );
});

test('without a sink the page says how to get one', async () => {
  await using other = await openConsole({ simulator: { entries: 20 } });
  const { page, url } = other;
  await page.goto(`${url}/sinks`);
  await page.getByRole('heading', { name: 'No sinks configured' }).waitFor();
  await expectLooks(other, 'light', ['/sinks']);
});

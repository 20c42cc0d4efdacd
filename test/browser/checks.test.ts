import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';

let console: ConsoleFixture;
let id: string;

const RUNS = 30;

beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 20 }, env: { ORGTRAIL_SCRUB_SHARE: '0' } });
  id = console.simulator.summary().organizations[0]?.id ?? '';
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const note = (run: object) =>
  console.database.pool.query('select orgtrail_note_verification($1::jsonb)', [JSON.stringify(run)]);

const month = { since: '2026-03-01T00:00:00Z', before: '2026-04-01T00:00:00Z' };

test('what was read a second time is led to by the menu, newest first, each with its command; without scripts', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Checks' }).click();
  await page.getByText('compares the last 30 days; its result stands here').waitFor();
  await page.getByText('None yet. The daemon begins one').waitFor();

  for (let run = 1; run <= RUNS; run += 1)
    await note({ ...month, by: `run ${run}`, counts: { sources: 3, compared: run } });
  const finding = { kind: 'organization', id, missing: 3, changed: 0, extra: 0, fixed: 0, ids: [hostileText] };
  const failing = { ...finding, id: "it's one", missing: 0, failure: hostileText };
  const counts = { sources: 2, compared: 12_345, missing: 3, failed: 1 };
  await note({ ...month, by: hostileText, counts, findings: [finding, failing] });
  await console.database.pool.query(
    `select orgtrail_note_scrub('organization', $1, 'f', $2, jsonb_build_object('round', 4, 'beganMs', 1.78e12, 'sinceMs', 1.75e12,
       'beforeMs', 1.78e12, 'entries', 900, 'missing', 2, 'seconds', 15000000))`,
    [id, hostileText],
  );

  await page.reload();
  const runs = page.getByRole('region', { name: 'Table of runs' });
  expect(await runs.locator('tbody tr').first().textContent()).toMatch(/found, not repaired\s*2026-03-01 00:00:00/);
  expect(await runs.getByRole('region', { name: /^Command/ }).textContent()).toBe(
    `orgtrail verify --since 2026-03-01T00:00:00Z --before 2026-04-01T00:00:00Z --organization ${id} 'it'\\''s one' --fix`,
  );
  const rounds = page.getByRole('region', { name: 'Table of rounds' });
  expect(await rounds.locator('tbody tr').textContent()).toMatch(/round 4\s*found, stored\s*50 % of its time read/);

  await page.getByRole('navigation', { name: 'Pages of runs' }).getByRole('link', { name: 'Older' }).click();
  const older = await runs.locator('tbody th .sub').allTextContents();
  expect(older.map((by) => by.split(',')[0])).toEqual([
    'by run 6',
    'by run 5',
    'by run 4',
    'by run 3',
    'by run 2',
    'by run 1',
  ]);
  await page.getByRole('link', { name: 'Newest' }).click();
  await page.getByRole('link', { name: 'Show only what found something' }).click();
  expect(await runs.locator('tbody th').count()).toBe(1);
  await runs.getByRole('link', { name: id }).click();
  await page.waitForURL(`${console.url}/organizations/${id}`);
});

test('goes by keyboard, and takes what is no number for nothing', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/checks?runs_before=-1&rounds_before=x&found=`);
  await page.getByRole('link', { name: 'Older' }).focus();
  await page.keyboard.press('Enter');
  await page.getByText('by run 6').waitFor();
  expectNoFaults(faults);
});

test('hostile text is inert', () => expectInert(console, ['/checks', '/checks?found=true']));

test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
  expectLooks(console, scheme, ['/checks', '/checks?found=true', '/checks?runs_before=1']),
);

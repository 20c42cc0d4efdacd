import { afterAll, beforeAll, expect, test } from 'vitest';
import { noteAccess } from '../../src/access/access-log.sql.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';

let console: ConsoleFixture;

/** The account may read the table, so that local requests without a token see all of it. */
beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 20 }, roles: ['orgtrail_ingest', 'orgtrail_reader'] });
  const { pool } = console.database;
  const note = { outcome: 'ok', address: '198.51.100.7', status: 200, requests: 1 } as const;
  await noteAccess(pool, [
    ...Array.from({ length: 60 }, (_, n) => ({
      ...note,
      kind: 'event' as const,
      who: 'tom',
      route: 'GET /events/:position',
      what: { position: String(n) },
      events: 1,
    })),
    {
      ...note,
      kind: 'search',
      who: hostileText,
      route: 'GET /events',
      what: { text: hostileText, actor: 'mira*' },
      events: 50,
    },
    {
      ...note,
      kind: 'export',
      outcome: 'cut off',
      who: 'jane',
      route: 'GET /v1/search',
      what: { q: 'x'.repeat(299), format: 'csv' },
    },
    { ...note, kind: 'refusal', outcome: 'refused', status: 401, route: 'GET /v1/search', what: {} },
    {
      kind: 'hold',
      outcome: 'ok',
      who: 'noor',
      route: 'hold add',
      what: { organizations: ['a', 'b'], since: null },
      requests: 1,
    },
  ]);
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

test('rows stand newest first with what was asked in full, and are filtered and leafed through without a script', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Access log' }).click();
  const table = page.getByRole('region', { name: 'Table of accesses' });
  const rows = () => table.locator('tbody tr').allTextContents();
  await page.getByLabel('Action').selectOption('hold');
  await page.getByRole('button', { name: 'Show' }).click();
  expect((await rows())[0]).toMatch(
    /noor\s*database account \w+\s*hold\s*hold add\s*since null\s*organizations \["a","b"\]/,
  );

  await page.getByLabel('Action').selectOption('');
  await page.getByLabel('Who').fill('tom');
  await page.getByRole('button', { name: 'Show' }).click();
  expect(await rows()).toHaveLength(50);
  expect((await rows())[0]).toMatch(
    /tom\s*198\.51\.100\.7\s*event\s*GET \/events\/:position · 200\s*position 59\s*1 event\s*1 request/,
  );
  await page.getByRole('link', { name: 'Older' }).click();
  expect((await rows()).map((row) => /position (\d+)/.exec(row)?.[1])).toEqual([
    '9',
    '8',
    '7',
    '6',
    '5',
    '4',
    '3',
    '2',
    '1',
    '0',
  ]);
  await page.getByRole('link', { name: 'Newest' }).click();
  expect(await rows()).toHaveLength(50);

  await page.goto(`${console.url}/access-log?kind=export`);
  expect((await rows())[0]).toMatch(/jane[\s\S]*export cut off[\s\S]*q x{299}\s*format csv/);
  await page.goto(`${console.url}/access-log?kind=refusal`);
  expect((await rows())[0]).toMatch(/no token[\s\S]*refusal refused[\s\S]*401\s*nothing more/);
  await page.goto(`${console.url}/access-log?kind=search&who=${encodeURIComponent(hostileText)}`);
  await table.getByRole('link', { name: 'This search' }).click();
  const { searchParams, pathname } = new URL(page.url());
  expect([pathname, searchParams.get('text'), searchParams.get('actor')]).toEqual(['/events', hostileText, 'mira*']);
  expectNoFaults(faults);
});

test('hostile names and searches are inert', () => expectInert(console, ['/access-log?kind=search']));

test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
  expectLooks(console, scheme, [
    '/access-log',
    '/access-log?kind=search',
    '/access-log?kind=export',
    '/access-log?since=x',
  ]),
);

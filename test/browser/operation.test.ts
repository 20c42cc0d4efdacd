import { expect } from 'vitest';
import { addHold, releaseHold } from '../../src/archive/holds.sql.ts';
import { noteAccess } from '../../src/postgres/access/access-log.sql.ts';
import { createAccessToken, revokeAccessToken } from '../../src/postgres/access/tokens.sql.ts';
import { test } from '../support/console/browser-test.ts';
import { type ConsoleFixture, expectNoFaults } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';
import { words } from '../support/process/words.ts';

let console: ConsoleFixture & { readonly archive: string };
let id: string;

test.beforeAll(async ({ operation }) => {
  console = operation;
  id = console.simulator.summary().organizations[0]?.id ?? '';
});

test('menus alone lead from the overview to every page, and mark where one is, without a script', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  const marked = (name: string) =>
    page.getByRole('navigation', { name, exact: true }).locator('[aria-current=page]').allTextContents();
  const found = new Map<string, object>();
  const wanted = ['/'];
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (found.has(path)) continue;
    await page.goto(`${console.url}${path}`);
    const [entry] = await marked('Pages');
    const beside = [...(await marked('Searches')), ...(await marked('Operation'))];
    expect(await page.getByRole('heading', { level: 1 }).count(), path).toBe(1);
    found.set(path, { path, entry, beside });
    for (const link of await page.locator('nav.menu a').all()) wanted.push((await link.getAttribute('href')) ?? '');
  }
  const byPath = (a: { readonly path: string }, b: { readonly path: string }) => (a.path < b.path ? -1 : 1);
  expect([...found.values()].sort(byPath as never)).toEqual([...pages].sort(byPath));
  expectNoFaults(faults);
});

test('a search goes along to what is new and back, without its times', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/events?since=24h&result=failure`);
  const menu = page.getByRole('navigation', { name: 'Searches' });
  await menu.getByRole('link', { name: 'What is new' }).click();
  await page.waitForURL(`${console.url}/events/news?result=failure`);
  await menu.getByRole('link', { name: 'Search', exact: true }).click();
  await page.waitForURL(`${console.url}/events?result=failure`);
  expectNoFaults(faults);
});

const LETTERS = 120;

/** One sink delivers, one has a receiver that is not there, and one is not configured any more. */
const fillSinks = async (): Promise<void> => {
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
};

test('the sinks are led to by the trouble on the overview, the failing one first, its error whole', async () => {
  await fillSinks();
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

test('the sinks work without scripts; one that there never was is not found', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks/disk?before=not-a-position`);
  await page.getByText('dropped by retention').waitFor();
  await page.getByRole('link', { name: 'Older' }).click();
  await page.getByRole('link', { name: 'Newest' }).waitFor();
  expect((await page.goto(`${console.url}/sinks/nosuch`))?.status()).toBe(404);
});

test('without a sink the page says how to get one', async ({ explorer }) => {
  const { page } = await explorer.newPage();
  await page.goto(`${explorer.url}/sinks`);
  await page.getByRole('heading', { name: 'No sinks configured' }).waitFor();
  await expectLooks(explorer, ['/sinks']);
});

test('without a hold the page says what that means; with holds it has each, by whom and why', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Legal holds' }).click();
  await page.getByText('None: retention drops months as soon as they are old enough.').waitFor();

  const { pool } = console.database;
  const hold = { organizationId: undefined, sinceMs: undefined, beforeMs: undefined, by: undefined };
  const ofJane = await addHold({ pool }, { ...hold, organizationId: id, reason: hostileText, by: 'jane.doe' });
  const ofAll = await addHold({ pool }, { ...hold, reason: 'notice of the regulator', sinceMs: Date.UTC(2026, 0, 1) });
  const over = await addHold({ pool }, { ...hold, reason: 'over', accountId: 'account-of-the-test' });
  await releaseHold({ pool }, over.id, 'noor');

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
  await page.waitForURL(`${console.url}/organizations/${id}`);
  for (const { id: held } of [ofJane, ofAll]) await releaseHold({ pool }, held, 'noor');
});

test('each month has its objects, what they hold, when they were read back and dropped; faults stand whole', async () => {
  const { pool } = console.database;
  await pool.query(
    `insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256, raw_sha256,
       columns_sha256, organizations, fault, verified_at, dropped_at)
     select $1, 'v1/' || n || '.parquet', case n when 3 then 'changes' else 'events' end, '2024-01-01', gen_random_uuid(), n * 1000, n * 1000 + 999, 1000,
       123456, repeat('a', 64), repeat('a', 64), repeat('a', 64), repeat('a', 64), '[]', case n when 2 then $2 end,
       '2025-02-01 10:00:00+00', '2025-02-02 11:00:00+00' from generate_series(1, 3) n`,
    [console.archive, `${hostileText} ${'not the bytes of its SHA-256 '.repeat(20)}`],
  );
  await pool.query(
    "insert into retention_drops (partition, month, events, changes, bytes, retention) values ('audit_events_2023_12', '2023-12-01', 77, 0, 1, '1 year')",
  );
  await addHold(
    { pool },
    {
      organizationId: undefined,
      sinceMs: Date.UTC(2023, 11, 5),
      beforeMs: Date.UTC(2023, 11, 6),
      reason: hostileText,
      by: undefined,
    },
  );
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/holds`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Archive' }).click();
  await page.getByRole('heading', { name: 'Archive in use' }).waitFor();
  await page.getByText('No month is dropped by any process before it is there.').waitFor();
  const rows = await page.getByRole('region', { name: 'Table of months' }).locator('tbody tr').allTextContents();
  expect(rows).toHaveLength(2);
  expect(rows[0]).toMatch(
    /2024-01\s*in the archive alone\s*Thaw for 7 days\s*3\s*1 with a fault\s*2,000\s*1,000 later contents\s*370,368\s*2025-02-01 10:00:00\s*2025-02-02 11:00:00\s*none/,
  );
  expect(rows[1]).toMatch(/2023-12\s*dropped without an archive\s*0\s*0\s*0\s*never[\s\S]*77 events\s*hold \d+: /);
  await page.getByText('Months leave the database 3650d after they ended').waitFor();
  await page.getByText('No month is old enough now.').waitFor();
  await page.getByRole('link', { name: '1 with a fault' }).click();
  await page.waitForURL(`${console.url}/archive#faults`);
  const [fault] = await page.getByRole('region', { name: 'Table of faults' }).locator('tbody tr').allTextContents();
  expect(fault).toContain('not the bytes of its SHA-256 '.repeat(20).trim());
  expectNoFaults(faults);
});

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
  expect(older.map((by) => by.split(',')[0])).toEqual([6, 5, 4, 3, 2, 1].map((run) => `by run ${run}`));
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

const made = async (
  name: string,
  scopes: readonly ('feed' | 'search' | 'metrics')[],
  expiresAt: Date | undefined = undefined,
) => {
  const token = await createAccessToken({ pool: console.database.pool }, { name, scopes, expiresAt });
  if (token === undefined) throw new Error(`there is a token ${name}`);
  return token.token;
};

/** A session in force of the token of this name; null: of ORGTRAIL_FEED_TOKEN. */
const beginSession = async (name: string | null): Promise<void> => {
  await console.database.pool.query(
    `insert into console_sessions (key, token_id, expires_at)
     values (sha256(gen_random_uuid()::text::bytea), (select id from access_tokens where name = $1), now() + interval '1 hour')`,
    [name],
  );
};

test('each token has its name, scopes, beginning and end, with its sessions, and nothing that opens anything', async () => {
  const { pool } = console.database;
  const secrets = [
    await made('siem', ['feed']),
    await made('jane.doe', ['search', 'feed'], new Date(Date.now() + 90 * 86_400_000)),
    await made('noor', ['search']),
    await made('former', ['metrics']),
  ];
  await revokeAccessToken({ pool }, 'former');
  await pool.query(
    `insert into access_tokens (name, hash, scopes, expires_at, created_as) values
       ($1, decode(repeat('ab', 32), 'hex'), '{search}', now() - interval '1 day', $1)`,
    [hostileText],
  );
  await beginSession('jane.doe');
  const note = { kind: 'feed', outcome: 'ok', address: '::1', route: 'GET /v1/events', what: {}, requests: 1 } as const;
  await noteAccess(console.database.pool, [{ ...note, who: 'siem' }]);
  await beginSession(null);
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Tokens' }).click();
  await page.getByRole('heading', { name: '3 tokens in force' }).waitFor();
  const rows = (name: string) => page.getByRole('region', { name }).locator('tbody tr').allTextContents();
  const [noor, jane, siem, ...others] = await rows('Table of tokens in force');
  expect(others).toEqual([]);
  expect(noor).toMatch(/noor\s+search[\s\S]*no end\s+not in 400 days\s+none now/);
  expect(jane).toMatch(/jane\.doe\s+feed, search|jane\.doe\s+search, feed/);
  expect(jane).toMatch(/in 89d[\s\S]*1 session now\s*the last began 2\d{3}-/);
  expect(siem).toMatch(/siem\s+feed[\s\S]*no end\s+2\d{3}-\d\d-\d\d\s+it cannot sign in/);
  const ended = await rows('Table of ended tokens');
  expect(ended.map((row) => /window\.hacked|former/.exec(row)?.[0])).toEqual(['window.hacked', 'former']);
  expect(ended[0]).toMatch(/expired\s+not in 400 days\s+ended with it/);
  expect(ended[1]).toMatch(/revoked 2\d{3}-[\s\S]*by the database account \w/);

  const content = await page.content();
  const { rows: hashes } = await console.database.pool.query<{ hash: string }>(
    "select encode(hash, 'hex') as hash from access_tokens",
  );
  for (const secret of [...secrets, ...hashes.map(({ hash }) => hash)]) expect(content).not.toContain(secret);
  expectNoFaults(faults);
});

test('commands can be copied', async () => {
  const { page, faults } = await console.newPage({ permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto(`${console.url}/access-tokens`);
  await page.getByRole('button', { name: 'Copy the command that revokes a token' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  expect(await page.evaluate('navigator.clipboard.readText()')).toBe('orgtrail token revoke NAME');
  expectNoFaults(faults);
});

test('rows stand newest first with what was asked in full, and are filtered and leafed through without a script', async () => {
  const note = { outcome: 'ok', address: '198.51.100.7', status: 200, requests: 1 } as const;
  await noteAccess(console.database.pool, [
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
  expect((await rows()).map((row) => /position (\d+)/.exec(row)?.[1])).toEqual([...'9876543210']);
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

test('hostile text is inert', () =>
  expectInert(
    console,
    words(`
    /sinks /sinks/former /sinks/disk?before=9 /holds /checks /checks?found=true /archive /access-tokens
    /access-log?kind=search`),
  ));

test('nothing that axe finds, nothing wider than the screen', () =>
  expectLooks(console, [
    ...pages.map(({ path }) => path),
    '/sinks/siem',
    '/sinks/disk',
    '/sinks/former',
    '/checks?found=true',
    '/checks?runs_before=1',
    '/access-log?kind=search',
    '/access-log?kind=export',
    '/access-log?since=x',
  ]));

/** Every page that has no value in its address, with the entry of the menu and the page beside it that are marked there. */
const pages = [
  { path: '/', entry: 'Overview', beside: [] },
  { path: '/events', entry: 'Events', beside: ['Search'] },
  { path: '/events/news', entry: 'Events', beside: ['What is new'] },
  { path: '/searches', entry: 'Events', beside: ['Saved searches'] },
  { path: '/detections', entry: 'Detections', beside: [] },
  { path: '/evidence-log', entry: 'Evidence', beside: [] },
  { path: '/sinks', entry: 'Operation', beside: ['Sinks'] },
  { path: '/holds', entry: 'Operation', beside: ['Legal holds'] },
  { path: '/checks', entry: 'Operation', beside: ['Checks'] },
  { path: '/archive', entry: 'Operation', beside: ['Archive'] },
  { path: '/access-tokens', entry: 'Operation', beside: ['Tokens'] },
  { path: '/access-log', entry: 'Operation', beside: ['Access log'] },
] as const;

const RUNS = 30;

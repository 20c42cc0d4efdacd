import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { test } from '../support/console/browser-test.ts';
import { type ConsoleFixture, expectNoFaults } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText } from '../support/console/page-looks.ts';
import { newSigner, openBuilder } from '../support/evidence/builder-world.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

const { folder } = temporaryFolder();
let console: ConsoleFixture;

/**
 * Ordinary work; beside it a token for all zones whose texts are hostile, and a burst of deletes. All of it is so new that the next turns
 * read it. All that is stored is signed; an anchor is hostile.
 */
test.beforeAll(async ({ operation }) => {
  console = operation;
  const { simulator } = console;
  const [organization] = simulator.summary().organizations;
  const burst = Array.from({ length: 12 }, (_, n) =>
    entry(`burst-${n}`, (60 - n) * SECOND_MS, { type: 'delete' }, { resource: { type: 'page', id: `page-${n}` } }),
  );
  const request = { policies: [{ resources: { 'com.cloudflare.api.account.zone.*': '*' } }] };
  const wide = entry(
    'wide',
    30 * SECOND_MS,
    { type: 'create', description: `Create API Token ${hostileText}` },
    { resource: { type: 'api_token', id: hostileText, request }, actor: { id: 'x', email: hostileText } },
  );
  simulator.append(organization?.id ?? '', [...burst, wide]);
  await console.untilStored();
  const { pool } = console.database;
  await openBuilder(pool, newSigner()).build();
  await pool.query(
    `insert into evidence_anchors (anchor, size, number, at, error, failed_at)
     values ('file:/mnt/worm', 40, 1, clock_timestamp() - interval '2 hours', null, null),
       ($1, 60, 1, null, $1, clock_timestamp())`,
    [`witness:${hostileText}`],
  );
});

describe('the detections', () => {
  test('are counted by severity and rule, filtered by both, and say what each means', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/`);
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Detections' }).click();
    await page.getByRole('heading', { name: 'Detections', level: 1 }).waitFor();
    const { rows } = await console.database.pool.query<{ severity: string; found: number }>(
      `select severity, count(*)::integer as found from detections where action_time > now() - interval '24 hours' group by 1`,
    );
    const high = rows.find(({ severity }) => severity === 'high')?.found ?? 0;
    expect(high).toBeGreaterThan(0);
    await page.getByRole('link', { name: 'show these of severity high' }).click();
    await page.getByRole('heading', { name: `${high} finding` }).waitFor();
    const marks = await page.getByRole('region', { name: 'Table of findings' }).locator('.state').allTextContents();
    expect(new Set(marks)).toEqual(new Set(['high']));

    await page.getByLabel('Rule', { exact: true }).selectOption('delete_burst');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.getByRole('heading', { name: '1 finding' }).waitFor();
    const rules = page.getByRole('region', { name: 'Table of rules' });
    expect(await rules.locator('tbody tr').count()).toBe(1);
    expect(await rules.textContent()).toContain('10 deletes by one actor in one organization within 5 minutes.');
    expect(await rules.textContent()).toContain('deploy/sigma/cloudflare_delete_burst.yml');
    // All that the actor did in the burst.
    await page.getByRole('link', { name: 'its events' }).click();
    await page.waitForURL(/\/events\?since=/);
    expect(await page.locator('.match-count strong').textContent()).toMatch(/^1\d events$/);
    expectNoFaults(faults);
  });

  test('lead to their event, which has the mark, as its row in a result has it', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/detections?detection=api_token_wide_scope`);
    await page.getByRole('region', { name: 'Table of findings' }).locator('tbody th a').first().focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/events\/\d+$/);
    expect(await page.locator('.event-head .mark').allTextContents()).toEqual(
      expect.arrayContaining(['detection: API token changed', 'detection: API token wide scope']),
    );
    await page.goto(`${console.url}/events?resource=${encodeURIComponent(hostileText)}`);
    expect(await page.locator('.events .cell-result .mark').allTextContents()).toEqual(
      expect.arrayContaining(['detection: API token changed', 'detection: API token wide scope']),
    );
    await page.getByRole('link', { name: 'detection: API token wide scope' }).click();
    await page.waitForURL(/\/detections\?detection=api_token_wide_scope$/);
    expectNoFaults(faults);
  });

  test('work without scripts; what is misspelt is refused; a time without any says so', async () => {
    const { page } = await console.newPage({ javaScriptEnabled: false });
    const status = async (path: string) => (await page.goto(`${console.url}${path}`))?.status();
    expect(await status('/detections?since=2020-01-01&before=2020-01-02')).toBe(200);
    await page.getByText('The rules found nothing in what is stored of this time.').waitFor();
    expect(await status('/detections?since=lately')).toBe(400);
    await page.locator('#d-since-fault').waitFor();
    expect(await status('/detections?organization=nosuch')).toBe(400);
    for (const wrong of ['severity=higher', 'detection=nosuch', 'severty=high']) {
      expect(await status(`/detections?${wrong}`), wrong).toBe(400);
    }
  });
});

describe('the page of the evidence', () => {
  test('is reached from the menu and, if something is wrong, from the overview, also by keyboard', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/`);
    await page.getByRole('region', { name: 'Evidence' }).getByRole('link', { name: 'Evidence' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Evidence', level: 1 }).waitFor();
    const current = page.getByRole('navigation', { name: 'Pages' }).locator('[aria-current=page]');
    expect(await current.textContent()).toBe('Evidence');
    for (const name of ['The log', 'Anchors', 'What is not covered', 'For an auditor']) {
      await page.getByRole('heading', { name, level: 2, exact: true }).waitFor();
    }
    expectNoFaults(faults);
  });

  test('gives out the checkpoint as a file of its own name, and the key by a button', async () => {
    const { page, faults } = await console.newPage();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.goto(`${console.url}/evidence-log`);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download checkpoint' }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^log-1-\d+\.checkpoint$/);
    const { rows } = await console.database.pool.query<{ note: string }>(
      'select note from evidence_checkpoints order by size desc limit 1',
    );
    expect(await readFile(await download.path(), 'utf8')).toBe(rows[0]?.note);
    await page.getByRole('button', { name: 'Copy key' }).first().click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toMatch(/^audit\.example\.com\/\S+\.1\+\w+\+\S+\n$/);
    expectNoFaults(faults);
  });

  test('works without scripts', async () => {
    const { page } = await console.newPage({ javaScriptEnabled: false });
    await page.goto(`${console.url}/evidence-log`);
    await page.getByRole('link', { name: 'Download key' }).waitFor();
    expect(await page.getByRole('button', { name: 'Copy key' }).count()).toBe(0);
  });
});

test('a search is exported as one file, by keyboard and without a script, that both verifiers hold for whole', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/events?since=30d&q=${encodeURIComponent(`-text:${JSON.stringify(hostileText)}`)}`);
  const matches = await page.locator('.match-count strong').textContent();
  await page.getByText('Use result').press('Enter');
  await page.getByRole('link', { name: 'Evidence bundle' }).focus();
  const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
  expect(download.suggestedFilename()).toMatch(/^orgtrail-search-[\dTZ-]+\.zip$/);
  await download.saveAs(join(folder, download.suggestedFilename()));
  execFileSync('python3', ['-m', 'zipfile', '-e', download.suggestedFilename(), '.'], { cwd: folder });
  const bundle = join(folder, download.suggestedFilename().replace('.zip', ''));
  const verified = await runInProcess(['evidence', 'verify', bundle], {});
  const byPython = execFileSync('python3', ['-B', join(bundle, 'verify.py')], { encoding: 'utf8' });
  expect(byPython).toContain(`${matches} with `);
  const question = await readFile(join(bundle, 'query.json'), 'utf8');
  expect(JSON.parse(question).words).toContain(`the entry does not contain ${JSON.stringify(hostileText)}`);
  expect(verified.stdout).toContain(`${matches} with `);
  expect(verified.code).toBe(0);
  expectNoFaults(faults);
});

test('hostile text is inert', () =>
  expectInert(console, ['/', '/evidence-log', '/detections?detection=api_token_wide_scope']));

test('nothing that axe finds, nothing wider than the screen', () =>
  expectLooks(console, [
    '/detections',
    '/detections?detection=delete_burst',
    '/detections?since=lately',
    `/events?resource=${encodeURIComponent(hostileText)}`,
    '/',
    '/events/7',
    '/evidence-log',
  ]));

const SECOND_MS = 1_000;

const entry = (id: string, agoMs: number, action: object, more: object): string =>
  JSON.stringify({
    id,
    action: { result: 'success', time: new Date(Date.now() - agoMs).toISOString(), ...action },
    actor: { id: 'mallory', email: 'mallory@example.com', ip_address: '198.51.100.7' },
    ...more,
  });

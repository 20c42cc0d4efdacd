import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { newSigner, openBuilder } from '../support/evidence/builder-world.ts';
import { runInProcess } from '../support/process/run-in-process.ts';

const hostile = `</title><script>window.hacked=1</script><img src="https://evil.example/x" onerror="window.hacked=1">"'\u202egnp.exe`;

let console: ConsoleFixture;

/** All that is stored is signed; an anchor and a name are hostile. */
beforeAll(async () => {
  console = await openConsole({
    simulator: { entries: 200 },
    roles: ['orgtrail_ingest', 'orgtrail_evidence'],
    env: { ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' },
  });
  const { pool } = console.database;
  await openBuilder(pool, newSigner()).build();
  await pool.query(
    `insert into evidence_anchors (log, generation, anchor, size, at, error, failed_at)
     values ('events', 1, 'file:/mnt/worm', 40, clock_timestamp() - interval '2 hours', null, null),
       ('events', 1, $1, 60, null, $1, clock_timestamp())`,
    [`witness:${hostile}`],
  );
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

describe('the page of the evidence', () => {
  test('is reached from the menu and, if something is wrong, from the overview, also by keyboard', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/`);
    await page.getByRole('region', { name: 'Evidence' }).getByRole('link', { name: 'Evidence' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Evidence', level: 1 }).waitFor();
    const current = page.getByRole('navigation', { name: 'Pages' }).locator('[aria-current=page]');
    expect(await current.textContent()).toBe('Evidence');
    for (const name of ['Log of events', 'Log of statements', 'Anchors', 'What is not covered', 'For an auditor']) {
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
      page.getByRole('link', { name: 'Download checkpoint of the Log of events' }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/^events-1-\d+\.checkpoint$/);
    const { rows } = await console.database.pool.query<{ note: string }>(
      `select note from evidence_checkpoints where log = 'events' order by size desc limit 1`,
    );
    expect(await readFile(await download.path(), 'utf8')).toBe(rows[0]?.note);
    await page.getByRole('button', { name: 'Copy key' }).first().click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toMatch(
      /^audit\.example\.com\/\S+\/events\+\w+\+\S+\n$/,
    );
    expectNoFaults(faults);
  });

  test('hostile text is inert', async () => {
    const { page, faults } = await console.newPage();
    for (const path of ['/', '/evidence-log']) {
      await page.goto(`${console.url}${path}`, { waitUntil: 'networkidle' });
      await page.getByText('window.hacked=1').first().waitFor();
      expect(await page.evaluate('window.hacked')).toBeUndefined();
      expect(await page.evaluate('document.querySelectorAll("main img, main script").length')).toBe(0);
    }
    expectNoFaults(faults);
  });

  test('works without scripts', async () => {
    const { page } = await console.newPage({ javaScriptEnabled: false });
    await page.goto(`${console.url}/evidence-log`);
    await page.getByRole('link', { name: 'Download key of the Log of events' }).waitFor();
    expect(await page.getByRole('button', { name: 'Copy key' }).count()).toBe(0);
  });
});

describe('the proof of an event', () => {
  test('is the pair that the command verifies, under the names that the browser gives', async () => {
    const { page, faults } = await console.newPage();
    await page.goto(`${console.url}/events/7`);
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-proof-'));
    for (const name of ['Download event 7.json', 'Download proof 7.tlog-proof']) {
      const link = page.getByRole('link', { name });
      await link.focus();
      const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
      await download.saveAs(join(folder, download.suggestedFilename()));
    }
    const verified = await runInProcess(['evidence', 'verify', join(folder, '7.tlog-proof')], {});
    await rm(folder, { recursive: true });
    expect(verified).toMatchObject({ code: 0, stderr: '' });
    expect(await accessibilityFaults(page)).toEqual([]);
    expectNoFaults(faults);
  });
});

describe('a search', () => {
  test('is exported as one file, by keyboard and without a script, that both verifiers hold for whole', async () => {
    const { page, faults } = await console.newPage({ javaScriptEnabled: false });
    await page.goto(`${console.url}/events?since=30d&q=${encodeURIComponent(`-text:${JSON.stringify(hostile)}`)}`);
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-bundle-'));
    await page.getByRole('link', { name: 'Evidence bundle' }).focus();
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')]);
    expect(download.suggestedFilename()).toMatch(/^orgtrail-search-[\dTZ-]+\.zip$/);
    await download.saveAs(join(folder, download.suggestedFilename()));
    execFileSync('python3', ['-m', 'zipfile', '-e', download.suggestedFilename(), '.'], { cwd: folder });
    const bundle = join(folder, download.suggestedFilename().replace('.zip', ''));
    const verified = await runInProcess(['evidence', 'verify', bundle], {});
    const byPython = execFileSync('python3', ['-B', join(bundle, 'verify.py')], { encoding: 'utf8' });
    expect(byPython).toContain('200 events are in audit.example.com/');
    const question = await readFile(join(bundle, 'query.json'), 'utf8');
    expect(JSON.parse(question).words).toContain(`the entry does not contain ${JSON.stringify(hostile)}`);
    await rm(folder, { recursive: true });
    expect(verified.stdout).toContain('200 events are in audit.example.com/');
    expect(verified.code).toBe(0);
    expectNoFaults(faults);
  });
});

describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
  test.each([360, 1280])('at %i px: nothing that axe finds, nothing wider than the screen', async (width) => {
    const { page } = await console.newPage({ colorScheme, viewport: { width, height: 800 } });
    for (const path of ['/', '/events', '/events/7', '/evidence-log']) {
      await page.goto(`${console.url}${path}`);
      expect(await page.evaluate('document.documentElement.scrollWidth'), path).toBe(width);
      expect(await accessibilityFaults(page), path).toEqual([]);
    }
    if (process.env['SHOTS'] !== undefined)
      await page.screenshot({ path: `${process.env['SHOTS']}/${colorScheme}-${width}.png`, fullPage: true });
  });
});

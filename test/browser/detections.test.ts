import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';

const SECOND_MS = 1_000;

let console: ConsoleFixture;

const entry = (id: string, agoMs: number, action: object, more: object): string =>
  JSON.stringify({
    id,
    action: { result: 'success', time: new Date(Date.now() - agoMs).toISOString(), ...action },
    actor: { id: 'mallory', email: 'mallory@example.com', ip_address: '198.51.100.7' },
    ...more,
  });

/** Ordinary work; beside it a token for all zones whose texts are hostile, and a burst of deletes. All of it is so new that the next turns read it. */
beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 200 } });
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
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

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
    expect(await status('/detections?since=yesterday')).toBe(400);
    await page.locator('#d-since-fault').waitFor();
    expect(await status('/detections?organization=nosuch')).toBe(400);
    for (const wrong of ['severity=higher', 'detection=nosuch', 'severty=high']) {
      expect(await status(`/detections?${wrong}`), wrong).toBe(400);
    }
  });

  test('hostile text of an entry is inert', () => expectInert(console, ['/detections?detection=api_token_wide_scope']));

  test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
    expectLooks(console, scheme, [
      '/detections',
      '/detections?detection=delete_burst',
      '/detections?since=yesterday',
      `/events?resource=${encodeURIComponent(hostileText)}`,
    ]),
  );
});

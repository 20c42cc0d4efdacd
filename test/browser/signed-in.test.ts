import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, describe, expect } from 'vitest';
import { createAccessToken } from '../../src/postgres/access/tokens.sql.ts';
import { untilNoted } from '../support/accounts/access-log.ts';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { test } from '../support/console/browser-test.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectLooks, expectNoMarkup, hostileText } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';

let console: ConsoleFixture;
let folder: string;
let onCall: string;

/** A sink that has delivered all, with dead letters whose reasons mean harm; an actor whose name is hostile changed a token, among others who did. */
test.beforeAll(async ({ chromium }) => {
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-replay-page-'));
  console = await openConsole(chromium, {
    simulator: { entries: 200 },
    env: {
      ORGTRAIL_FEED_TOKEN: feedToken,
      ORGTRAIL_SINKS: JSON.stringify({ disk: { type: 'file', path: join(folder, 'events.ndjson') } }),
    },
  });
  const [organization] = console.simulator.summary().organizations;
  const token = {
    id: 'token',
    action: { type: 'create', result: 'success', description: 'Create API Token', time: new Date(Date.now() - 30_000) },
    actor: { id: 'x', email: hostileText },
    resource: { type: 'api_token', id: 'token-of-it', request: {} },
  };
  console.simulator.append(organization?.id ?? '', [JSON.stringify(token)]);
  await console.untilStored();
  const { pool } = console.database;
  await untilDelivered();
  await pool.query("insert into sink_dead_letters (sink, position, reason) values ('disk', 12, $1)", [hostileText]);
  const made = await createAccessToken(
    { pool },
    {
      name: 'on-call',
      scopes: ['search'],
      expiresAt: undefined,
      replaysSinks: true,
    },
  );
  onCall = made?.token ?? '';
});
afterAll(async () => {
  await console?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const untilDelivered = () =>
  until('the sink has delivered all', async () => {
    const { rows } = await console.database.pool.query(
      "select position = (select position from feed_head) and batch_until is null as done from sinks where name = 'disk'",
    );
    return rows[0]?.done === true;
  });

const linesOf = async (): Promise<number> => (await readFile(join(folder, 'events.ndjson'), 'utf8')).split('\n').length;

/** Fills in the form of the page that asks to sign in. */
const enter = async (page: Page, token: string): Promise<void> => {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
};

const signIn = async (page: Page, token: string): Promise<void> => {
  await page.goto(`${console.url}/sinks/disk`);
  await enter(page, token);
  await page.getByRole('heading', { name: 'disk', level: 1 }).waitFor();
};

/** Signs in, and leads to the findings about tokens. */
const openFindings = async (page: Page): Promise<void> => {
  await page.goto(`${console.url}/detections?detection=api_token_changed`);
  await enter(page, feedToken);
  await page.getByRole('heading', { name: 'Detections', level: 1 }).waitFor();
};

const rowOf = (page: Page) =>
  page.getByRole('region', { name: 'Table of findings' }).locator('tbody tr').filter({ hasText: 'window.hacked' });

test('a wrong token is refused, the right one opens what was asked for, signing out closes it', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/?state=failing`);
  expect(new URL(page.url()).pathname).toBe('/console/sign-in');
  expect(await accessibilityFaults(page)).toEqual([]);

  const field = page.getByLabel('Token');
  await field.fill('not-the-token-of-the-test');
  await field.press('Enter');
  await page.getByRole('alert').getByText('Wrong, expired or revoked token.').waitFor();
  expect(await accessibilityFaults(page)).toEqual([]);

  await page.getByLabel('Token').fill(feedToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview', level: 1 }).waitFor();
  expect(page.url()).toBe(`${console.url}/?state=failing`);

  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ name: 'orgtrail_session', httpOnly: true, sameSite: 'Strict', path: '/' });
  expect(cookie?.value).not.toContain(feedToken);

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await page.goto(`${console.url}/`);
  expect(new URL(page.url()).pathname).toBe('/console/sign-in');
  expectNoFaults(faults);
});

describe.each([true, false])('with scripts: %s', (javaScriptEnabled) => {
  test('findings of an actor are muted with a reason, shown on request, and unmuted; all of it is kept', async () => {
    const { page, faults } = await console.newPage({
      javaScriptEnabled,
      colorScheme: javaScriptEnabled ? 'light' : 'dark',
    });
    await openFindings(page);
    const before = await page.getByRole('heading', { name: /^\d+ findings?$/ }).textContent();
    await rowOf(page).getByRole('link', { name: 'Mute API token changed by this actor' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Mute API token changed', level: 1 }).waitFor();
    await page.getByLabel('Reason').fill(`rotation ${hostileText}`);
    if (javaScriptEnabled) expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Mute as ORGTRAIL_FEED_TOKEN' }).click();
    await page.getByRole('region', { name: 'Table of mutes' }).getByText('window.hacked').first().waitFor();
    await page.goto(`${console.url}/detections?detection=api_token_changed`);
    expect(await rowOf(page).count()).toBe(0);
    if (javaScriptEnabled) {
      await expectNoMarkup(page);
      await expectLooks(
        console,
        ['/detections?detection=api_token_changed', '/detections/mute?detection=member_added'],
        async (of) => {
          if (of.url().includes('/console/sign-in')) await enter(of, feedToken);
          await of.locator('main h1').waitFor();
        },
      );
    }

    await page.getByRole('link', { name: 'Show muted ones, too' }).click();
    await rowOf(page).getByText('(muted)').waitFor();
    expect(await page.getByRole('heading', { name: /^\d+ findings?$/ }).textContent()).toBe(before);

    await page.getByRole('link', { name: 'Unmute API token changed' }).click();
    if (javaScriptEnabled) expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Unmute as ORGTRAIL_FEED_TOKEN' }).click();
    await page.getByRole('heading', { name: 'Detections', level: 1 }).waitFor();
    expect(await page.getByRole('region', { name: 'Table of mutes' }).count()).toBe(0);
    await page.goto(`${console.url}/detections?detection=api_token_changed`);
    await rowOf(page).waitFor();

    // What was found up to now, from its row among all rules.
    await page.goto(`${console.url}/detections?since=31d`);
    const row = rowOf(page).filter({ hasText: 'API token changed' });
    await row.getByRole('link', { name: /^Acknowledge / }).click();
    await page.getByLabel('Note').fill('asked, and it was a rotation');
    if (javaScriptEnabled) expect(await accessibilityFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Acknowledge as ORGTRAIL_FEED_TOKEN' }).click();
    await page.getByRole('region', { name: 'Table of mutes' }).getByText('asked, and it was a rotation').waitFor();
    await page.goto(`${console.url}/detections?since=31d`);
    expect(await row.count()).toBe(0);
    await page.getByRole('link', { name: 'Unmute API token changed' }).click();
    await page.getByRole('button', { name: 'Unmute as ORGTRAIL_FEED_TOKEN' }).click();
    await page.goto(`${console.url}/detections?since=31d`);
    await row.waitFor();
    const wanted = javaScriptEnabled ? 4 : 8;
    await until('both are in the trail of access, with the name', async () => {
      const { rows } = await console.database.pool.query<{ who: string }>(
        "select who from access_log where kind = 'mute'",
      );
      return rows.length === wanted && rows.every(({ who }) => who === 'ORGTRAIL_FEED_TOKEN');
    });
    expectNoFaults(faults);
  });
});

test('what lacks a reason, is muted already or may not be muted is refused', async () => {
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await openFindings(page);
  const post = ({ detection = '', ...form }: Record<string, string>, origin = console.url) =>
    page.request.post(`${console.url}/detections/mute?detection=${detection}`, {
      form,
      headers: { origin },
      maxRedirects: 0,
    });
  const wanted = { detection: 'member_added', reason: 'new colleagues', days: '7' };
  for (const reason of ['  ', '\u200b', '\u0001']) expect((await post({ ...wanted, reason })).status()).toBe(400);
  expect((await post({ ...wanted, days: '8' })).status()).toBe(400);
  expect((await post({ ...wanted, detection: 'nosuch' })).status()).toBe(404);
  expect((await post({ ...wanted, detection: 'collector_token' })).status()).toBe(400);
  expect((await post(wanted, 'https://evil.example')).status()).toBe(403);
  expect((await post(wanted)).status()).toBe(303);
  const again = await post(wanted);
  expect([again.status(), await again.text()]).toEqual([400, expect.stringContaining('are muted already')]);
  const { rows } = await console.database.pool.query(
    'select count(*)::integer as n from detection_mutes where ended_at is null',
  );
  expect(rows[0].n).toBe(1);
});

test('where the console is open without a token, nothing is muted', async ({ operation }) => {
  const { page } = await operation.newPage();
  const { url } = operation;
  await page.goto(`${url}/detections/mute?detection=member_added`);
  await page.getByText('It needs a signed-in user').waitFor();
  expect(await page.getByRole('button', { name: /^Mute/ }).count()).toBe(0);
  const form = { reason: 'r', days: '7' };
  const answer = await page.request.post(`${url}/detections/mute?detection=member_added`, {
    form,
    headers: { origin: url },
  });
  expect(answer.status()).toBe(403);
});

test.each([true, false])(
  'a sink is replayed from its oldest dead letter on, by keyboard, scripts: %s',
  async (javaScriptEnabled) => {
    const { page, faults } = await console.newPage({ javaScriptEnabled });
    await signIn(page, onCall);
    const before = await linesOf();
    const { rows } = await console.database.pool.query("select position::integer from sinks where name = 'disk'");
    await page.getByLabel('After the position').focus();
    expect(await page.getByLabel('After the position').inputValue()).toBe('11');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Replay disk', level: 1 }).waitFor();
    const again = rows[0].position - 11;
    await page.getByText(`${again} positions again`).waitFor();
    expect(await linesOf(), 'asking sends nothing').toBe(before);
    await page.getByRole('button', { name: 'Replay as on-call' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'disk', level: 1 }).waitFor();
    await until('all is in the file once more', async () => (await linesOf()) >= before + again);
    await untilDelivered();
    expect(await untilNoted(console.database.pool, { kind: 'replay', who: 'on-call' })).toMatchObject({
      route: 'POST /sinks/:name/replay',
      what: { sink: 'disk', after: 11 },
    });
    await page.goto(`${console.url}/access-log?kind=replay`);
    await page.getByRole('region', { name: 'Table of accesses' }).getByText('after 11').first().waitFor();
    await console.database.pool.query(
      "insert into sink_dead_letters (sink, position, reason) values ('disk', 12, $1) on conflict do nothing",
      [hostileText],
    );
    expectNoFaults(faults);
  },
);

test('a token that was not made for it has no button; what the address says is inert', async () => {
  const { page, faults } = await console.newPage();
  await signIn(page, feedToken);
  await page.goto(`${console.url}/sinks/disk/replay?after=0`);
  await page.getByRole('heading', { name: 'This session may not replay' }).waitFor();
  expect(await page.getByRole('button', { name: /^Replay/ }).count()).toBe(0);
  const answer = await page.goto(`${console.url}/sinks/disk/replay?${new URLSearchParams({ after: hostileText })}`);
  expect(answer?.status()).toBe(400);
  await page.getByText('The position must be a number').waitFor();
  await expectNoMarkup(page);
  expectNoFaults(faults);
});

test('nothing that axe finds, nothing wider than the screen, for one who may replay', () =>
  expectLooks(
    console,
    ['/sinks/disk', '/sinks/disk/replay?after=11', '/sinks/disk/replay?after=x', '/access-tokens'],
    async (page) => {
      if (page.url().includes('/console/sign-in')) await enter(page, onCall);
      await page.locator('main h1').waitFor();
    },
  ));

// The last: from then on no one signs in from this address.
test('who tries too often is told to wait', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/console/sign-in`);
  const waiting = page.getByText(/Too many attempts to sign in from your address. Try again in/);
  const refused = page.getByText('Wrong, expired or revoked token.');
  const wrong = { form: { token: 'not-the-token-of-the-test' }, headers: { origin: console.url } };
  // At once, and again: a minute later they are forgotten, which a busy machine may need for the form.
  do {
    await Promise.all(Array.from({ length: 12 }, () => page.request.post(`${console.url}/console/sign-in`, wrong)));
    await page.getByLabel('Token').fill('not-the-token-of-the-test');
    await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Sign in' }).click()]);
    await waiting.or(refused).waitFor();
  } while (!(await waiting.isVisible()));
  expectNoFaults(faults);
});

const feedToken = 'feed-token-of-the-test';

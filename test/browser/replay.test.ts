import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAccessToken } from '../../src/access/access-tokens.sql.ts';
import { untilNoted } from '../support/accounts/access-log.ts';
import { accessibilityFaults } from '../support/console/accessibility.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { hostileText } from '../support/console/page-looks.ts';
import { until } from '../support/process/until.ts';

const feedToken = 'feed-token-of-the-test';

let console: ConsoleFixture;
let folder: string;
let onCall: string;

/** A sink that has delivered all, with dead letters whose reasons mean harm. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'orgtrail-replay-page-'));
  console = await openConsole({
    simulator: { entries: 60 },
    env: {
      ORGTRAIL_FEED_TOKEN: feedToken,
      ORGTRAIL_SINKS: JSON.stringify({ disk: { type: 'file', path: join(folder, 'events.ndjson') } }),
    },
  });
  const { pool } = console.database;
  await untilDelivered();
  await pool.query("insert into sink_dead_letters (sink, position, reason) values ('disk', 12, $1)", [hostileText]);
  const made = await createAccessToken(pool, {
    name: 'on-call',
    scopes: ['search'],
    expiresAt: undefined,
    replaysSinks: true,
  });
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

const signIn = async (page: Page, token: string): Promise<void> => {
  await page.goto(`${console.url}/sinks/disk`);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'disk', level: 1 }).waitFor();
};

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
  expect(await page.evaluate('window.hacked')).toBeUndefined();
  expect(await page.evaluate('document.querySelectorAll("main img, main script").length')).toBe(0);
  expectNoFaults(faults);
});

test.each(['light', 'dark'] as const)(
  'nothing that axe finds, nothing wider than the screen: %s',
  async (colorScheme) => {
    const { page } = await console.newPage({ colorScheme });
    await signIn(page, onCall);
    for (const path of ['/sinks/disk', '/sinks/disk/replay?after=11', '/sinks/disk/replay?after=x', '/access-tokens']) {
      await page.goto(`${console.url}${path}`);
      for (const width of [360, 1280, 2560]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate('document.documentElement.scrollWidth'), `${path} at ${width}`).toBe(width);
      }
      await page.setViewportSize({ width: 360, height: 800 });
      expect(await accessibilityFaults(page), path).toEqual([]);
    }
  },
);

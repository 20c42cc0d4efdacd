import type { Page } from 'playwright-core';
import { afterAll, expect } from 'vitest';
import { test } from '../support/console/browser-test.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText } from '../support/console/page-looks.ts';
import { retryDeadlocks } from '../support/postgres/retry-deadlocks.ts';
import { until } from '../support/process/until.ts';

let console: ConsoleFixture;
let ids: readonly string[];

test.beforeAll(async ({ chromium }) => {
  console = await openConsole(chromium);
  ids = console.simulator.summary().organizations.map(({ id }) => id);
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

const rowOf = (page: Page, id: string | undefined) => page.locator(`tr[id="o-${id}"]`);

/** As if its newest time were read this moment. */
const halfRead = () =>
  retryDeadlocks(() =>
    console.database.pool.query(
      `update coverage c set ranges = (ranges + tstzmultirange(tstzrange(now() - interval '1 hour', now() + interval '50 seconds')))
         * tstzmultirange(tstzrange(now() - (now() - s.wanted_since) / 2, null))
       from sources s where s.id = c.source_id and c.source_id = $1 and c.pass = 0`,
      [ids[4]],
    ),
  );

test('the overview and the page of the organization show how far it is, without scripts, and nothing red', async () => {
  await console.database.pool.query(
    `update sources set lease_owner = 'elsewhere', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '1 hour'
     where id = $1`,
    [ids[4]],
  );
  await halfRead();
  const { page } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/`);
  const line = page.getByRole('region', { name: 'State of everything' });
  expect(await line.textContent()).toMatch(/The history of 1 organization is being read for the first time: (49|50) %/);
  const row = page.locator(`tr[id="o-${ids[4]}"]`);
  await row.getByText('reading history').waitFor();
  expect(await row.textContent()).toMatch(/(49|50) % · (about .* left|no estimate)/);
  expect(await row.locator('.tl-gap').count()).toBe(0);
  const ahead = await row.locator('.tl-ahead').boundingBox();
  const whole = await row.locator('.timeline').boundingBox();
  expect((ahead?.width ?? 0) / (whole?.width ?? 1)).toBeCloseTo(0.5, 1);

  await page.getByLabel('State', { exact: true }).selectOption({ label: 'reading history (1)' });
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.locator(`tr[id="o-${ids[4]}"]`).getByRole('link').click();
  await page.getByText('Its history is being read for the first time').waitFor();
  expect(await page.getByRole('progressbar', { name: 'History that is read' }).getAttribute('value')).toMatch(/49|50/);
});

/** One is refused, one fails and has gaps that stay, one has a hostile name; the rest are as they were. */
const bringTrouble = async (): Promise<void> => {
  const { simulator, database } = console;
  const { pool } = database;
  simulator.setRefused(ids[0] ?? '', true);
  simulator.faults.set({ html_ok: { organizationId: ids[1] ?? '' } });
  await until('one is refused, one fails', async () => {
    const { rows } = await pool.query(
      'select count(distinct source_id)::integer as troubled from lanes where failures > 0',
    );
    return rows[0].troubled >= 2;
  });
  await pool.query(
    `update sources set lease_owner = 'elsewhere', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '1 hour'
     where id = $1`,
    [ids[1]],
  );
  for (const [from, to] of [
    [60, 50],
    [20, 19.5],
  ]) {
    await pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(date_trunc('second', now()) - make_interval(secs => $2), date_trunc('second', now()) - make_interval(secs => $3)))
       where source_id = $1 and pass = 0`,
      [ids[1], (from ?? 0) * 3_600, (to ?? 0) * 3_600],
    );
  }
  // The organizations are not listed any more, so that this name stays.
  await pool.query(
    "update discovery set lease_owner = 'elsewhere', lease_until = clock_timestamp() + interval '1 hour', last_success_at = clock_timestamp() + interval '1 hour'",
  );
  await pool.query('update organizations set name = $2 where id = $1', [ids[2], hostileText]);
  await retryDeadlocks(() =>
    pool.query('update lanes set last_error = $2 where source_id = $1 and failures > 0', [ids[1], hostileText]),
  );
  await pool.query(
    "insert into organization_changes (organization_id, change, old_value, new_value) values ($1, 'renamed', $2, $2)",
    [ids[1], hostileText],
  );
};

interface Drawn {
  readonly x: number;
  readonly width: number;
}

/** What is drawn, as shares of the width of the drawing, as the browser has laid it out. */
const drawnIn = (page: Page, drawing: string, name: string): Promise<Drawn[]> =>
  page.evaluate<Drawn[]>(`(() => {
    const whole = document.querySelector('${drawing}').getBoundingClientRect();
    return [...document.querySelectorAll('${drawing} .${name}')].map((element) => {
      const { x, width } = element.getBoundingClientRect();
      return { x: (x - whole.x) / whole.width, width: width / whole.width };
    });
  })()`);

test('shows each organization with its state, trouble first, and filters them', async () => {
  await bringTrouble();
  const { page } = console;
  await page.goto(`${console.url}/`);
  const states = await page.locator('.organizations tbody .state').allTextContents();
  expect(states).toHaveLength(5);
  expect(states.slice(0, 2)).toEqual(['failing', 'refused']);
  await rowOf(page, ids[0]).getByText('refused', { exact: true }).waitFor();
  expect(await page.getByRole('region', { name: 'State of everything' }).textContent()).toMatch(
    /1 organization failing · 1 organization refused/,
  );

  await page.getByLabel('State', { exact: true }).selectOption('refused');
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.waitForURL(/state=refused/);
  expect(await page.locator('.organizations tbody tr').count()).toBe(1);
  await page.getByLabel('Name or id').fill('no organization has this');
  await page.getByLabel('Name or id').press('Enter');
  await page.getByText('No organizations match.').waitFor();
  await page.getByRole('link', { name: 'Show all' }).click();
  await page.waitForURL(`${console.url}/`);
  expectNoFaults(console.faults);
});

test('draws the gaps that the database has, where they are', async () => {
  const { page } = await console.newPage();
  await page.goto(`${console.url}/organizations/${ids[1]}`);
  const { rows } = await console.database.pool.query<{ since: Date; before: Date; wanted_since: Date }>(
    `select g.since, g.before, s.wanted_since from coverage_gaps g join sources s on s.id = g.source_id
     where g.source_id = $1 order by g.since`,
    [ids[1]],
  );
  const [from, now] = [rows[0]?.wanted_since.getTime() ?? 0, Date.now()];
  const inside = rows.filter(({ since, before }) => since.getTime() > from && before.getTime() < now - HOUR_MS);
  expect(inside).toHaveLength(2);
  const drawn = await drawnIn(page, '.timeline-large:first-of-type .timeline', 'tl-gap');
  // The stretch since the last reading may be long enough by now to be drawn, too.
  expect(drawn.length).toBeGreaterThanOrEqual(2);
  for (const [index, { since, before }] of inside.entries()) {
    expect(drawn[index]?.x).toBeCloseTo((since.getTime() - from) / (now - from), 2);
    expect(drawn[index]?.width).toBeCloseTo((before.getTime() - since.getTime()) / (now - from), 2);
  }
  // One number on every page: the tile, the heading and the row of the overview have the same.
  const number = /Not collected: ((?:\d+[dhms] ?)+)/;
  const heading = number.exec((await page.locator('#gaps').textContent()) ?? '')?.[1]?.trim();
  // No process reads it: its delay grows by minutes at most while the test runs.
  expect(heading).toMatch(/^10h 3\dm$/);
  expect(await page.locator('.tiles').textContent()).toMatch(/Not collected10h 3\dm/);
  await page.goto(`${console.url}/`);
  expect(await rowOf(page, ids[1]).textContent()).toContain('10h 3');
  await page.goBack();
  const listed = await page.locator('#gaps ~ .scroll tbody tr td:last-child').allTextContents();
  expect(listed).toEqual(expect.arrayContaining(['10h', '30m']));
  const words = await page.locator('.timeline-large .timeline').first().getAttribute('aria-label');
  expect(words).toContain(inside[0]?.since.toISOString().slice(0, 19).replace('T', ' '));
});

test('draws only what lacks something, over 30 days at most, and says the rest in words', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  // History back to 90 days ago. Twelve hours before the last 30 days are missing.
  await console.database.pool.query(
    "update sources set wanted_since = now() - interval '90 days', wanted_history = interval '90 days' where id = $1",
    [ids[1]],
  );
  await console.database.pool.query(
    `update coverage set ranges = ranges + tstzmultirange(tstzrange(now() - interval '91 days', now() - interval '70 hours'))
       - tstzmultirange(tstzrange(now() - interval '80 days', now() - interval '79 days 12 hours')) where source_id = $1 and pass = 0`,
    [ids[1]],
  );
  await page.goto(`${console.url}/`);
  const lacking = rowOf(page, ids[1]);
  await lacking.getByText('The 60d before: 12h not collected.').waitFor();
  const drawn = await drawnIn(page, `tr[id="o-${ids[1]}"] .timeline`, 'tl-gap');
  expect(drawn[0]?.x).toBeCloseTo(1 - 60 / 720, 2);
  expect(drawn[0]?.width).toBeCloseTo(10 / 720, 2);
  const whole = rowOf(page, ids[3]);
  await whole.getByText('up to the delay').waitFor();
  expect(await whole.locator('.timeline').count()).toBe(0);
  expectNoFaults(faults);
});

test('refreshes by itself, and what has the focus keeps it', async () => {
  const { page, faults } = await console.newPage();
  await page.goto(`${console.url}/?state=fresh`);
  const search = page.getByLabel('Name or id');
  await page.keyboard.press('Control+k');
  await search.pressSequentially('half of a na');
  await page.locator('#hours-table summary').click();
  await search.focus();
  await console.database.pool.query("update organizations set name = 'Renamed meanwhile' where id = $1", [ids[3]]);
  await rowOf(page, ids[3]).getByRole('link', { name: 'Renamed meanwhile' }).waitFor();
  expect(await search.inputValue()).toBe('half of a na');
  expect(await page.evaluate('document.activeElement.id')).toBe('q');
  expect(await page.locator('#hours-table').getAttribute('open')).not.toBeNull();
  expectNoFaults(faults);
});

test('the page of an organization leads to its events, and to what detections found', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/organizations/${ids[0]}`);
  const links = page.getByRole('navigation', { name: 'Its events' });
  await links.getByRole('link', { name: 'failures, 7 days' }).click();
  await page.getByRole('heading', { name: 'Events', level: 1 }).waitFor();
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({
    organization: ids[0],
    since: '7d',
    result: 'failure',
  });
  expect(await page.locator('.fault').count()).toBe(0);
  await page.goBack();
  await links.getByRole('link', { name: 'detections, 7 days' }).click();
  await page.getByRole('heading', { name: 'Detections', level: 1 }).waitFor();
  expect(await page.locator('.fault').count()).toBe(0);
  expectNoFaults(faults);
});

test('an hour leads to its events', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/`);
  const hour = page.locator('.bars a').nth(20);
  const href = (await hour.getAttribute('href')) ?? '';
  expect(await page.locator(`#hours-table a[href="${href}"]`).count()).toBe(1);
  const number = Number(
    /: ([\d,]+) events?(?:, [\d,]+ failed)?$/
      .exec((await hour.getAttribute('aria-label')) ?? '')?.[1]
      ?.replaceAll(',', ''),
  );
  await page.goto(`${console.url}${href}`);
  const { searchParams } = new URL(page.url());
  expect(Date.parse(searchParams.get('before') ?? '') - Date.parse(searchParams.get('since') ?? '')).toBe(3_600_000);
  expect(await page.locator('[data-row]').count()).toBe(Math.min(50, number));
  expectNoFaults(faults);
});

test('the page of an organization has its hours by result, and hatches what is not collected of them', async () => {
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  const panel = page.getByRole('region', { name: 'Events per hour' });
  // Which events failed is up to the simulator; one of these hours did for certain.
  await console.database.pool.query(
    `update audit_events set action_result = 'failure' where position = (select position from audit_events
     where organization_id = $1 and action_time between now() - interval '46 hours' and now() order by action_time desc limit 1)`,
    [ids[1]],
  );
  const { rows } = await console.database.pool.query<{ failures: string; all: string }>(
    `select count(*) filter (where action_result = 'failure') as failures, count(*) as all from audit_events
     where organization_id = $1 and action_time >= date_bin('1 hour', now(), 'epoch') - interval '47 hours' and action_time < now()`,
    [ids[1]],
  );
  await page.goto(`${console.url}/organizations/${ids[1]}`);
  await panel.getByText(`${rows[0]?.all} events in 48 hours`).waitFor();
  const cells = (column: number) => panel.locator(`tbody td:nth-child(${column})`).allTextContents();
  const sum = (texts: readonly string[]) => texts.reduce((all, text) => all + Number(text.replaceAll(',', '')), 0);
  expect(sum(await cells(3))).toBe(Number(rows[0]?.failures));
  expect(await panel.locator('.bar-failure').count()).toBeGreaterThan(0);
  // Half an hour of 48 hours, which began 20 hours ago; and what is not collected since the organization fails.
  const widths = await panel
    .locator('.hatch-unread')
    .evaluateAll((all) => all.map((one) => Number(one.getAttribute('width'))));
  expect(widths).toContain(5);
  await panel.locator('summary').click();
  await panel.locator('tbody a').nth(30).click();
  await page.waitForURL(/\/events\?/);
  expect(new URL(page.url()).searchParams.get('organization')).toBe(ids[1]);
  // Another one lacks nothing of these hours.
  await page.goto(`${console.url}/organizations/${ids[3]}`);
  await panel.getByText('in 48 hours').waitFor();
  expect(await panel.locator('.hatch-unread').count()).toBe(0);
  expectNoFaults(faults);
});

test('goes by keyboard alone: skip link, menu, filter, organization', async () => {
  const { page } = await console.newPage();
  await page.goto(`${console.url}/`);
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement.id')).toBe('main');
  const seen: string[] = [];
  for (let steps = 0; steps < 40 && !(seen.at(-1) ?? '').startsWith('A /organizations/'); steps += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate<{ what: string; outline: string }>(`(() => {
      const element = document.activeElement;
      const what = element.tagName + ' ' + (element.getAttribute('href') ?? element.getAttribute('name') ?? '');
      return { what, outline: getComputedStyle(element).outlineStyle };
    })()`);
    expect(focused.outline, `${focused.what} shows that it has the focus`).not.toBe('none');
    seen.push(focused.what);
  }
  expect(seen).toEqual(expect.arrayContaining(['INPUT q', 'SELECT state']));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/organizations\//);
});

test('light and dark go with the system until the user chooses, and the choice is remembered', async () => {
  const { page, faults } = await console.newPage({ colorScheme: 'dark' });
  const ground = () => page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
  await page.goto(`${console.url}/?state=fresh`);
  const dark = await ground();
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  expect(dark).not.toBe(light);
  await page.getByRole('button', { name: 'dark' }).click();
  await page.waitForURL(/state=fresh/);
  expect(await ground()).toBe(dark);
  await page.goto(`${console.url}/organizations/${ids[3]}`);
  expect(await ground()).toBe(dark);
  expect(await page.getByRole('button', { name: 'dark' }).getAttribute('aria-pressed')).toBe('true');
  expectNoFaults(faults);
});

test('hostile text is inert: no script of it runs, nothing leaves, the policy has nothing to stop', () =>
  expectInert(console, [
    '/',
    `/?q=${encodeURIComponent(hostileText)}`,
    `/organizations/${ids[1]}`,
    `/organizations/${ids[2]}`,
  ]));

test('a long hostile error stands whole on the overview', async () => {
  const error = `${hostileText}${'x'.repeat(300)} its point`;
  await retryDeadlocks(() =>
    console.database.pool.query('update lanes set last_error = $2 where source_id = $1 and failures > 0', [
      ids[1],
      error,
    ]),
  );
  const { page, faults } = await console.newPage({ viewport: { width: 360, height: 800 } });
  await page.goto(`${console.url}/`);
  await page.getByText('its point').first().waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
  expectNoFaults(faults);
});

test('nothing that axe finds, nothing wider than the screen', async () => {
  await halfRead();
  await expectLooks(console, [
    '/',
    '/?q=nothing-is-like-that',
    `/organizations/${ids[1]}`,
    `/organizations/${ids[4]}`,
    '/organizations/none',
  ]);
});

const HOUR_MS = 3_600_000;

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { afterAll, describe, expect } from 'vitest';
import { test } from '../support/console/browser-test.ts';
import { factsOf, openCaseConsole } from '../support/console/case-world.ts';
import { type ConsoleFixture, expectNoFaults } from '../support/console/console-fixture.ts';
import { Investigator, type TaskCost } from '../support/console/investigator.ts';
import { expectLooks } from '../support/console/page-looks.ts';
import { connect } from '../support/process/mcp-client.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { temporaryFolder } from '../support/process/temporary-folder.ts';

const { folder } = temporaryFolder();
let console: ConsoleFixture;

test.beforeAll(async ({ chromium }) => {
  console = await openCaseConsole(chromium);
});
afterAll(async () => {
  const lines = costs.map(
    ({ task, clicks, keys, characters, seconds }) =>
      `${task}: ${clicks} clicks, ${keys} keys, ${characters} characters typed, ${seconds} s`,
  );
  process.stdout.write(`\n${lines.join('\n')}\n`);
  await console?.[Symbol.asyncDispose]();
});

/** Each task begins at the overview. `atMost`: clicks, and keys other than text. */
const begin = async (): Promise<Investigator> => {
  await console.page.goto(`${console.url}/`);
  return new Investigator(console.page);
};
const end = (person: Investigator, task: string, atMost: { readonly clicks: number; readonly keys: number }): void => {
  const cost = person.cost(task);
  costs.push(cost);
  expect(cost.clicks, 'clicks').toBeLessThanOrEqual(atMost.clicks);
  expect(cost.keys, 'keys').toBeLessThanOrEqual(atMost.keys);
};
const link = (name: string): Locator => console.page.getByRole('link', { name, exact: true });
const rows = () => console.page.locator('table.events [data-row]');
const matches = async (): Promise<number> => {
  const text = await console.page.locator('.match-count').first().textContent();
  return Number(/([\d,]+) events?/.exec(text ?? '')?.[1]?.replaceAll(',', ''));
};
const counted = (where: string) => factsOf(console, `select count(*)::text as events from audit_events where ${where}`);
/** Two clicks and a line: to the events, and into the line. */
const ask = async (person: Investigator, line: string): Promise<void> => {
  await person.click(link('Events'));
  await person.click(console.page.getByLabel('Query', { exact: true }));
  await person.type(line);
  await person.press('Enter');
  await console.page.waitForURL(/\?/);
  await console.page.locator('.coverage').waitFor();
};
const facet = (name: string) =>
  console.page.locator('.facet').filter({ has: console.page.getByRole('heading', { name, exact: true }) });
/** The lines of what is new of one kind. */
const news = (kind: string) => console.page.locator('.news li').filter({ hasText: new RegExp(`^${kind} `) });
const side = () => console.page.locator('aside.side');

describe('ten tasks of an investigation, by mouse and line', () => {
  test('who deleted this DNS record', async () => {
    const { resource = '', actor = '' } = await factsOf(
      console,
      `select resource_id as resource, coalesce(actor_email, actor_token_name) as actor from audit_events
       where resource_type = 'dns_record' and action_type = 'delete' and resource_id is not null
         and coalesce(actor_email, actor_token_name) is not null order by position limit 1`,
    );
    const person = await begin();
    await ask(person, `resource:${resource} action:delete`);
    await person.click(rows().first());
    await side().getByText(actor).first().waitFor();
    end(person, 'who deleted this DNS record', { clicks: 3, keys: 1 });
  });

  test('everything a token did', async () => {
    const { token = '', events } = await factsOf(
      console,
      `select actor_token_name as token, count(*)::text as events from audit_events where actor_token_name is not null
       group by 1 order by count(*) desc, 1 limit 1`,
    );
    const person = await begin();
    await person.click(link('Events'));
    await person.click(facet('Token').getByRole('link', { name: token, exact: true }));
    await console.page.waitForURL(/token/);
    expect(await matches()).toBe(Number(events));
    await person.click(rows().first());
    await person.click(side().getByRole('link', { name: 'token', exact: true }));
    await console.page.getByRole('heading', { name: token, level: 1 }).waitFor();
    await console.page.getByRole('region', { name: 'Sessions', exact: true }).waitFor();
    end(person, 'everything a token did', { clicks: 4, keys: 0 });
  });

  test('what was new last week', async () => {
    const { value = '' } = await factsOf(
      console,
      `select coalesce(actor_token_name, actor_token_id) as value from audit_events
       where coalesce(actor_token_name, actor_token_id) is not null
       group by 1 having min(action_time) > now() - interval '7 days' order by count(*) desc, 1 limit 1`,
    );
    const person = await begin();
    await person.click(link('Events'));
    await person.click(link('What is new'));
    await console.page.getByRole('heading', { name: 'New in the last 7 days' }).waitFor();
    await person.click(news('token').getByRole('link', { name: value, exact: true }));
    await console.page.waitForURL(/since=7d/);
    expect(await rows().count()).toBeGreaterThan(0);
    end(person, 'what was new last week', { clicks: 3, keys: 0 });
  });

  test('what a leaver did in the last 30 days', async () => {
    const { actor = '', events } = await factsOf(
      console,
      `select actor_email as actor, count(*)::text as events from audit_events
       where actor_email is not null and action_time > now() - interval '30 days' group by 1 order by count(*) desc, 1 limit 1`,
    );
    const person = await begin();
    await ask(person, `actor:${actor} since:30d`);
    expect(await matches()).toBe(Number(events));
    await person.click(console.page.getByText('Use result'));
    const [download] = await Promise.all([console.page.waitForEvent('download'), person.click(link('CSV'))]);
    expect(download.suggestedFilename()).toMatch(/\.csv$/);
    end(person, 'what a leaver did in the last 30 days', { clicks: 4, keys: 1 });
  });

  test('all failed sign-ins from one network', async () => {
    const { network = '', events } = await factsOf(
      console,
      `select set_masklen(actor_ip_address::inet, 24)::cidr::text as network, count(*)::text as events from audit_events
       where action_type = 'login' and action_result = 'failure' and actor_ip_address like '%.%.%.%'
       group by 1 order by count(*) desc, 1 limit 1`,
    );
    const person = await begin();
    await ask(person, `action:login result:failure ip:${network}`);
    expect([await matches(), events]).toEqual([5, '5']);
    await facet('Actor').getByText('user5@example.com').waitFor();
    end(person, 'all failed sign-ins from one network', { clicks: 2, keys: 1 });
  });

  test('which accounts changed SSO', async () => {
    const { account = '' } = await factsOf(
      console,
      `select account_name as account from audit_events where resource_type in ('identity_provider', 'sso_connector')
       and account_name is not null group by 1 order by count(*) desc, 1 limit 1`,
    );
    const { events } = await counted(
      `resource_type in ('identity_provider', 'sso_connector') and action_type <> 'view'`,
    );
    const person = await begin();
    await ask(person, 'resource_type:identity_provider,sso_connector -action:view');
    expect(await matches()).toBe(Number(events));
    await facet('Account').getByText(account).first().waitFor();
    await facet('Organization').waitFor();
    end(person, 'which accounts changed SSO', { clicks: 2, keys: 1 });
  });

  test('what happened around this ray id', async () => {
    const { ray = '', position = '' } = await factsOf(
      console,
      `select raw_cf_ray_id as ray, position::text as position from audit_events
       where raw_cf_ray_id is not null and organization_id is not null and account_id is null order by position limit 1`,
    );
    const person = await begin();
    await ask(person, `ray:${ray}`);
    await person.click(rows().first());
    await person.click(side().getByRole('link', { name: 'same organization', exact: true }));
    await console.page.waitForURL(/before=/);
    await console.page.locator(`[data-row][href^="/events/${position}?"]`).waitFor();
    end(person, 'what happened around this ray id', { clicks: 4, keys: 1 });
  });

  test('prove it to a third party', async () => {
    const person = await begin();
    await ask(person, 'resource_type:dns_record action:delete since:30d');
    const found = await matches();
    await person.click(console.page.getByText('Use result'));
    const [download] = await Promise.all([
      console.page.waitForEvent('download'),
      person.click(console.page.getByRole('link', { name: 'Evidence bundle' })),
    ]);
    end(person, 'prove it to a third party', { clicks: 4, keys: 1 });
    const name = download.suggestedFilename();
    await download.saveAs(join(folder, name));
    execFileSync('python3', ['-m', 'zipfile', '-e', name, '.'], { cwd: folder });
    const bundle = join(folder, name.replace('.zip', ''));
    const verified = await runInProcess(['evidence', 'verify', bundle], {});
    const byPython = execFileSync('python3', ['-B', join(bundle, 'verify.py')], { encoding: 'utf8' });
    expect(verified.code).toBe(0);
    for (const text of [verified.stdout, byPython]) expect(text).toContain(`${found} events with `);
  });

  test('is anything missing', async () => {
    const [organization] = console.simulator.summary().organizations;
    const { pool } = console.database;
    // Held by another replica, which does nothing.
    await pool.query(
      `update sources set lease_owner = 'elsewhere', lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + interval '1 hour'
       where id = $1`,
      [organization?.id],
    );
    await pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '9 days', now() - interval '8 days'))
       where source_id = $1`,
      [organization?.id],
    );
    const person = await begin();
    await console.page.getByLabel('State of everything').getByText('behind').first().waitFor();
    await person.click(link(organization?.name ?? '').first());
    await console.page.getByRole('heading', { name: organization?.name ?? '', level: 1 }).waitFor();
    await console.page
      .getByText(/^1d( |$)/)
      .first()
      .waitFor();
    end(person, 'is anything missing', { clicks: 1, keys: 0 });
  });

  test('what a sink is not taking', async () => {
    const { position = '' } = await factsOf(
      console,
      `insert into sink_dead_letters (sink, position, reason)
       select 'siem', min(position), 'the receiver answered 400: too large' from audit_events returning position::text`,
    );
    const person = await begin();
    await person.click(console.page.getByLabel('State of everything').getByRole('link', { name: '1 sink failing' }));
    const row = console.page.getByRole('region', { name: 'Table of sinks' }).locator('tbody tr');
    expect(await row.textContent()).toMatch(/in a row: .*127\.0\.0\.1:9.*[\d,]+ positions/s);
    await person.click(link('siem'));
    const letter = console.page.getByRole('region', { name: 'Table of dead letters' }).locator('tbody tr');
    expect(await letter.textContent()).toContain('the receiver answered 400: too large');
    await person.click(letter.getByRole('link'));
    await console.page.waitForURL(`${console.url}/events/${position}`);
    end(person, 'what a sink is not taking', { clicks: 3, keys: 0 });
  });
});

describe('two of them by keyboard alone', () => {
  /** From the overview to the line, by Tab. */
  const toLine = async (person: Investigator): Promise<void> => {
    await person.tabTo(link('Events'));
    await person.press('Enter');
    await console.page.waitForURL(/\/events$/);
    await person.press('/');
  };

  test('who deleted this DNS record', async () => {
    const { resource = '', actor = '' } = await factsOf(
      console,
      `select resource_id as resource, actor_email as actor from audit_events
       where resource_type = 'dns_record' and action_type = 'delete' and resource_id is not null and actor_email is not null
       order by position desc limit 1`,
    );
    const person = await begin();
    await toLine(person);
    await person.type(`resource:${resource} action:delete`);
    await person.press('Enter');
    await console.page.waitForURL(/resource=/);
    await person.press('j');
    await person.press('Enter');
    await side().getByText(actor).first().waitFor();
    end(person, 'keyboard: who deleted this DNS record', { clicks: 0, keys: 15 });
  });

  test('prove it to a third party', async () => {
    const person = await begin();
    await toLine(person);
    await person.type('action:delete since:7d');
    await person.press('Enter');
    await console.page.waitForURL(/since=7d/);
    await person.tabTo(link('Skip to the content'));
    await person.press('Enter');
    await person.tabTo(console.page.getByText('Use result'));
    await person.press('Enter');
    await person.tabTo(console.page.getByRole('link', { name: 'Evidence bundle' }));
    const [download] = await Promise.all([console.page.waitForEvent('download'), person.press('Enter')]);
    expect(download.suggestedFilename()).toMatch(/^orgtrail-search-.*\.zip$/);
    end(person, 'keyboard: prove it to a third party', { clicks: 0, keys: 30 });
  });
});

describe('the page of what is new', () => {
  test('keeps the search, refuses what is none, and works without a script', async () => {
    // Of each kind the most frequent are shown.
    const { actor = '' } = await factsOf(
      console,
      `select coalesce(actor_email, actor_token_name, actor_id) as actor from audit_events where action_result = 'failure'
       group by 1 having min(action_time) > now() - interval '7 days' order by count(*) desc, 1 limit 1`,
    );
    const { page } = await console.newPage({ javaScriptEnabled: false });
    await page.goto(`${console.url}/events?result=failure&since=24h&before=now`);
    await page.getByRole('link', { name: 'What is new', exact: true }).click();
    expect(new URL(page.url()).search).toBe('?result=failure');
    await page.getByText('result: failure').waitFor();
    expect(await page.locator('.news li').filter({ hasText: 'ci-of-the-case' }).count()).toBe(0);
    await page.locator('.news').getByRole('link', { name: actor, exact: true }).first().waitFor();
    const response = await page.goto(`${console.url}/events/news?organization=none-of-this-name`);
    expect(response?.status()).toBe(400);
    await page.getByText(/none-of-this-name/).waitFor();
  });

  test('shows hostile text as text, and axe finds nothing', async () => {
    const path = `/events/news?q=${encodeURIComponent('-action:"<b>"')}`;
    const { page } = await console.newPage();
    await page.goto(`${console.url}${path}`);
    await page.locator('.news').getByText('<img src=x onerror=alert(1)>').first().waitFor();
    expect(await page.locator('main img, main script, main b').count()).toBe(0);
    await expectLooks(console, [path]);
  });
});

test('the tools of a model alone answer the ten questions', async () => {
  await using model = await connect(console.database.url);
  const answerOf = async (tool: string, asked: Readonly<Record<string, unknown>>) => {
    const { isError, text, body } = await model.call(tool, asked);
    expect(isError, text).toBe(false);
    return body;
  };
  const since = '45d';
  const facts = await factsOf(
    console,
    `select d.*, t.*, a.*, r.* from
       (select resource_id as resource, coalesce(actor_email, actor_token_name) as culprit from audit_events where resource_type = 'dns_record'
          and action_type = 'delete' and resource_id is not null and coalesce(actor_email, actor_token_name) is not null order by position limit 1) d,
       (select actor_token_name as token, count(*)::integer as by_token from audit_events where actor_token_name is not null group by 1
          order by 2 desc, 1 limit 1) t,
       (select actor_email as leaver, count(*)::integer as by_leaver from audit_events where actor_email is not null
          and action_time > now() - interval '29 days' group by 1 order by 2 desc, 1 limit 1) a,
       (select raw_cf_ray_id as ray, position::integer as position from audit_events where raw_cf_ray_id is not null order by position limit 1) r`,
  );
  const deleted = await answerOf('search_events', { query: `resource:${facts['resource']} effect:delete`, since });
  expect([deleted.events[0].actor_email, deleted.events[0].actor_token]).toContain(facts['culprit']);
  const token = await answerOf('describe_entity', { kind: 'tokens', value: facts['token'], since });
  expect(token.events).toBe(facts['by_token']);
  const { news } = await answerOf('describe_entity', { kind: 'search', value: '' });
  expect(news.map(({ name, value }: Record<string, string>) => name ?? value)).toContain('ci-of-the-case');
  const leaver = await answerOf('count_events', {
    query: `actor:${facts['leaver']}`,
    since: '29d',
    facets: ['action'],
  });
  expect(leaver.events).toBe(facts['by_leaver']);
  const query = 'action:login result:failure ip:203.0.113.0/24';
  expect((await answerOf('count_events', { query, facets: ['actor'] })).events).toBe(5);
  const sso = { query: 'resource_type:identity_provider,sso_connector -action:view', since };
  expect((await answerOf('count_events', { ...sso, facets: ['account', 'organization'] })).events).toBeGreaterThan(0);
  const [event] = (await answerOf('search_events', { query: `ray:${facts['ray']}`, since })).events;
  expect(event.position).toBe(facts['position']);
  const [checkpoint] = await answerOf('list_checkpoints', {});
  expect(checkpoint.size, 'it is signed').toBeGreaterThanOrEqual(event.position);
  // A day was taken from the coverage above, and a letter given to the sink.
  expect(await answerOf('get_completeness', { since: '10d' })).toMatchObject({ complete: false });
  expect(await answerOf('list_sinks', {})).toMatchObject([{ name: 'siem', failures: expect.any(Number) }]);
  const [letter] = await answerOf('list_dead_letters', { name: 'siem' });
  expect(letter.reason).toContain('the receiver answered 400');
});

test('no page did what it may not', () => expectNoFaults(console.faults));

const costs: TaskCost[] = [];

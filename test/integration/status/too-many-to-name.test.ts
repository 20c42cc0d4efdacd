import { expect, test } from 'vitest';
import { laneIntervals } from '../../../src/ingest/planning/polling/lane-intervals.ts';
import { MOST_EACH } from '../../../src/status/status-reader.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { fillManySources } from '../../support/sync/many-sources.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('health, status and console name the worst, and count all', async () => {
  const options = { organizations: 2, accounts: 2, entries: 200 };
  await using world = await openWorld(options, { ORGTRAIL_SOURCES: 'organizations,accounts' });
  const { accounts } = world.simulator.summary();
  const [refused, other] = accounts;
  if (refused === undefined || other === undefined) throw new Error('the simulator has no accounts');
  world.simulator.setRefused({ kind: 'account', id: refused.id }, true);
  await using run = await world.open();
  await using each = await serve(run);
  await using few = await serve(run, { mostEach: 3 });
  await run.sync();
  for (const path of ['/healthz', '/v1/status']) {
    const whole = (await each.get(path)).body as Answer;
    const many = (await few.get(path)).body as Answer;
    expect(Object.keys(whole)).toEqual(Object.keys(many).filter((key) => key !== 'totals'));
    expect(many.status).toBe(whole.status);
    expect(many.totals).toMatchObject({ sources: 6, shown: 3, accounts: { refused: 1 } });
    expect([whole.sources.length, many.sources.length]).toEqual([6, 3]);
    expect(many.sources[0]).toMatchObject({ state: 'refused' });
    expect(Object.keys(many.sources[0] ?? {})).toEqual(
      Object.keys(whole.sources.find(({ state }) => state === 'refused') ?? {}),
    );
  }
  const overview = await few.text('/');
  expect(overview).toContain('<p><a href="#accounts">1 account refused</a></p>');
  expect(overview).toContain(`<a href="/accounts/${refused.id}">`);
  for (const { id } of world.simulator.summary().organizations) expect(overview).toContain(`/organizations/${id}`);
  expect(overview).toContain('<dt>Accounts</dt><dd class="tile-value">4</dd>');
  expect(await few.text(`/organizations/${other.organizationId}`)).toContain(`<a href="/accounts/${other.id}">`);
  expect(await few.text(`/accounts/${other.id}`)).toContain(`<h1>${other.name}</h1>`);
});

test('orgtrail status names no more than a thousand unless asked, and says of how many', async () => {
  const database = await createTestDatabase();
  try {
    const accounts = MOST_EACH + 50;
    await fillManySources(database.pool, {
      accounts,
      settleDelaysMs: [],
      ...laneIntervals(accounts, 900),
      settleDue: 0,
    });
    await database.pool.query(
      `update sources set access = 'refused' where id in (select id from accounts where name in ('Account 7', 'Account 8', 'Account 9'))`,
    );
    const env = { DATABASE_URL: database.url, CLOUDFLARE_API_TOKEN: 'a-token-of-a-test', ORGTRAIL_SOURCES: 'accounts' };
    const status = async (...args: readonly string[]) => await runInProcess(['status', ...args], env);
    const json = async (...args: readonly string[]) => JSON.parse((await status('--json', ...args)).stdout) as Answer;

    const { stdout } = await status('--limit', '5');
    expect(stdout).toMatch(/^1,050 accounts: 3 refused, (?:\d+ fresh, )?(?:\d+ quiet)?; listed /);
    expect(stdout.split('\n').filter((line) => / refused /.test(line) && line.startsWith('account '))).toHaveLength(3);
    expect(stdout).toMatch(/^1045 of 1,050 accounts not shown: .*\(--all shows them\)$/m);
    expect((await status('--limit', '0', '--fail-on', 'failing')).code).toBe(1);

    const many = await json();
    expect(many.sources).toHaveLength(MOST_EACH);
    expect(many.totals).toMatchObject({ sources: accounts, shown: MOST_EACH, accounts: { refused: 3 } });
    const all = await json('--all');
    expect(all.sources).toHaveLength(accounts);
    expect(all).not.toHaveProperty('totals');
    const refused = await json('--state', 'refused');
    expect(refused.sources.map(({ state }) => state)).toEqual(['refused', 'refused', 'refused']);
    expect(refused.totals).toMatchObject({ sources: accounts, shown: 3 });
    const one = await json('--account', 'Account 8');
    expect(one.sources.map(({ state }) => state)).toEqual(['refused']);
    expect(one).not.toHaveProperty('totals');
  } finally {
    await database.close();
  }
});

// With too many sources to name each, every surface has totals of all, names those that most need attention, and says how many it leaves out.

interface Answer {
  readonly status?: string;
  readonly sources: readonly { readonly state: string }[];
  readonly totals?: unknown;
}

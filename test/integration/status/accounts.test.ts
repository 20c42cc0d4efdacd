import { beforeAll, describe, expect, test } from 'vitest';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe('the status of accounts while one refuses', () => {
  let refused: Account;
  const world = forAllTests(() => open());
  const run = forAllTests(() => world.open());
  const served = forAllTests(() => serve(run));
  beforeAll(async () => {
    refused = firstAccount(world);
    world.simulator.setRefused({ kind: 'account', id: refused.id }, true);
    await run.cycle();
  });

  test('healthz and status name an account that refuses; its organization is as it was', async () => {
    const sources = await sourcesOf(served.get);
    expect(sources).toHaveLength(6);
    expect(sources.find(({ account_id: id }) => id === refused.id)).toMatchObject({
      organization_id: refused.organizationId,
      state: 'refused',
      source_kind: 'account',
      account_id: refused.id,
      account_name: refused.name,
    });
    const others = sources.filter(({ account_id: id }) => id !== refused.id);
    expect(others.map(({ state }) => state)).not.toContain('refused');
    const [organization] = others.filter(({ account_id: id }) => id === undefined);
    expect(Object.keys(organization ?? {})).not.toContain('source_kind');

    const shown = await runInProcess(['status'], world.env);
    expect(shown.stdout).toMatch(/^2 organizations, 4 accounts: 1 refused, /m);
    expect(shown.stdout).toMatch(new RegExp(`^account +${refused.id} +${refused.name} +refused `, 'm'));
    expect(shown.stdout).toContain(`refused: account ${refused.name} (${refused.id}): `);
    const failed = await runInProcess(['status', '--fail-on', 'failing'], world.env);
    expect(failed.code).toBe(1);
  });

  test('--account limits status to an account, --organization to the organization and its accounts', async () => {
    const account = firstAccount(world);
    const idsOf = async (...args: readonly string[]): Promise<readonly string[]> => {
      const { stdout } = await runInProcess(['status', '--json', ...args], world.env);
      return (JSON.parse(stdout) as { sources: readonly { kind: string; id: string }[] }).sources.map(
        ({ kind, id }) => `${kind} ${id}`,
      );
    };
    expect(await idsOf('--account', account.id)).toEqual([`account ${account.id}`]);
    expect(await idsOf('--account', account.name)).toEqual([`account ${account.id}`]);
    const siblings = world.simulator.summary().accounts.filter((one) => one.organizationId === account.organizationId);
    expect([...(await idsOf('--organization', account.organizationId ?? ''))].sort()).toEqual(
      [...siblings.map(({ id }) => `account ${id}`), `organization ${account.organizationId}`].sort(),
    );
    expect(await runInProcess(['status', '--account', 'no such'], world.env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('unknown account "no such"'),
    });
  });

  test('where accounts are not read any more, they are not told of, and --account says which setting reads them', async () => {
    const organizationsOnly = { ...world.env, ORGTRAIL_SOURCES: 'organizations' };
    const shown = await runInProcess(['status'], organizationsOnly);
    expect(shown.stdout).toMatch(/^2 organizations: /);
    expect(shown.stdout).not.toContain('account');
    const json = await runInProcess(['status', '--json'], organizationsOnly);
    expect(json.stdout).not.toContain('account');
    expect(await runInProcess(['status', '--account', firstAccount(world).id], organizationsOnly)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ORGTRAIL_SOURCES=organizations,accounts'),
    });
  });

  test('metrics have gauges of accounts beside those of organizations, and none while accounts are not read', async () => {
    const [, other] = world.simulator.summary().accounts;
    const samples = parseMetrics(await served.text('/metrics'));
    expect(samples.get('orgtrail_accounts{state="active"}')).toBe(3);
    expect(samples.get('orgtrail_accounts{state="refused"}')).toBe(1);
    expect(samples.get('orgtrail_organizations{state="refused"}')).toBe(0);
    const of = (name: string, account: Account | undefined = refused) =>
      samples.get(`${name}{organization_id="${account?.organizationId}",account_id="${account?.id}"}`);
    expect(of('orgtrail_account_lag_seconds')).toBeUndefined();
    expect(of('orgtrail_account_gap_seconds')).toBeGreaterThan(86_400);
    expect(of('orgtrail_account_lag_seconds', other)).toBeLessThan(600);
    expect(of('orgtrail_account_coverage_holes', other)).toBe(0);
    expect(of('orgtrail_account_retention_slack_seconds', other)).toBeGreaterThan(86_400);
    const lags = [...samples.keys()].filter((name) => name.startsWith('orgtrail_source_lag_seconds'));
    expect(lags).toHaveLength(2);

    await using without = await world.open({ ORGTRAIL_SOURCES: 'organizations' });
    await using quiet = await serve(without);
    expect(await quiet.text('/metrics')).not.toMatch(/^orgtrail_account/m);
  });

  test('the console lists the accounts of an organization, gives each a page, and the overview those in trouble', async () => {
    const { accounts } = world.simulator.summary();
    const foreign = accounts.find(({ organizationId }) => organizationId !== refused.organizationId);
    const overview = await served.text('/');
    expect(overview).toContain('<p><a href="#accounts">1 account refused</a></p>');
    expect(overview).toContain(`<a href="/accounts/${refused.id}">`);
    expect(overview).not.toContain(`/accounts/${foreign?.id}`);
    const organization = await served.text(`/organizations/${refused.organizationId}`);
    const own = accounts.filter(({ organizationId }) => organizationId === refused.organizationId);
    for (const { id } of own) expect(organization).toContain(`<a href="/accounts/${id}">`);
    expect(organization).not.toContain(`/accounts/${foreign?.id}`);

    const page = await served.text(`/accounts/${foreign?.id}`);
    expect(page).toContain(`<h1>${foreign?.name}</h1><span class="state state-fresh">fresh</span>`);
    expect(page).toContain(`<a href="/organizations/${foreign?.organizationId}">`);
    expect(page).toContain('The last 24 hours');
    // An hour may end between the two, and a busy machine may not count in the time of a page.
    await until('the page has the events of 48 hours, as many as the database', async () => {
      const { rows } = await world.database.pool.query<{ events: number }>(
        `select count(*)::integer as events from audit_events where source_kind = 'account' and source_id = $1
           and action_time >= date_bin('1 hour', now(), 'epoch') - interval '47 hours'`,
        [foreign?.id],
      );
      const shown = await served.text(`/accounts/${foreign?.id}`);
      return shown.includes(`<dt>Events, 48 h</dt><dd class="tile-value small">${rows[0]?.events}</dd>`);
    });
    expect(await served.text(`/accounts/${refused.id}`)).toContain('Cloudflare refuses to show its log.');
    expect(await served.text(`/accounts/${refused.organizationId}`)).toContain('Account not found.');
  });

  test('a sync counts organizations and accounts, and names an account that failed', async () => {
    await world.endRests();
    const text = await runInProcess(['sync'], world.env);
    expect(text).toMatchObject({ code: 1, stdout: expect.stringContaining(' of 2 organizations, 4 accounts; ') });
    expect(text.stdout).toContain(`failed: account ${refused.id} (${refused.name}): refused: `);
    expect(text.stderr).toContain('sync failed for an account; will retry after backoff');
    const { stdout } = await runInProcess(['sync', '--json'], world.env);
    expect(JSON.parse(stdout)).toMatchObject({
      organizations: 2,
      accounts: 4,
      failed: [
        {
          organizationId: refused.organizationId,
          sourceKind: 'account',
          accountId: refused.id,
          accountName: refused.name,
        },
      ],
    });
  });
});

describe.concurrent('verify and backfill of accounts', () => {
  test('verify --account compares that log alone, and stores what is missing of it', async () => {
    await using world = await open();
    await runInProcess(['sync'], world.env);
    const account = firstAccount(world);
    const { rows } = await world.database.pool.query<{ id: string }>(
      `delete from audit_events where position = (select position from audit_events
         where source_kind = 'account' and source_id = $1 and action_time < now() - interval '1 hour'
         order by action_time desc limit 1) returning id`,
      [account.id],
    );
    const range = ['--since', '2d', '--before', 'now', '--account', account.id];
    const found = await runInProcess(['verify', ...range, '--json'], world.env);
    expect(found.code).toBe(1);
    expect(JSON.parse(found.stdout)).toMatchObject({
      organizations: 0,
      accounts: 1,
      unknownOrganizations: [],
      missing: 1,
      sources: [{ accountId: account.id, accountName: account.name, missingIds: [rows[0]?.id] }],
    });
    const fixed = await runInProcess(['verify', ...range, '--fix'], world.env);
    expect(fixed).toMatchObject({ code: 0, stdout: expect.stringContaining(' of 1 account, ') });
    expect(fixed.stdout).toContain(`missing in account ${account.id}: ${rows[0]?.id}`);
    const unknown = await runInProcess(
      ['verify', '--since', '2d', '--before', 'now', '--account', 'f'.repeat(32)],
      world.env,
    );
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('unknown account "ffff') });
  });

  test('backfill --account reads that log alone, and does not name the account by hand if it is known', async () => {
    await using world = await open();
    await using run = await world.open({ ORGTRAIL_HISTORY: '1h' });
    await run.sync();
    const count = async () => {
      const { rows } = await world.database.pool.query<{ key: string; events: number }>(
        `select source_kind || ' ' || source_id as key, count(*)::integer as events from audit_events group by 1`,
      );
      return new Map(rows.map(({ key, events }) => [key, events]));
    };
    const before = await count();
    const account = firstAccount(world);
    const args = ['backfill', '--since', '2d', '--before', 'now', '--account', account.id];
    expect(await runInProcess(args, world.env)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ of 1 account; /),
    });
    const after = await count();
    const key = `account ${account.id}`;
    expect(after.get(key)).toBeGreaterThan(before.get(key) ?? 0);
    expect([...after].filter(([each]) => each !== key)).toEqual([...before].filter(([each]) => each !== key));
    const { rows } = await world.database.pool.query('select id from accounts where named_by_hand');
    expect(rows).toEqual([]);
  });
});

// What is told of the logs of accounts: their state is theirs alone, they are named by kind, id and name, and without them nothing is told of them.

const withAccounts = { ORGTRAIL_SOURCES: 'organizations,accounts' };

const open = () => openWorld({ organizations: 2, accounts: 2, entries: 200 }, withAccounts);

type Account = ReturnType<SyncWorld['simulator']['summary']>['accounts'][number];

const firstAccount = (world: SyncWorld) => {
  const [account] = world.simulator.summary().accounts;
  if (account === undefined) throw new Error('the simulator has no account');
  return account;
};

interface Source {
  readonly organization_id: string | null;
  readonly state: string;
  readonly account_id?: string;
}

const sourcesOf = async (get: (path: string) => Promise<{ body: unknown }>): Promise<readonly Source[]> =>
  ((await get('/healthz')).body as { sources: readonly Source[] }).sources;

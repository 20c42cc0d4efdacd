import { expect, test } from 'vitest';
import { firstValue } from '../../support/postgres/rows.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { until } from '../../support/process/until.ts';
import { openCredentialsWorld } from '../../support/sync/credentials-world.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

test('60 accounts and all faults and defects, killed again and again while they are read: exact, once each; then a sync stores nothing (invariants 3 and 4)', async () => {
  const seed = 20_261_126;
  await using world = await openWorld({
    seed,
    organizations: 4,
    accounts: 10,
    standaloneAccounts: 20,
    accountEntries: 6_000,
    entries: 1_000,
    faults: 'all',
  });
  // Short: what was killed holds its sources for as long.
  const env = { ...world.env, ORGTRAIL_LEASE: '5s' };
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = await storedOf(world);
    const sync = startOrgtrail(['sync'], env);
    // The process has stored something more, or has ended because there is no more.
    let ended = false;
    void sync.ended.then(() => {
      ended = true;
    });
    await until('it stores', async () => ended || (await storedOf(world)) > before + 150 * (kill + 1));
    sync.child.kill('SIGKILL');
    await sync.ended;
  }
  const ends: (number | string)[] = [];
  do {
    const sync = startOrgtrail(['sync'], env);
    ends.push(await sync.ended);
  } while (ends.at(-1) === 1 && ends.length < 20);
  expect(ends.at(-1), `seed ${seed}, ends ${ends.join()}`).toBe(0);
  const { stored } = await world.expectExactTruth();
  expect(stored).toBeGreaterThan(6_500);
  const last = startOrgtrail(['sync', '--json'], env);
  expect(await last.ended).toBe(0);
  expect(JSON.parse(last.stdout())).toMatchObject({ stored: 0, failed: [], finished: true });
});

const oftenEnv = { ORGTRAIL_HTTP_PORT: '0', ORGTRAIL_SCHEDULE: '* * * * * *', ORGTRAIL_LEASE: '5s' };

/** Daemons that end with the test. */
const daemonsOf = () => {
  const running: OrgtrailProcess[] = [];
  return {
    start: (env: Readonly<Record<string, string>>): OrgtrailProcess => {
      const daemon = startOrgtrail(['run'], { ...env, ...oftenEnv });
      running.push(daemon);
      return daemon;
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      for (const { child } of running) child.kill('SIGKILL');
      await Promise.all(running.map(({ ended }) => ended));
    },
  };
};

const changesOf = async ({ database }: SyncWorld, table = 'account'): Promise<readonly string[]> => {
  const { rows } = await database.pool.query<{ change: string }>(
    `select ${table}_id || ' ' || change as change from ${table}_changes where change <> 'appeared' order by id`,
  );
  return rows.map(({ change }) => change);
};
/** The pause of listings that are not under way is over. */
const endPauses = ({ database }: SyncWorld) =>
  database.pool.query('update account_listings set next_at = null where next_at is not null');
const ended = async (env: Readonly<Record<string, string>>, ...args: string[]) => {
  const command = startOrgtrail(args, env);
  return { code: await command.ended, text: command.stdout() + command.stderr() };
};

test('an account that is moved out of the organizations that are read is read on, and that is a change, an alert and a line in status', async () => {
  await using world = await openWorld(
    { accounts: 2, accountEntries: 60, entries: 60 },
    { ORGTRAIL_ACCOUNTS: 'organizations' },
  );
  await using daemons = daemonsOf();
  daemons.start(world.env);
  await until('all is stored', async () => (await world.compare()).missing === 0);
  const [{ id, organizationId } = { id: '', organizationId: null }] = world.simulator.summary().accounts;
  world.simulator.changeAccount(id, { organizationId: null });
  world.simulator.generate({ kind: 'account', id }, 3);
  const missedOften = 'select from account_organizations where missed > 20';
  await until('it has left, or nothing notices', async () => {
    await endPauses(world);
    return (await changesOf(world)).length > 0 || (await world.database.pool.query(missedOften)).rowCount !== 0;
  });
  expect(await changesOf(world)).toEqual([`${id} left`]);
  world.simulator.generate({ kind: 'account', id }, 3);
  await until('what happens in it is stored', async () => (await world.compare()).missing === 0);
  const { code, text } = await ended(world.env, 'status', '--fail-on', 'failing');
  expect(text).toMatch(/^vanished: account .*: no listing that is read shows it any more.* \(since /m);
  expect(code).toBe(1);
  world.simulator.changeAccount(id, { organizationId });
  await until('it is back', async () => {
    await endPauses(world);
    return (await changesOf(world)).length > 1;
  });
  expect(await changesOf(world)).toEqual([`${id} left`, `${id} restored`]);
});

test('accounts of an organization that is gone come to an end, and those of a credential that is no longer there; sync ends with 0', async () => {
  const credentials = [
    { token: 'token-of-a', user: 'a@example.com', organizations: [0, 1], accounts: [0, 1, 2, 3] },
    { token: 'token-of-b', user: 'b@example.com', organizations: [2], accounts: [4, 5] },
  ];
  await using world = await openCredentialsWorld(
    { accounts: 2, accountEntries: 60, entries: 60, subOrganizations: false, credentials },
    { a: { token: 'token-of-a' }, b: { token: 'token-of-b' } },
  );
  expect(await ended(world.env, 'sync')).toMatchObject({ code: 0 });
  const { organizations, accounts } = world.simulator.summary();
  const [lost = { id: '' }, , ofB = { id: '' }] = organizations;
  world.simulator.faults.set({ partial_listing: { probability: 1, organizationIds: [lost.id] } });
  world.simulator.setRefused({ kind: 'organization', id: lost.id }, true);
  const ofLost = accounts.filter(({ organizationId }) => organizationId === lost.id).map(({ id }) => id);
  for (const id of ofLost) world.simulator.removeAccount(id);
  for (let n = 0; n < 4; n += 1) {
    await endPauses(world);
    await world.endRests();
    if (n === 3) await world.ageRefusals();
    await world.setClocks(10_000 * (n + 1));
    await ended(world.env, 'sync');
  }
  const states = async (table: string) =>
    (await world.query<{ id: string }>(`select id from ${table} where state = 'gone' order by id`)).map(({ id }) => id);
  expect(await states('organizations')).toEqual([lost.id]);
  expect(await states('accounts')).toEqual(ofLost.toSorted());
  await world.setClocks(50_000);
  expect(await ended(world.env, 'sync')).toMatchObject({ code: 0 });
  // For eleven minutes, and then for three days, no process has had the other credential.
  world.setCredentials({ a: { token: 'token-of-a' } });
  const pass = async (interval: string): Promise<void> => {
    await world.query(
      `update api_budget set next_free_at = next_free_at - $1::interval where next_free_at > '-infinity'`,
      [interval],
    );
    await world.query(`update account_listings set last_attempt_at = last_attempt_at - $1::interval, next_at = null`, [
      interval,
    ]);
    await world.query(`update sources set refused_since = refused_since - $1::interval`, [interval]);
    await world.query(`update organization_changes set changed_at = changed_at - $1::interval`, [interval]);
    await world.endRests();
  };
  await pass('11 minutes');
  for (const { id } of organizations) if (id !== lost.id) world.simulator.generate(id, 1);
  await world.setClocks(60_000);
  expect(await ended(world.env, 'sync'), 'they are refused').toMatchObject({ code: 1 });
  expect(await states('accounts'), 'and not gone at once').toEqual(ofLost.toSorted());
  for (let n = 0; n < 3; n += 1) {
    await pass('3 days');
    await world.setClocks(70_000 + 10_000 * n);
    await ended(world.env, 'sync');
  }
  const ofNone = accounts.filter(({ organizationId }) => organizationId === ofB.id).map(({ id }) => id);
  expect(await states('accounts')).toEqual([...ofLost, ...ofNone].toSorted());
  expect(await states('organizations')).toEqual([lost.id, ofB.id].toSorted());
  await world.setClocks(120_000);
  expect(await ended(world.env, 'sync')).toMatchObject({ code: 0 });
});

test('two daemons with credentials of different users, each by the name default, take nothing from each other', async () => {
  const credentials = [
    { token: 'token-of-a', user: 'a@example.com', organizations: [0, 1], accounts: [0, 1] },
    { token: 'token-of-b', user: 'b@example.com', organizations: [1, 2], accounts: [1, 2] },
  ];
  await using world = await openWorld({
    accounts: 1,
    accountEntries: 60,
    entries: 60,
    subOrganizations: false,
    credentials,
  });
  await using daemons = daemonsOf();
  for (const { token } of credentials) daemons.start({ ...world.env, CLOUDFLARE_API_TOKEN: token });
  const untilStored = async () => {
    const taken = async () => [...(await changesOf(world)), ...(await changesOf(world, 'organization'))];
    await until('all is stored', async () => (await taken()).length > 0 || (await world.compare()).missing === 0);
    expect(await taken()).toEqual([]);
  };
  await untilStored();
  const { organizations, accounts } = world.simulator.summary();
  for (let round = 1; round <= 4; round += 1) {
    const from = world.simulator.requestCount;
    await until('both have listed again', async () => {
      await endPauses(world);
      const listings = world.simulator
        .requests()
        .slice(from)
        .filter(({ path }) => /\/accounts\?/.test(path));
      return ['a', 'b'].every((user) => listings.filter(({ owner }) => owner.includes(`${user}@`)).length >= 2);
    });
    for (const { id } of organizations) world.simulator.generate({ kind: 'organization', id }, 1);
    for (const { id } of accounts) world.simulator.generate({ kind: 'account', id }, 1);
    await untilStored();
  }
  await world.expectExactTruth();
});

test('20 organizations and 240 accounts at a small budget: the first account log is asked for within few requests, and those of all organizations soon, whatever a reader locks', async () => {
  await using world = await openWorld(
    { organizations: 20, accounts: 12, entries: 400, accountEntries: 400 },
    { ORGTRAIL_API_BUDGET: '800' },
  );
  const reader = await world.database.pool.connect();
  using _ = { [Symbol.dispose]: () => reader.release(true) };
  await reader.query('set role orgtrail_reader');
  for (const name of ['orgtrail_record_listing', 'orgtrail_record_accounts'])
    await reader.query('select pg_advisory_lock(hashtext($1))', [name]);
  await reader.query('begin');
  for (const table of ['organizations', 'accounts', 'account_listings', 'discovery'])
    await reader.query(`lock table ${table} in access share mode`);
  await using daemons = daemonsOf();
  daemons.start({ ...world.env, ORGTRAIL_SCHEDULE: '*/30 * * * * *' });
  const asked = () => world.simulator.requests().findIndex(({ path }) => /\/accounts\/\w+\/logs\/audit/.test(path));
  await until('a log of an account is asked for', async () => asked() >= 0 || world.simulator.requestCount > 55);
  expect(asked()).toBeGreaterThan(0);
  const logs = () => world.simulator.requests().filter(({ path }) => path.includes('/logs/audit'));
  const organizations = () =>
    new Set(logs().flatMap(({ path }) => /\/organizations\/(\w+)\/logs/.exec(path)?.[1] ?? []));
  // Every other one of the sources that are read first, with three requests or so for each.
  await until('the organizations are asked', async () => organizations().size === 20 || logs().length > 150);
  expect(organizations().size).toBe(20);
});

const KILLS = 6;

const storedOf = (world: SyncWorld): Promise<number> =>
  firstValue<number>(world.database.pool, 'select count(*)::integer as count from audit_events');

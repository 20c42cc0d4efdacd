import { describe, expect, test } from 'vitest';
import { accountOwner, logRequests, openCredentialsWorld } from '../../support/sync/credentials-world.ts';

describe('each source is read by the best credential that may', () => {
  test('of two users each reads what it reaches, and what both reach is read once; each has a budget of its own', async () => {
    await using world = await openCredentialsWorld(two, both);
    await using run = await world.start();
    expect(await run.sync()).toMatchObject({ sources: 6, failed: [] });
    await world.expectExactTruth();
    const { organizations, accounts } = world.simulator.summary();
    for (const [kind, owners] of [
      ['organization', organizations],
      ['account', accounts],
    ] as const) {
      expect(await world.readers(kind, owners)).toEqual(['a', expect.stringMatching(/^[ab]$/), 'b']);
      for (const { id } of owners) expect(world.ownersReading(kind, id), 'by one alone').toHaveLength(1);
    }
    const users = await world.query("select from api_budget where credential like 'user:%'");
    expect(users).toHaveLength(2);
    const listings = await world.query(
      "select credential, accounts from account_listings where scope like 'credential:%' order by credential",
    );
    expect(listings).toEqual([
      { credential: 'a', accounts: 2 },
      { credential: 'b', accounts: 2 },
    ]);
    const before = world.simulator.requests().length;
    expect(await run.sync()).toMatchObject({ failed: [] });
    const refused = world.simulator
      .requests()
      .slice(before)
      .filter(({ status }) => status !== 200);
    expect(refused, 'no request is refused once it is known who may').toEqual([]);
  });

  test("an account's own token comes before a user who lists it, and reads no other account", async () => {
    const token = 'cfat_of_the_second';
    const credentials = [
      { token: 'token-of-a', user: 'a@example.com' },
      { token, account: 1 },
    ];
    const named = { a: { token: 'token-of-a' }, own: { token } };
    await using world = await openCredentialsWorld({ ...two, credentials }, named);
    await using run = await world.start();
    await run.sync();
    await run.sync();
    const { accounts, organizations } = world.simulator.summary();
    expect(await world.readers('account', accounts)).toEqual(['a', 'own', 'a']);
    expect(await world.readers('organization', organizations)).toEqual(['a', 'a', 'a']);
    const others = [accounts[0], accounts[2]].flatMap((each) =>
      logRequests(world.simulator.requests(), 'account', each?.id ?? ''),
    );
    expect(others.filter(({ owner }) => owner === accountOwner(token))).toEqual([]);
    await world.expectExactTruth();
    // Live tails are planned by the budget that each is read with.
    const budgetOf = run.app.sync.budgets?.();
    const names = accounts.map(({ id }) => budgetOf?.({ kind: 'account', id }).name);
    const rows = await world.query<{ credential: string }>('select credential from api_budget');
    expect(new Set(names).size).toBe(2);
    expect(names[0]).toBe(names[2]);
    expect(rows.map(({ credential }) => credential)).toEqual(expect.arrayContaining(names));
  });

  test('the token of an account alone reads that account, and organizations are asked for once', async () => {
    const token = 'cfat_alone';
    const options = { ...two, credentials: [{ token, account: 1 }] };
    await using world = await openCredentialsWorld(options, { own: { token } }, { ORGTRAIL_SOURCES: 'accounts' });
    await using run = await world.start();
    expect(await run.sync()).toMatchObject({ sources: 1, failed: [] });
    await run.sync();
    const [, account = { id: '' }] = world.simulator.summary().accounts;
    const expected = [...world.simulator.truth()].filter(
      ({ sourceKind, sourceId }) => sourceKind === 'account' && sourceId === account.id,
    );
    expect(await world.query('select from audit_events')).toHaveLength(expected.length);
    const asked = world.simulator.requests().filter(({ path }) => path.startsWith('/client/v4/organizations'));
    expect(asked).toHaveLength(1);
  });

  test('one that is for some accounts or organizations alone is used for nothing else', async () => {
    const { credentials: _, ...open } = two;
    const credentials = [
      { token: 'token-of-a', user: 'a@example.com' },
      { token: 'token-of-b', user: 'b@example.com' },
    ];
    await using world = await openCredentialsWorld({ ...open, credentials }, both);
    const { organizations, accounts } = world.simulator.summary();
    const [first = { id: '' }, second = { id: '' }, third = { id: '' }] = organizations;
    world.setCredentials({
      a: { token: 'token-of-a', organizations: [first.id, second.id], accounts: true },
      b: { token: 'token-of-b', organizations: [third.id] },
    });
    await using run = await world.start();
    await run.sync();
    expect(await world.readers('organization', organizations)).toEqual(['a', 'a', 'b']);
    expect(await world.readers('account', accounts)).toEqual(['a', 'a', 'a']);
    expect(
      world.simulator
        .requests()
        .filter(({ owner, path }) => owner === 'user:b@example.com' && path.startsWith('/client/v4/accounts')),
    ).toEqual([]);
    await world.expectExactTruth();
  });

  test('accounts of organizations are listed with the key of one user where the token of another may not', async () => {
    const credentials = [
      { token: 'token-of-a', user: 'a@example.com' },
      { email: 'b@example.com', key: 'key-of-b' },
    ];
    const options = { ...two, standaloneAccounts: 1, keysOnly: true, listsImplicitAccounts: false, credentials };
    const token = { a: { token: 'token-of-a' } };
    await using world = await openCredentialsWorld(options, token);
    await using run = await world.start();
    await run.sync();
    const shown = await world.query<{ id: string }>('select id from accounts');
    const { accounts } = world.simulator.summary();
    expect(shown.length, 'with the token alone some are missing').toBeLessThan(accounts.length);
    world.setCredentials({ ...token, b: { email: 'b@example.com', key: 'key-of-b' } });
    await world.query('update account_listings set next_at = null');
    await run.sync();
    await run.sync();
    expect(await world.query('select from accounts')).toHaveLength(accounts.length);
    await world.expectExactTruth();
  });

  test('each request is charged to the user whose credential has sent it, and to no other (invariant 11)', async () => {
    const REQUESTS = 600;
    const spacingMs = 305_000 / (REQUESTS * 0.9);
    // What is taken ahead and expires leaves half the burst free.
    const mostExpired = (REQUESTS * 0.1) / 2;
    await using world = await openCredentialsWorld(two, both, { ORGTRAIL_API_BUDGET: String(REQUESTS) });
    const [start] = await world.query<{ ms: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
    );
    await using run = await world.start();
    await run.sync();
    const rows = await world.query<{ ms: number }>(
      "select extract(epoch from next_free_at)::float8 * 1000 as ms from api_budget where credential like 'user:%' order by 1",
    );
    const [end] = await world.query<{ ms: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms',
    );
    const sent = ['user:a@example.com', 'user:b@example.com']
      .map((user) => world.simulator.requests().filter(({ owner }) => owner === user).length)
      .toSorted((a, b) => a - b);
    expect(rows).toHaveLength(2);
    for (const [index, { ms }] of rows.entries()) {
      const charged = (sent[index] ?? 0) * spacingMs;
      expect(ms, 'every one').toBeGreaterThanOrEqual((start?.ms ?? 0) + charged - spacingMs / 2);
      expect(ms, 'and no more').toBeLessThanOrEqual((end?.ms ?? 0) + charged + (1 + mostExpired) * spacingMs);
    }
  });

  test('two credentials of one user share one budget, the smaller one (invariant 11)', async () => {
    const user = 'a@example.com';
    const credentials = [
      { token: 'token-one', user },
      { token: 'token-two', user },
    ];
    const named = { one: { token: 'token-one' }, two: { token: 'token-two', budget: 600_000 } };
    await using world = await openCredentialsWorld({ ...two, credentials }, named);
    await using run = await world.start();
    await run.sync();
    const rows = await world.query("select from api_budget where credential like 'user:%'");
    expect(rows).toHaveLength(1);
    // What may go out at once is a tenth of 600,000, for each of the two.
    expect(await run.app.metricsSource.budgetAvailable()).toBeLessThanOrEqual(2 * 60_000);
  });
});

const two = {
  organizations: 3,
  entries: 90,
  accounts: 1,
  accountEntries: 90,
  subOrganizations: false,
  credentials: [
    { token: 'token-of-a', user: 'a@example.com', organizations: [0, 1], accounts: [0, 1] },
    { token: 'token-of-b', user: 'b@example.com', organizations: [1, 2], accounts: [1, 2] },
  ],
} as const;
const both = { a: { token: 'token-of-a' }, b: { token: 'token-of-b' } };

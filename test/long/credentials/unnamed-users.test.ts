import { describe, expect, test } from 'vitest';
import { accountOwner, openCredentialsWorld } from '../../support/sync/credentials-world.ts';

describe("a user's token that may not say whose it is, with one account", () => {
  test('shares the budget of the user', async () => {
    const credentials = [{ token: 'token-of-alice', user: alice }, unnamed('quiet-token', alice, [1])];
    const named = { a: { token: 'token-of-alice' }, quiet: { token: 'quiet-token' } };
    await using world = await openCredentialsWorld({ ...world3, credentials }, named);
    await using run = await world.start();
    await run.sync();
    await run.sync();
    const budgetOf = run.app.sync.budgets?.();
    const { accounts } = world.simulator.summary();
    const names = new Set(accounts.map(({ id }) => budgetOf?.({ kind: 'account', id }).name));
    expect([...names], 'all is planned within one budget').toEqual([expect.stringMatching(/^user:/)]);
    await world.expectExactTruth();
  });

  test('reads other accounts that it may read, where the others may not', async () => {
    const credentials = [
      { token: 'token-of-alice', user: alice, organizations: [0], accounts: [0, 1] },
      unnamed('quiet-token', bob, [1, 2]),
    ];
    const named = { a: { token: 'token-of-alice' }, quiet: { token: 'quiet-token' } };
    await using world = await openCredentialsWorld({ ...world3, credentials }, named);
    const { accounts } = world.simulator.summary();
    const [, shared = { id: '' }, late = { id: '' }] = accounts;
    const lose = (account: { readonly id: string }, credential: string) =>
      world.simulator.faults.set({ lost_access: { accountId: account.id, credential } });
    lose(shared, bob);
    await using run = await world.start();
    await run.sync();
    expect(await world.readers('account', accounts)).toEqual(['a', 'a', 'quiet']);
    lose(shared, alice);
    world.simulator.generate({ kind: 'account', id: shared.id }, 3);
    world.simulator.generate({ kind: 'account', id: late.id }, 3);
    await world.setClocks(15_000);
    expect(await run.sync()).toMatchObject({ failed: [] });
    expect(await world.readers('account', accounts)).toEqual(['a', 'quiet', 'quiet']);
    await world.expectExactTruth();
  });
});

test('the token of an account has its own budget, and comes first for it, beside such tokens', async () => {
  // Without the prefix that tokens of accounts have today: Cloudflare is asked.
  const token = 'token-of-the-second-account';
  const credentials = [
    { token: 'token-of-alice', user: alice },
    unnamed('quiet-token', bob, [2]),
    { token, account: 1 },
  ];
  const named = { a: { token: 'token-of-alice' }, quiet: { token: 'quiet-token' }, own: { token } };
  await using world = await openCredentialsWorld({ ...world3, credentials }, named);
  await using run = await world.start();
  await run.sync();
  await run.sync();
  const { accounts } = world.simulator.summary();
  expect(await world.readers('account', accounts)).toEqual(['a', 'own', 'a']);
  const budgetOf = run.app.sync.budgets?.();
  const [first, second, third] = accounts.map(({ id }) => budgetOf?.({ kind: 'account', id }).name);
  expect(first).toBe(third);
  expect(second).not.toBe(first);
  const sent = world.simulator.requests();
  expect(sent.filter(({ owner }) => owner === accountOwner(token)).map(({ path }) => path)).toContain(
    '/client/v4/user/tokens/verify',
  );
  const verified = sent.filter(({ path }) => path.endsWith('/tokens/verify'));
  expect(verified, 'asked only where GET /user was refused').toHaveLength(2);
});

// Tokens of users without "User Details Read": `GET /user` is refused to them as it is to the token of an account.

const [alice, bob] = ['alice@example.com', 'bob@example.com'];
const world3 = { organizations: 1, entries: 30, accounts: 3, accountEntries: 90, subOrganizations: false };

const unnamed = (token: string, user: string, accounts: readonly number[]) =>
  ({ token, user, organizations: [], accounts, mayReadUser: false }) as const;

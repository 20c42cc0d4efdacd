import { expect, test } from 'vitest';
import { openCredentialsWorld } from '../../support/sync/credentials-world.ts';

const accounts = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);
const ofAlice = { organizations: [0, 1, 2], accounts: accounts(0, 40) };
const ofBob = { organizations: [2, 3], accounts: accounts(20, 60) };

test('two users with two tokens and a key: everything once, no request too many, no user above its budget in any ten seconds', async () => {
  await using world = await openCredentialsWorld(
    {
      organizations: 4,
      entries: 1_000,
      accounts: 10,
      standaloneAccounts: 20,
      accountEntries: 8_000,
      subOrganizations: false,
      pageCap: 10,
      budget: { requests: MOST, windowMs: WINDOW_MS, blockMs: 60_000 },
      credentials: [
        { token: 'token-of-alice', user: alice, ...ofAlice },
        { token: 'other-token-of-alice', user: alice, ...ofAlice },
        { email: alice, key: 'key-of-alice', ...ofAlice },
        { token: 'token-of-bob', user: bob, ...ofBob },
      ],
    },
    {
      a: { token: 'token-of-alice' },
      b: { token: 'token-of-bob' },
      second: { token: 'other-token-of-alice' },
      key: { email: alice, key: 'key-of-alice' },
    },
    { ORGTRAIL_API_BUDGET: String(BUDGET), ORGTRAIL_CONCURRENCY: String(CONCURRENCY) },
  );
  await using run = await world.start();
  expect(await run.sync()).toMatchObject({ sources: 64, failed: [] });
  await world.expectExactTruth();
  const { organizations, accounts: all } = world.simulator.summary();
  for (const { id } of organizations) expect(world.ownersReading('organization', id), id).toHaveLength(1);
  for (const { id } of all) expect(world.ownersReading('account', id), id).toHaveLength(1);

  const requests = world.simulator.requests();
  expect(requests.filter(({ status }) => status === 429)).toEqual([]);
  const sent = Map.groupBy(requests, ({ owner }) => owner);
  expect([...sent.keys()].toSorted()).toEqual([`user:${alice}`, `user:${bob}`]);
  const counts = [...sent.values()].map(({ length }) => length);
  expect(Math.max(...counts), 'the budget has limited it').toBeGreaterThan(MOST);
  expect(Math.min(...counts)).toBeGreaterThan(BURST / 2);
});

// Cloudflare fails to say whose credentials these are, from the start on.
test('two credentials of one user stay within the budget of one, while it is not known that they are', async () => {
  await using world = await openCredentialsWorld(
    {
      organizations: 0,
      entries: 0,
      standaloneAccounts: 40,
      accountEntries: 4_000,
      pageCap: 10,
      budget: { requests: MOST, windowMs: WINDOW_MS, blockMs: 2_000 },
      credentials: [
        { token: 'token-of-alice', user: alice, accounts: Array.from({ length: 20 }, (_, n) => n) },
        { token: 'other-token-of-alice', user: alice, accounts: Array.from({ length: 20 }, (_, n) => 20 + n) },
      ],
      faults: { server_error: { probability: 1, operation: 'user' } },
    },
    { a: { token: 'token-of-alice' }, second: { token: 'other-token-of-alice' } },
    { ORGTRAIL_API_BUDGET: String(BUDGET), ORGTRAIL_CONCURRENCY: String(CONCURRENCY), ORGTRAIL_SOURCES: 'accounts' },
  );
  await using run = await world.start();
  expect(await run.sync()).toMatchObject({ failed: [] });
  await world.expectExactTruth();
  const requests = world.simulator.requests();
  expect(requests.filter(({ status }) => status === 429)).toEqual([]);
  expect(requests.length, 'the budget has limited it').toBeGreaterThan(MOST);
});

test('two users who see the same accounts: both budgets are used, and each log stays with its reader', async () => {
  const few = 300;
  const reach = { accounts: accounts(0, 20), organizations: [] };
  await using world = await openCredentialsWorld(
    {
      organizations: 0,
      entries: 0,
      standaloneAccounts: 20,
      accountEntries: 200,
      budget: { requests: mostOf(few), windowMs: WINDOW_MS, blockMs: 60_000 },
      credentials: [
        { token: 'token-of-alice', user: alice, ...reach },
        { token: 'token-of-bob', user: bob, ...reach },
      ],
    },
    { a: { token: 'token-of-alice' }, b: { token: 'token-of-bob' } },
    { ORGTRAIL_API_BUDGET: String(few), ORGTRAIL_CONCURRENCY: '8', ORGTRAIL_SOURCES: 'accounts' },
  );
  await using run = await world.start();
  expect(await run.sync()).toMatchObject({ sources: 20, failed: [] });
  await world.expectExactTruth();
  for (const { id } of world.simulator.summary().accounts)
    expect(world.ownersReading('account', id), id).toHaveLength(1);
  const requests = world.simulator.requests();
  expect(requests.filter(({ status }) => status === 429)).toEqual([]);
  for (const user of [alice, bob]) {
    const { length } = requests.filter(({ owner }) => owner === `user:${user}`);
    expect(length / requests.length, user).toBeGreaterThan(0.35);
  }
});

// A budget so small that it is what limits the reading, against a Cloudflare that blocks a user who sends more than that budget allows in
// any ten seconds.

const BUDGET = 3_000;
const BURST = BUDGET / 10;
const WINDOW_MS = 10_000;
const CONCURRENCY = 16;
/**
 * A tenth at once, and the rest evenly over five minutes and a little more. A permit may be used a moment after it was given; and if a busy
 * machine stands still, those of all workers are used after it.
 */
const mostOf = (budget: number): number =>
  0.1 * budget + Math.ceil(((0.9 * budget) / 305_000) * WINDOW_MS) + 10 + CONCURRENCY;
const MOST = mostOf(BUDGET);

const [alice, bob] = ['alice@example.com', 'bob@example.com'];

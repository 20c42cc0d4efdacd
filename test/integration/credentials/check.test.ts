import { expect, test } from 'vitest';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

const simulator = forAllTests(() =>
  startSimulator({
    organizations: 2,
    entries: 20,
    accounts: 1,
    standaloneAccounts: 1,
    accountEntries: 20,
    subOrganizations: false,
    keysOnly: true,
    credentials: [
      { token: 'the-token-of-a', user: 'a@example.com' },
      key,
      { token: 'the-token-of-b', user: 'b@example.com', organizations: [1], accounts: [1] },
      { token: 'cfat_of_the_first', account: 0 },
      { token: 'the-token-that-is-quiet', user: 'b@example.com', organizations: [], accounts: [1], mayReadUser: false },
      { token: 'the-token-of-none', user: 'c@example.com', organizations: [], accounts: [] },
    ],
  }),
);

test('a token: what it may, whom it is counted for, and that only a key lists the accounts of organizations', async () => {
  const { code, stdout } = await check({ a: { token: 'the-token-of-a', budget: 400 } });
  expect(stdout).toMatch(/^ok {4}organizations +2 organizations$/m);
  expect(stdout).toMatch(
    /^note {2}accounts +the accounts of 2 of 2 organizations may not be listed \(403; documented for email/m,
  );
  expect(stdout).toMatch(/^ok {4}account logs +readable/m);
  expect(stdout).toMatch(new RegExp(`^ok {4}budget +${user}, 400 requests per 5 minutes$`, 'm'));
  expect(code).toBe(0);
});

test('a token and the key of one user: nothing is missing, and they share the smaller budget', async () => {
  const { code, stdout } = await check({ a: { token: 'the-token-of-a' }, k: { ...key, budget: 500 } });
  expect(stdout).not.toMatch(/may not be listed/);
  expect(stdout, 'each organization counts once').toMatch(/^ok {4}organizations +2 organizations$/m);
  expect(stdout, 'and its log is tried once').toMatch(/^ok {4}audit logs +readable \(2 tried\)$/m);
  expect(stdout).toMatch(
    new RegExp(`^ok {4}credential a +${user}, 500 requests per 5 minutes; 2 organizations, 3 accounts$`, 'm'),
  );
  expect(stdout).toMatch(/^note {2}credential a +k: of the same user, and so of one budget, the smallest$/m);
  expect(stdout).toMatch(/^note {2}credential k +a: of the same user/m);
  expect(code).toBe(0);
});

test('two users and the token of an account: what each may list, and that it cannot list organizations', async () => {
  const { code, stdout } = await check({
    b: { token: 'the-token-of-b' },
    own: { token: 'cfat_of_the_first', budget: 300 },
  });
  expect(stdout).toMatch(new RegExp(`^ok {4}credential b +${user}, 900 requests .*; 1 organization, 1 account$`, 'm'));
  expect(stdout).toMatch(
    /^ok {4}credential own +counted by itself, 300 .*; may not list organizations \(403\), 1 account$/m,
  );
  expect(stdout).toMatch(/^ok {4}organizations +1 organization$/m);
  expect(stdout).toMatch(/^ok {4}account logs +readable \(2 tried\)$/m);
  expect(code).toBe(0);
});

test("a user's token that may not say whose it is: not counted by itself, and which permission mends it", async () => {
  const quiet = { quiet: { token: 'the-token-that-is-quiet', accounts: true, budget: 500 } };
  const { code, stdout } = await check({
    a: { token: 'the-token-of-a' },
    own: { token: 'cfat_of_the_first' },
    ...quiet,
  });
  expect(stdout).toMatch(/^ok {4}credential quiet +a user that is not known, 500 requests per 5 minutes; 1 account$/m);
  expect(stdout).toMatch(/^note {2}credential quiet +a: perhaps of the same user, .* "User Details Read"/m);
  expect(stdout).toMatch(new RegExp(`^ok {4}credential a +${user}, 900 requests`, 'm'));
  expect(stdout).not.toMatch(/^note {2}credential (a|own)/m);
  expect(code).toBe(0);
  const alone = await check(quiet, { ORGTRAIL_SOURCES: 'accounts' });
  expect(alone.stdout).toMatch(/^ok {4}budget +a user that is not known, 500 requests per 5 minutes$/m);
});

test('the token of an account where organizations are read: which setting it takes; with it, all is well', async () => {
  const own = { own: { token: 'cfat_of_the_first' } };
  const { code, stdout } = await check(own);
  expect(stdout).toMatch(
    /^FAIL {2}organizations .*\n +Try: the token of an account reads .*: set ORGTRAIL_SOURCES=accounts/m,
  );
  expect(code).toBe(2);
  const accounts = await check(own, { ORGTRAIL_SOURCES: 'accounts' });
  expect(accounts.stdout).toMatch(/^ok {4}account logs +readable \(1 tried\)$/m);
  expect(accounts.code).toBe(0);
});

test('a log that every credential refuses: exit 1 and the permission; if all refuse, nothing can be read: exit 2', async () => {
  const { accounts, organizations } = simulator.summary();
  const ofAccounts = accounts.map(({ id }) => ({ kind: 'account', id }) as const);
  const refuse = (
    refused: boolean,
    those = [...organizations.map(({ id }) => ({ kind: 'organization', id }) as const), ...ofAccounts],
  ) => {
    for (const one of those) simulator.setRefused(one, refused);
  };
  refuse(true, ofAccounts.slice(0, 1));
  const two = { a: { token: 'the-token-of-a' }, b: { token: 'the-token-of-b' } };
  const some = await check(two);
  expect(some.stdout).toMatch(
    /^FAIL {2}account logs +refused \(403\) for 1 of 3: .*\n +Try: the token needs "Account Settings Read"/m,
  );
  expect(some.code).toBe(1);
  refuse(true);
  expect((await check(two)).code).toBe(2);
  refuse(false);
});

test('no account is visible: a note where organizations are read; else nothing can be read: exit 2', async () => {
  const other = await startSimulator({ organizations: 1, entries: 5 });
  const at = { CLOUDFLARE_BASE_URL: other.baseUrl };
  const both = await check({ a: { token: 'the-token-of-a' } }, at);
  const alone = await check({ a: { token: 'the-token-of-a' } }, { ...at, ORGTRAIL_SOURCES: 'accounts' });
  await other.close();
  expect(both.stdout).toMatch(
    /^ok {4}accounts +no account is visible\nnote {2}accounts +the token needs a permission/m,
  );
  expect(both.code).toBe(0);
  expect(alone.stdout).toMatch(/^FAIL {2}accounts +no account is visible$/m);
  expect(alone.code).toBe(2);
});

test('accounts that may not be listed by any credential are a failure, and no organization is none if accounts are read', async () => {
  const other = await startSimulator({ organizations: 1, entries: 5, accounts: 1, faults: { account_listing_403: 1 } });
  const at = { CLOUDFLARE_BASE_URL: other.baseUrl };
  const both = await check({ a: { token: 'the-token-of-a' } }, at);
  expect(both.stdout).toMatch(
    /^FAIL {2}accounts +no credential may list accounts\n.*needs "Account Settings Read".*ORGTRAIL_SOURCES=organizations/m,
  );
  expect(both.stdout).not.toMatch(/accounts of organizations alone are read/);
  expect(both.code).toBe(1);
  const alone = await check({ a: { token: 'the-token-of-a' } }, { ...at, ORGTRAIL_SOURCES: 'accounts' });
  await other.close();
  expect(alone.code).toBe(2);
  const options = { organizations: 1, entries: 5, standaloneAccounts: 2, accountEntries: 5 };
  const credentials = [{ token: 'the-token-of-a', organizations: [], accounts: [0, 1] }];
  const without = await startSimulator({ ...options, credentials });
  const read = await check({ a: { token: 'the-token-of-a' } }, { CLOUDFLARE_BASE_URL: without.baseUrl });
  await without.close();
  expect(read.stdout).toMatch(/^ok {4}organizations +no organization is visible\nnote .*ORGTRAIL_SOURCES=accounts/m);
  expect(read.code).toBe(0);
});

test('one of two that is wrong: it is named with what to check, and the other one is told of', async () => {
  const { code, stdout } = await check({ a: { token: 'the-token-of-a' }, wrong: { token: 'a-wrong-token' } });
  expect(stdout).toMatch(/^FAIL {2}credential wrong .*\n +Try: the credential itself is not taken: check its secret/m);
  expect(stdout).toMatch(/^ok {4}credential a .*2 organizations, 3 accounts$/m);
  expect(stdout).toMatch(/^ok {4}account logs/m);
  expect(code).toBe(1);
});

const key = { email: 'a@example.com', key: 'the-key-of-a' };

const check = async (credentials: Readonly<Record<string, object>>, env: Readonly<Record<string, string>> = {}) => {
  const { code, stdout, stderr } = await runInProcess(['check'], {
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    CLOUDFLARE_CREDENTIALS: JSON.stringify(credentials),
    ORGTRAIL_DATA_DIR: '/nowhere/of/the/test',
    ...env,
  });
  for (const secret of ['the-token', 'the-key', 'cfat_of', 'a@example.com', 'a-wrong'])
    expect(stdout + stderr, 'a secret').not.toContain(secret);
  return { code, stdout };
};

const user = 'user [0-9a-f]{32}';

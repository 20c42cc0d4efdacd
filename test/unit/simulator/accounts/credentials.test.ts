import { expect, test } from 'vitest';
import type { AcceptedCredential } from '../../../../src/simulator/api/credentials.ts';
import { auditPath, get, organizationAt, startMs } from '../simulated-cloudflare.ts';
import { accountAt, accountPath, refusalOf, sdk, sdkWithKey, simulateAccounts, window } from './simulated-accounts.ts';

test('GET /user tells whose credential it is: one user for both tokens and the key', async () => {
  const simulator = await simulateAccounts({ credentials });
  const clients = [...['of-a', 'of-a-too', 'of-b'].map((token) => sdk(simulator, token)), sdkWithKey(simulator)];
  const users = await Promise.all(clients.map((client) => client.user.get()));
  const emails = users.map(({ email }) => email);
  expect(emails).toEqual(['a', 'a', 'b', 'a'].map((name) => `${name}@example.com`));
  expect(new Set(users.map(({ id }) => id)).size).toBe(2);
  expect(users[0]?.id).toMatch(/^[0-9a-f]{32}$/);
  expect(await refusalOf(simulator, '/user', bearer('cfat_own'))).toEqual({ status: 401, code: 10000 });
});

test('verify answers a user’s token at /user and an account’s token at its account', async () => {
  const simulator = await simulateAccounts({ credentials });
  const { id } = accountAt(simulator, 4);
  const users = await sdk(simulator, 'of-a').user.tokens.verify();
  expect(users).toEqual({ id: expect.stringMatching(/^[0-9a-f]{32}$/), status: 'active' });
  const own = await sdk(simulator, 'cfat_own').accounts.tokens.verify({ account_id: id });
  expect(own).toEqual({ id: expect.stringMatching(/^[0-9a-f]{32}$/), status: 'active' });
  expect(own?.id).not.toBe(users?.id);
  const invalid = { status: 401, code: 1000 };
  expect(await refusalOf(simulator, '/user/tokens/verify', bearer('cfat_own'))).toEqual(invalid);
  expect(await refusalOf(simulator, `/accounts/${id}/tokens/verify`, bearer('of-a'))).toEqual(invalid);
});

test('the token of an account sees that account and nothing else', async () => {
  const simulator = await simulateAccounts({ credentials, entries: 300 });
  const [own, other] = [accountAt(simulator, 4), accountAt(simulator, 5)];
  const client = sdk(simulator, 'cfat_own');
  const { result } = await client.accounts.list();
  expect(result.map(({ id }) => id)).toEqual([own.id]);
  expect(await client.accounts.get({ account_id: own.id })).toMatchObject({ name: own.name });
  expect((await client.accounts.logs.audit.list({ account_id: own.id, ...window })).result.length).toBeGreaterThan(0);
  const at = (path: string) => refusalOf(simulator, path, bearer('cfat_own'));
  expect(await at(`/accounts/${other.id}`)).toEqual({ status: 403, code: 9109 });
  expect(await at(accountPath(other.id))).toEqual({ status: 403, code: 10000 });
  const organization = organizationAt(simulator);
  for (const path of ['', `/${organization}`, `/${organization}/profile`, `/${organization}/accounts`]) {
    expect({ path, ...(await at(`/organizations${path}`)) }).toEqual({ path, status: 403, code: 10000 });
  }
  expect(await at(auditPath(organization))).toEqual({ status: 403, code: 10000 });
});

test('a user sees the organizations of theirs, and their accounts', async () => {
  const simulator = await simulateAccounts({ credentials });
  const client = sdk(simulator, 'of-b');
  const organization = organizationAt(simulator, 1);
  expect((await client.organizations.list()).result.map(({ id }) => id)).toEqual([organization]);
  const own = simulator.summary().accounts.filter(({ organizationId }) => organizationId === organization);
  expect((await client.accounts.list()).result.map(({ id }) => id)).toEqual(own.map(({ id }) => id));
  const at = (path: string) => refusalOf(simulator, path, bearer('of-b'));
  expect(await at(auditPath(organizationAt(simulator)))).toEqual({ status: 403, code: 10000 });
  expect(await at(accountPath(accountAt(simulator, 0).id))).toEqual({ status: 403, code: 10000 });
  expect(await at(auditPath(organization))).toEqual({ status: 200, code: undefined });
});

test('accounts can be named for a user, by place or by id', async () => {
  const { id } = accountAt(await simulateAccounts(), 7);
  const simulator = await simulateAccounts({ credentials: [{ token: 'some', accounts: [1, id] }] });
  const { result } = await sdk(simulator, 'some').accounts.list();
  expect(result.map((account) => account.id)).toEqual([accountAt(simulator, 1).id, id]);
});

test('any credential: each token is a user of its own, cfat_ and an account’s id is that account’s', async () => {
  const simulator = await simulateAccounts({ entries: 100 });
  const { id } = accountAt(simulator, 1);
  const ids = await Promise.all(['one', 'two'].map(async (token) => (await sdk(simulator, token).user.get()).id));
  expect([new Set(ids).size, (await sdk(simulator, `cfat_${id}`).accounts.list()).result.length]).toEqual([2, 1]);
});

test('one budget for each user, whichever credential is used, and one for each token of an account', async () => {
  const budget = { requests: 4, windowMs: 300_000, blockMs: 300_000 };
  const simulator = await simulateAccounts({ credentials, budget, clock: () => startMs });
  const status = async (headers: Record<string, string>): Promise<number> =>
    (await get(simulator, '/accounts', headers)).status;
  const key = { 'x-auth-email': 'a@example.com', 'x-auth-key': 'secret' };
  const all = [bearer('of-a'), bearer('of-a-too'), key, bearer('of-a')];
  expect(await Promise.all(all.map(status))).toEqual([200, 200, 200, 200]);
  expect([await status(bearer('of-a-too')), await status(key)]).toEqual([429, 429]);
  for (const token of ['of-b', 'cfat_own']) expect(await status(bearer(token))).toBe(200);
  const owners = new Set(simulator.requests().map(({ owner }) => owner));
  const ofToken = expect.stringMatching(/^token:[0-9a-f]{12}$/);
  expect([...owners].sort()).toEqual([ofToken, 'user:a@example.com', 'user:b@example.com']);
});

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

const credentials: readonly AcceptedCredential[] = [
  { token: 'of-a', user: 'a@example.com' },
  { token: 'of-a-too', user: 'a@example.com' },
  { token: 'of-b', user: 'b@example.com', organizations: [1] },
  { email: 'a@example.com', key: 'secret' },
  { token: 'cfat_own', account: 4 },
];

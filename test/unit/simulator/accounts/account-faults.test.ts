import { expect, test } from 'vitest';
import type { Simulator } from '../../../../src/simulator/interface.ts';
import { auditPage, auditPath, get, listingOf, organizationAt, startMs } from '../simulated-cloudflare.ts';
import { accountAt, accountPage, accountPath, refusalOf, simulateAccounts } from './simulated-accounts.ts';

test('account_refused: the logs of the named accounts, or of a share, answer 403; organizations do not', async () => {
  const simulator = await simulateAccounts({ entries: 100 });
  const statuses = (): Promise<number[]> =>
    Promise.all(simulator.summary().accounts.map(async ({ id }) => (await accountPage(simulator, id)).status));
  simulator.faults.set({ account_refused: { accountIds: [accountAt(simulator, 2).id] } });
  expect(await statuses()).toEqual(upTo(11).map((n) => (n === 2 ? 403 : 200)));
  expect(await refusalOf(simulator, accountPath(accountAt(simulator, 2).id))).toEqual({ status: 403, code: 10000 });
  const history = `/accounts/${accountAt(simulator, 2).id}/logs/audit/${'0'.repeat(32)}/history?action_time=2026-05-01`;
  expect(await refusalOf(simulator, history)).toEqual({ status: 403, code: 10000 });
  expect((await auditPage(simulator, {}, organizationAt(simulator, 2))).status).toBe(200);
  expect((await list(simulator)).places).toEqual(upTo(11));
  simulator.faults.set({ account_refused: { firstAccounts: 3 } });
  expect(await statuses()).toEqual(upTo(11).map((n) => (n < 3 ? 403 : 200)));
  simulator.faults.set({ account_refused: 0.4 });
  const share = await statuses();
  expect(new Set(share)).toEqual(new Set([200, 403]));
  expect(await statuses()).toEqual(share);
});

test('account_moved: for as long as it is on, the account is in the next organization, with the same log', async () => {
  let nowMs = startMs;
  const simulator = await simulateAccounts({ entries: 100, clock: () => nowMs });
  const { id } = accountAt(simulator);
  const { texts } = await accountPage(simulator, id);
  simulator.faults.set({ account_moved: { accountId: id, forSeconds: 60 } });
  const [own, next] = [ofOrganization(simulator, 0), ofOrganization(simulator, 1)];
  expect((await list(simulator, own)).places).toEqual([1, 2]);
  expect((await list(simulator, next)).places).toEqual([0, 3, 4, 5]);
  const moved = (await list(simulator)).body.result[0];
  expect(moved.managed_by.parent_org_id).toBe(organizationAt(simulator, 1));
  expect((await accountPage(simulator, id)).texts).toEqual(texts);
  nowMs += 60_000;
  expect((await list(simulator, own)).places).toEqual([0, 1, 2]);
});

test('late_access: listed, and everything else is 403 until the time is over', async () => {
  let nowMs = startMs;
  const simulator = await simulateAccounts({ entries: 100, clock: () => nowMs });
  const { id } = accountAt(simulator, 4);
  simulator.faults.set({ late_access: { accountId: id, forSeconds: 120 } });
  expect((await list(simulator)).places).toEqual(upTo(11));
  expect(await refusalOf(simulator, `/accounts/${id}`)).toEqual({ status: 403, code: 9109 });
  expect(await refusalOf(simulator, accountPath(id))).toEqual({ status: 403, code: 10000 });
  nowMs += 120_000;
  expect((await accountPage(simulator, id)).status).toBe(200);
});

test('old_account_name: GET /accounts has the name of before; the organization’s listing and entries have today’s', async () => {
  const simulator = await simulateAccounts();
  const { id, name } = accountAt(simulator);
  simulator.changeAccount(id, { name: 'Today' });
  simulator.generate({ kind: 'account', id }, 1);
  simulator.faults.set({ old_account_name: { accountId: id } });
  expect((await list(simulator)).body.result[0].name).toBe(name);
  expect((await list(simulator, `/accounts/${id}`)).body.result.name).toBe(name);
  expect((await list(simulator, ofOrganization(simulator, 0))).body.result[0].name).toBe('Today');
  expect((await accountPage(simulator, id)).result[0].account.name).toBe('Today');
});

test('faults of the wire and of paging meet both kinds of logs, or the kind or the ids that are named', async () => {
  const simulator = await simulateAccounts({ entries: 100 });
  const account = accountAt(simulator, 2).id;
  const organization = organizationAt(simulator, 2);
  const statuses = async (): Promise<number[]> => [
    (await get(simulator, auditPath(organization))).status,
    (await get(simulator, accountPath(account))).status,
  ];
  // The two have the same id.
  expect(account).toBe(organization);
  const bad = expect.toBeOneOf([502, 503]);
  for (const [html_error, expected] of [
    [{ operation: 'audit' }, [bad, bad]],
    [{ sourceKind: 'account' }, [200, bad]],
    [{ accountId: account }, [200, bad]],
    [{ organizationId: organization }, [bad, 200]],
    [{ organizationId: organization, firstAccounts: 3 }, [bad, bad]],
  ] as const) {
    simulator.faults.set({ html_error });
    expect(await statuses()).toEqual(expected);
  }
});

/** A listing, and the places of its accounts in the order of creation. */
const list = async (simulator: Simulator, path = '/accounts', headers?: Record<string, string>) => {
  const listing = await listingOf(simulator, path, headers);
  const all = simulator.summary().accounts.map(({ id }) => id);
  return { ...listing, places: listing.ids.map((id) => all.indexOf(id)) };
};

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

const ofOrganization = (simulator: Simulator, n: number): string =>
  `/organizations/${organizationAt(simulator, n)}/accounts`;

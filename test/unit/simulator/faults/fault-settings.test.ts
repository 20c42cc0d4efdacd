import { expect, test } from 'vitest';
import { faultCatalogue, faultNames, parametersOf } from '../../../../src/simulator/faults/fault-catalogue.ts';
import { checkedFaultPatch, faultPatchProblems, parseFaultList } from '../../../../src/simulator/faults/fault-list.ts';
import { auditPage, auditWalk, organizationAt, simulate, startMs } from '../simulated-cloudflare.ts';

const withParameters = faultNames.filter((name) => Object.keys(parametersOf(name)).length > 0);

test('a fault is kept to organizations by their ids or by their places, also to those that come later', async () => {
  const simulator = await simulate({ organizations: 4 });
  const refused = async (): Promise<number[]> => {
    const pages = simulator.summary().organizations.map(async ({ id }) => (await auditPage(simulator, {}, id)).status);
    return (await Promise.all(pages)).flatMap((status, n) => (status === 403 ? [n] : []));
  };
  simulator.faults.set({ refused: { organizationIds: [1, 3].map((n) => organizationAt(simulator, n)) } });
  expect(await refused()).toEqual([1, 3]);
  simulator.faults.set({ refused: { firstOrganizations: 2 } });
  expect(await refused()).toEqual([0, 1]);
  const headers = { authorization: 'Bearer test' };
  await fetch(`${simulator.baseUrl}/organizations`, { method: 'POST', headers, body: '{"name":"New"}' });
  simulator.faults.set({ refused: { firstOrganizations: 5 } });
  expect(await refused()).toEqual([0, 1, 2, 3, 4]);
  simulator.faults.set({ refused: { organizationIds: [] } });
  expect(await refused()).toEqual([]);
});

test('forSeconds: the fault ends by itself; a count that is used up ends it before', async () => {
  let nowMs = startMs;
  const simulator = await simulate({ clock: () => nowMs, faults: { refused: { forSeconds: 10, count: 2 } } });
  const status = async (): Promise<number> => (await auditPage(simulator)).status;
  simulator.setClockOffset(-3_600_000);
  expect(await status()).toBe(403);
  nowMs += 9999;
  expect(simulator.faults.current().refused).toEqual({ probability: 1, count: 1, forSeconds: 0.001 });
  nowMs += 1;
  expect(await status()).toBe(200);
  simulator.faults.set({ refused: { forSeconds: 10, count: 1 } });
  expect([await status(), await status()]).toEqual([403, 200]);
});

test('current: every parameter, whether it was set or not', async () => {
  const simulator = await simulate({ faults: { page_cap: { size: 73 }, wrong_date: 0.5 } });
  expect(simulator.faults.current()).toMatchObject({
    page_cap: { probability: 1, size: 73, cursors: 'work', refusedWith: 400 },
    wrong_date: { probability: 0.5, offsetSeconds: 3600 },
    window_limit: { probability: 0 },
  });
  simulator.faults.set({ page_cap: 1 });
  expect(simulator.faults.current().page_cap).toMatchObject({ size: 100 });
});

test.each(withParameters)('%s is none of `all`, and good and bad parameters are told apart', (name) => {
  expect(faultCatalogue[name].inAll).toBe(false);
  for (const [key, { isGood, standard, what }] of Object.entries(parametersOf(name))) {
    if (standard !== undefined) expect(faultPatchProblems({ [name]: { [key]: standard } })).toEqual([]);
    for (const bad of [null, {}, [''], Number.NaN, 'no such word']) {
      expect({ key, bad, isGood: isGood(bad) }).toEqual({ key, bad, isGood: false });
      expect(faultPatchProblems({ [name]: { [key]: bad } })).toEqual([`${name}.${key} must be ${what}`]);
    }
  }
  const ofOrganizations = ['organizationId', 'organizationIds', 'firstOrganizations'];
  const ofAccounts = ['accountId', 'accountIds', 'firstAccounts', 'sourceKind'];
  const known = ['probability', 'count', ...ofOrganizations, ...ofAccounts, 'forSeconds'];
  const [problem = ''] = faultPatchProblems({ [name]: { what: 1 } });
  expect(problem).toContain(`${name}.what is unknown; known: `);
  for (const key of [...known, 'operation', ...Object.keys(parametersOf(name))]) expect(problem).toContain(key);
});

test('what a patch may say of times, statuses and words', () => {
  const good = {
    poison_page: { times: ['2026-04-26T12:00:00.5Z', startMs], since: '2026-04-26', ids: ['a'], status: 599 },
    window_limit: { status: 'hang', maxDays: 0.25 },
    wrong_date: { offsetSeconds: -0.5 },
    page_blocks: { direction: 'inside', cursors: 'none' },
    partial_listing: { organizationIds: ['a', 'b'], countsAll: true },
  };
  expect(checkedFaultPatch(good)).toBe(good);
  const bad: [object, string][] = [
    [{ window_limit: { status: 200 } }, 'window_limit.status must be a status from 400 to 599 or "hang"'],
    [{ page_cap: { size: 1001 } }, 'page_cap.size must be an integer between 1 and 1000'],
    [{ server_error: { size: 1 } }, 'server_error.size is unknown'],
    [{ hung: { organizationIds: [1] } }, 'hung.organizationIds must be a list of organization ids'],
    [{ hung: { firstOrganizations: 0.5 } }, 'hung.firstOrganizations must be an integer'],
    [{ hung: { forSeconds: -1 } }, 'hung.forSeconds must be a number of 0 or more'],
  ];
  for (const [patch, why] of bad) expect(() => checkedFaultPatch(patch)).toThrow(why);
});

test('on the command line, names have their standard parameters, and JSON says the others', () => {
  expect(parseFaultList('page_cap,wrong_date=0.5')).toEqual({ page_cap: 1, wrong_date: 0.5 });
  const json = '{"preset":"all","page_cap":{"size":73,"cursors":"none"}}';
  expect(parseFaultList(` ${json}`)).toEqual(JSON.parse(json));
  expect(() => parseFaultList('{"page_cap":{"size":0}}')).toThrow('page_cap.size must be');
  expect(() => parseFaultList('{"page_cap"')).toThrow('Not JSON');
});

test('every fault can be set at run time over the control API, and is gone with preset none', async () => {
  const simulator = await simulate({ entries: 250 });
  const post = async (patch: object): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${simulator.controlUrl}/faults`, { method: 'POST', body: JSON.stringify(patch) });
    expect(answer.status).toBe(200);
    return (await answer.json()) as Record<string, unknown>;
  };
  const organizationId = organizationAt(simulator);
  for (const name of faultNames) {
    const state = await post({ [name]: { probability: 0.25, organizationId } });
    expect(state[name]).toMatchObject({ probability: 0.25, organizationId });
  }
  const none = await post({ preset: 'none' });
  for (const name of faultNames) expect(none[name]).toEqual({ probability: 0 });
  expect((await auditWalk(simulator)).map(({ texts }) => texts.length)).toEqual([100, 100, 50]);
});

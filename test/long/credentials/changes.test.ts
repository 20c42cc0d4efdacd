import { describe, expect, test } from 'vitest';
import { openCredentialsWorld } from '../../support/sync/credentials-world.ts';

const a = { token: 'token-of-a', user: 'a@example.com' };
const b = { token: 'token-of-b', user: 'b@example.com' };

describe('while the daemon runs', () => {
  test('the sources of a credential that is revoked go to another one, without a refusal', async () => {
    await using world = await openCredentialsWorld({ ...world2, credentials: [a, b] }, both);
    await using run = await world.start();
    await run.sync();
    const { organizations, accounts } = world.simulator.summary();
    const readers = [
      ...(await world.readers('organization', organizations)),
      ...(await world.readers('account', accounts)),
    ];
    expect(readers.toSorted()).toEqual(['a', 'a', 'b', 'b']);
    world.setCredentials(revoked);
    for (const { id } of organizations) world.simulator.generate({ kind: 'organization', id }, 3);
    for (const { id } of accounts) world.simulator.generate({ kind: 'account', id }, 3);
    await world.setClocks(LATER_MS);
    expect(await run.sync()).toMatchObject({ failed: [], discoveryError: undefined });
    expect(await world.readers('organization', organizations)).toEqual(['b', 'b']);
    expect(await world.readers('account', accounts)).toEqual(['b', 'b']);
    await world.expectExactTruth();
    expect(await world.query("select from sources where access = 'refused'")).toEqual([]);
    expect(await world.query("select from organizations where state <> 'active'")).toEqual([]);
    expect(await world.query("select from account_changes where change <> 'appeared'")).toEqual([]);
  });

  test('a credential that is added reads what only it may, without a restart', async () => {
    const credentials = [
      { ...a, organizations: [0], accounts: [0] },
      { ...b, organizations: [1], accounts: [1] },
    ];
    await using world = await openCredentialsWorld({ ...world2, credentials }, { a: both.a });
    await using run = await world.start();
    expect(await run.sync()).toMatchObject({ sources: 2 });
    world.setCredentials(both);
    expect(await run.sync()).toMatchObject({ sources: 4, failed: [] });
    await world.expectExactTruth();
  });

  test('a source is refused only once every credential has refused it, and is read again once one may', async () => {
    await using world = await openCredentialsWorld({ ...world2, credentials: [a, b] }, both);
    await using run = await world.start();
    await run.sync();
    const [account = { id: '' }] = world.simulator.summary().accounts;
    const access = async () =>
      (
        await world.query<{ access: string }>("select access from sources where kind = 'account' and id = $1", [
          account.id,
        ])
      )[0]?.access;
    const lose = (credential?: string) =>
      world.simulator.faults.set({ lost_access: { probability: 1, ...(credential !== undefined && { credential }) } });
    const [reader] = await world.readers('account', [account]);
    lose(`${reader}@example.com`);
    world.simulator.generate({ kind: 'account', id: account.id }, 2);
    await world.setClocks(LATER_MS);
    await run.sync();
    expect(await access()).toBe('granted');
    expect(await world.readers('account', [account])).toEqual([reader === 'a' ? 'b' : 'a']);
    await world.expectExactTruth();
    lose();
    world.simulator.generate({ kind: 'account', id: account.id }, 2);
    await world.setClocks(2 * LATER_MS);
    await run.sync();
    expect(await access()).toBe('refused');
    world.simulator.faults.set({ lost_access: 0 });
    await world.endRests();
    await world.setClocks(3 * LATER_MS);
    await run.sync();
    expect(await access()).toBe('granted');
    await world.expectExactTruth();
  });
});

describe('an organization is gone only if no credential lists it', () => {
  const apart = [
    { ...a, organizations: [0], accounts: [0] },
    { ...b, organizations: [1], accounts: [1] },
  ];
  const missed = 'select id from organizations where missed_listings > 0';

  test('it is not missed while its credential may not list, however often the other one lists', async () => {
    await using world = await openCredentialsWorld({ ...world2, credentials: apart }, both);
    await using run = await world.start();
    await run.sync();
    world.setCredentials({ a: both.a, b: { token: 'b-token-that-was-revoked' } });
    for (let listing = 0; listing < 4; listing += 1) await run.cycle();
    expect(await world.query(missed)).toEqual([]);
    expect(await world.query("select from organizations where state = 'gone'")).toEqual([]);
    // Another process, which has seen nothing of it, does not miss it, either.
    await using other = await world.start();
    for (let listing = 0; listing < 4; listing += 1) await other.cycle();
    expect(await world.query("select from organizations where state = 'gone'")).toEqual([]);
    world.setCredentials(both);
    await world.endRests();
    const [, second = { id: '' }] = world.simulator.summary().organizations;
    world.simulator.generate({ kind: 'organization', id: second.id }, 2);
    await world.setClocks(LATER_MS);
    await run.sync();
    await world.expectExactTruth();
  });

  test('it is missed, and gone when its log refuses, once no credential that is left lists it', async () => {
    await using world = await openCredentialsWorld({ ...world2, credentials: apart }, both);
    await using run = await world.start();
    await run.sync();
    world.setCredentials({ a: both.a });
    for (let listing = 0; listing < 4; listing += 1) await run.cycle();
    await world.ageRefusals();
    await run.cycle();
    const [, second] = world.simulator.summary().organizations;
    expect(await world.query("select id from organizations where state = 'gone'")).toEqual([{ id: second?.id }]);
  });

  test('it is not missed by listings that count more than they name, and these are no failures', async () => {
    await using world = await openCredentialsWorld({ ...world2, credentials: apart }, both);
    await using run = await world.start();
    await run.sync();
    world.simulator.faults.set({ partial_listing: { probability: 1, countsAll: true } });
    for (let listing = 0; listing < 3; listing += 1)
      expect(await run.cycle()).toMatchObject({ discoveryError: undefined });
    expect(await world.query(missed)).toEqual([]);
    expect(run.log().match(/the listing of organizations is not complete/g)).toHaveLength(1);
    expect(run.log()).not.toContain('failed to list organizations');
  });

  test('what one lists is not missed when the other lists less', async () => {
    const credentials = [a, { ...b, organizations: [1], accounts: [1] }];
    await using world = await openCredentialsWorld({ ...world2, credentials }, both);
    await using run = await world.start();
    for (let listing = 0; listing < 4; listing += 1) await run.cycle();
    expect(await world.query(missed)).toEqual([]);
    expect(await world.query('select from organizations')).toHaveLength(2);
  });
});

const LATER_MS = 15_000;
const world2 = { organizations: 2, entries: 40, accounts: 1, accountEntries: 40, subOrganizations: false };
const both = { a: { token: a.token }, b: { token: b.token } };
const revoked = { ...both, a: { token: 'a-token-that-was-revoked' } };

import { expect, test, vi } from 'vitest';
import { discoverInTurn } from '../../../src/ingest/sync/discovery/discover.ts';
import { discoverAccounts } from '../../../src/ingest/sync/discovery/discover-accounts.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };
const AT_ONCE = 2;

test('once all accounts have been listed, a discovery lists those of a few organizations, the longest waiting first', async () => {
  await using world = await openWorld({ organizations: 7, accounts: 1, entries: 7, accountEntries: 7 }, env);
  await using run = await world.open();
  const { sync } = run.app;
  vi.spyOn(sync.discoveryPace, 'accountsOfAtOnce').mockReturnValue(AT_ONCE);
  const change = (set: string, of: string) =>
    world.database.pool.query(`update account_listings set ${set} where scope like $1`, [`${of}:%`]);
  const listed = async (everyMs: number | undefined): Promise<readonly string[]> => {
    const from = world.simulator.requestCount;
    const { signal } = new AbortController();
    await discoverInTurn(sync, 0, signal);
    await discoverAccounts(sync, signal, everyMs === undefined ? {} : { forMs: everyMs });
    return world.simulator
      .requests()
      .slice(from)
      .flatMap(({ path }) => /\/organizations\/([^/]+)\/accounts(?:\?|$)/.exec(path)?.[1] ?? []);
  };
  expect(await listed(30_000), 'what is not listed by any credential').toHaveLength(7);

  await change('next_at = null, last_attempt_at = null', 'organization');
  const some = [await listed(30_000), await listed(30_000), await listed(30_000), await listed(30_000)];
  expect(some.map(({ length }) => length)).toEqual([2, 2, 2, 1]);
  expect(new Set(some.flat()).size, 'each in its turn').toBe(7);

  await change('next_at = null', 'organization');
  expect(await listed(undefined), 'by a command that lists once').toHaveLength(7);

  await change('next_at = null', 'organization');
  await change('last_success_at = null', 'credential');
  expect(await listed(30_000), 'as long as nothing else names all accounts').toHaveLength(7);
});

test('a walk of GET /accounts is paused after a page, goes on at the next one in another process, and counts what it missed as a whole', async () => {
  await using world = await openWorld(
    { organizations: 1, standaloneAccounts: 230, entries: 1, accountEntries: 230, subOrganizations: false },
    env,
  );
  const { signal } = new AbortController();
  const walkOnePage = async (): Promise<boolean> => {
    await using run = await world.open();
    await discoverInTurn(run.app.sync, 0, signal);
    return (await discoverAccounts(run.app.sync, signal, { forMs: 0 })).more;
  };
  const pages = () => world.simulator.requests().flatMap(({ path }) => /\/accounts\?page=(\d+)/.exec(path)?.[1] ?? []);
  const listing = async () => {
    const { rows } = await world.database.pool.query(
      "select accounts, walk_page, lease_until from account_listings where scope like 'credential:%'",
    );
    return rows[0];
  };
  const walkAll = async (): Promise<readonly string[]> => {
    const before = pages().length;
    await world.database.pool.query("update account_listings set next_at = null where scope like 'credential:%'");
    do await walkOnePage();
    while ((await listing()).walk_page !== null || pages().length === before);
    return pages().slice(before);
  };
  expect(await walkAll()).toEqual(['1', '2', '3', '4', '5']);
  expect(await listing()).toEqual({ accounts: 230, walk_page: null, lease_until: null });
  const sources = await world.database.pool.query("select from sources where kind = 'account'");
  expect(sources.rowCount).toBe(230);

  const [lost = { id: '' }] = world.simulator.summary().accounts;
  world.simulator.removeAccount(lost.id);
  expect(await walkAll()).toEqual(['1', '2', '3', '4', '5']);
  const missed = await world.database.pool.query('select account_id from account_organizations where missed > 0');
  expect(missed.rows).toEqual([{ account_id: lost.id }]);
});

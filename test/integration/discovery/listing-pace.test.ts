import { expect, test, vi } from 'vitest';
import { createDaemon } from '../../../src/ingest/sync/daemon.ts';
import { discoverInTurn } from '../../../src/ingest/sync/discovery/discover.ts';
import { discoverAccounts } from '../../../src/ingest/sync/discovery/discover-accounts.ts';
import { countAccountListings } from '../../../src/status/account-listings.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

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

test('listings of accounts are counted by how the last attempt ended, those of organizations that are gone left out', async () => {
  await using world = await openWorld({ organizations: 5, accounts: 1, entries: 5, accountEntries: 5 }, env);
  await using run = await world.open();
  await run.sync();
  const { pool } = world.database;
  expect(await countAccountListings(pool)).toEqual({ listed: 6, empty: 0, refused: 0, failed: 0, waiting: 0 });

  const [refused, failed, waiting, gone, empty] = world.simulator.summary().organizations.map(({ id }) => id);
  const change = (id: string | undefined, set: string) =>
    pool.query(`update account_listings set ${set} where scope = 'organization:' || $1`, [id]);
  await change(refused, "last_failure = 'refused'");
  await change(failed, "last_failure = 'server_error'");
  await change(waiting, 'last_success_at = null, last_attempt_at = null');
  await change(empty, 'accounts = 0');
  await pool.query("update organizations set state = 'gone' where id = $1", [gone]);
  expect(await countAccountListings(pool)).toEqual({ listed: 1, empty: 1, refused: 1, failed: 1, waiting: 1 });

  const samples = parseMetrics(await run.metrics.scrape(run.app.metricsSource));
  expect(samples.get('orgtrail_account_listings{state="refused"}')).toBe(1);
  expect(samples.get('orgtrail_account_listings{state="waiting"}')).toBe(1);
  expect(samples.get('orgtrail_account_listings{state="empty"}')).toBe(1);
});

test('a daemon that is alone lists organizations as seldom as the budget says, and at each tick after a failure', async () => {
  await using world = await openWorld(
    { organizations: 1, entries: 1, subOrganizations: false },
    { ORGTRAIL_API_BUDGET: '200', ORGTRAIL_SOURCES: 'organizations' },
  );
  await using run = await world.open();
  const { signal } = new AbortController();
  const daemon = createDaemon(run.app.sync, { tickMs: 1, signal, stopping: () => false, onError: () => {} });
  const listingsOf = async (ticks: number): Promise<number> => {
    const from = world.simulator.requestCount;
    for (let tick = 0; tick < ticks; tick += 1) {
      await daemon.tick();
      await daemon.idle();
    }
    const asked = world.simulator.requests().slice(from);
    return asked.filter(({ path }) => /\/organizations\?page_size/.test(path) && !path.includes('parent.id')).length;
  };
  expect(await listingsOf(5)).toBe(1);
  await world.database.pool.query("update discovery set last_attempt_at = last_attempt_at - interval '126 seconds'");
  world.simulator.faults.set({ listing_403: 1 });
  expect(await listingsOf(3), 'until it works again').toBe(3);
  world.simulator.faults.set({ listing_403: null });
  expect(await listingsOf(3)).toBe(1);
});

const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };
const AT_ONCE = 2;

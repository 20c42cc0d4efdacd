import process from 'node:process';
import { beforeEach, expect, test, vi } from 'vitest';
import { createMetrics } from '../../../src/app/telemetry/metrics.ts';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { Lane } from '../../../src/ingest/planning/walk.ts';
import { createDaemon } from '../../../src/ingest/sync/daemon.ts';
import { discoverInTurn } from '../../../src/ingest/sync/discovery/discover.ts';
import { discoverAccounts } from '../../../src/ingest/sync/discovery/discover-accounts.ts';
import {
  claimDiscovery,
  recordDiscovery,
  releaseDeadDiscovery,
  renewDiscovery,
} from '../../../src/ingest/sync/discovery/lease.sql.ts';
import { recordFailure } from '../../../src/ingest/sync/store/leases.sql.ts';
import { createSyncStore } from '../../../src/ingest/sync/sync-store.sql.ts';
import { createProcessIdentity } from '../../../src/postgres/leases.ts';
import { countAccountListings } from '../../../src/status/scrape.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { valuesOf } from '../../support/postgres/rows.ts';
import {
  FILTERS,
  HISTORY_MS,
  LEASE_MS,
  newSource,
  organizationKind,
  scopeOf,
} from '../../support/postgres/store-fixture.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const pool = poolOfTests();

beforeEach(async () => {
  await pool.query('truncate discovery; insert into discovery default values');
});

test('while one replica lists, no other does; of many at once one is let in', async () => {
  const turns = await Promise.all(Array.from({ length: 8 }, (_, each) => claim(`host/${each}/x`)));
  expect(turns.filter(({ mine }) => mine)).toHaveLength(1);
  expect(await claim('late')).toEqual({ mine: false, serverTimeMs: undefined });
});

test('a discovery lease held by a dead process is released immediately', async () => {
  expect(await releaseDeadDiscovery(pool, () => true), 'no replica lists').toBe(false);
  await claim('host/9/dead');
  expect(await releaseDeadDiscovery(pool, (owner) => owner === OTHER), 'it may be alive').toBe(false);
  expect(await claim(ME)).toMatchObject({ mine: false });
  expect(await releaseDeadDiscovery(pool, (owner) => owner === 'host/9/dead')).toBe(true);
  expect(await claim(ME)).toMatchObject({ mine: true });
  expect(await claim(OTHER)).toMatchObject({ mine: false });
});

test('the store of a daemon goes on at once after one that died on this machine, and waits for one that lives', async () => {
  const me = createProcessIdentity();
  const store = createSyncStore(pool, {
    owner: me,
    leaseMs: LEASE_MS,
    kinds: organizationKind(''),
    scope: scopeOf(),
    accountIds: [],
    settleDelaysMs: [],
    historyMs: HISTORY_MS,
    observer: createMetrics('1'),
  });
  const ofPid = (pid: number) => me.replace(/\/\d+\//, `/${pid}/`).concat('x');
  await claim(ofPid(process.ppid));
  expect(await store.claimDiscovery(0), 'the parent lives').toMatchObject({ mine: false });
  await pool.query('update discovery set lease_owner = $1', [ofPid(2 ** 30)]);
  expect(await store.claimDiscovery(0)).toMatchObject({ mine: true });
});

test('what another one has just listed is as good: no second listing for a while, but its time', async () => {
  expect(await claim(ME)).toMatchObject({ mine: true });
  await listed(ME);
  expect(await claim(OTHER, 15_000)).toEqual({ mine: false, serverTimeMs: 1_234_567 });
  expect(await claim(ME, 15_000), 'nor by the one that listed').toMatchObject({ mine: false });
  expect(await claim(OTHER, 0), 'one that must list does').toMatchObject({ mine: true });
});

test('a failed attempt gives the right back, and counts for the others as one; who failed tries again', async () => {
  await claim(ME);
  await recordDiscovery(pool, ME, { error: 'no bytes' });
  expect(await claim(OTHER, 15_000)).toMatchObject({ mine: false });
  expect(await claim(ME, 15_000)).toMatchObject({ mine: true });
  await recordDiscovery(pool, ME, { error: 'no bytes' });
  expect(await claim(OTHER)).toMatchObject({ mine: true });
});

test('one that was short counts as one that was listed, and is short since the first of them in a row', async () => {
  const short = () => recordDiscovery(pool, ME, { organizations: 3, serverTimeMs: 1_234_567, short: '3 of 4' });
  const since = async () => (await pool.query('select short_since from discovery')).rows[0].short_since;
  await claim(ME);
  await short();
  expect(await claim(ME, 15_000)).toMatchObject({ mine: false });
  const first = await since();
  expect(first).toBeInstanceOf(Date);
  await short();
  expect(await since()).toEqual(first);
  await listed(ME);
  expect(await since()).toBeNull();
});

test('the first listing that succeeds after an outage ends the rest of the lanes that failed with it, and of no other', async () => {
  const rests = () =>
    valuesOf<string>(
      pool,
      "select source_id || ' ' || lane as resting from lanes where next_attempt_at is not null order by 1",
    );
  for (const failure of ['connection', 'refused']) {
    const lease = await newSource(pool, failure);
    for (const lane of ['live', 'backfill'] as const) await recordFailure(pool, lease, failed(failure, lane));
  }
  const refused = ['refused backfill', 'refused live'];
  const both = ['connection backfill', 'connection live', ...refused];
  await listed(ME);
  expect(await rests(), 'one source fails, the listing never did').toEqual(both);
  await recordDiscovery(pool, ME, { error: 'no bytes' });
  expect(await rests()).toEqual(both);
  await listed(ME);
  expect(await rests()).toEqual(refused);
});

test("Cloudflare's time and the moment at which it was that time are kept together, and a failure moves neither", async () => {
  const read = async () => {
    const { rows } = await pool.query(
      `select extract(epoch from server_time)::float8 * 1000 as "serverTimeMs", last_success_at as at, organizations, last_error as error,
         clock_timestamp() - last_success_at < interval '1 minute' as recent from discovery`,
    );
    return rows[0];
  };
  expect(await read()).toMatchObject({ serverTimeMs: null, at: null, recent: null });
  await listed(ME);
  const first = await read();
  expect(first).toMatchObject({ serverTimeMs: 1_234_567, recent: true, organizations: 3, error: null });
  await recordDiscovery(pool, ME, { error: 'no bytes' });
  expect(await read()).toMatchObject({ serverTimeMs: 1_234_567, at: first.at, organizations: 3, error: 'no bytes' });
  await recordDiscovery(pool, ME, { organizations: 4, serverTimeMs: 2_345_678 });
  const second = await read();
  expect(second).toMatchObject({ serverTimeMs: 2_345_678, recent: true, organizations: 4, error: null });
  expect(second.at.getTime()).toBeGreaterThanOrEqual(first.at.getTime());
});

test('a dead replica holds it no longer than a lease; who was away for longer does not give back what is not its own', async () => {
  await claim(ME);
  expect(await renewDiscovery(pool, ME, -1), 'and it runs out').toBe(true);
  expect(await claim(OTHER, 15_000)).toMatchObject({ mine: true });
  expect(await renewDiscovery(pool, ME, LEASE_MS)).toBe(false);
  await listed(ME);
  expect(await claim(ME)).toMatchObject({ mine: false });
});

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

const failed = (failure: string, lane: Lane) => ({
  failure,
  message: 'no',
  backoffMs: 900_000,
  filterHash: FILTERS,
  lane,
  state: { ...idleLane, failures: 9 },
});

const ME = 'host/1/me';
const OTHER = 'host/2/other';

const claim = (owner: string, restMs = 0) => claimDiscovery(pool, owner, LEASE_MS, restMs);
const listed = (owner: string) => recordDiscovery(pool, owner, { organizations: 3, serverTimeMs: 1_234_567 });

const env = { ORGTRAIL_SOURCES: 'organizations,accounts' };
const AT_ONCE = 2;

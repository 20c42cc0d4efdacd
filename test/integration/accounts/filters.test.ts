import { afterAll, beforeAll, expect, test } from 'vitest';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

/** Worlds of one start have the same entries. */
const options = { accounts: 2, standaloneAccounts: 1, accountEntries: 900, startMs: Date.now() - 60_000 };

/** All of it is stored, read without a filter. */
let unfiltered: SyncWorld;
let ofOtherProducts: number;
beforeAll(async () => {
  unfiltered = await openWorld(options);
  await using run = await unfiltered.open();
  await run.sync();
  await unfiltered.expectExactTruth();
  const { rows } = await unfiltered.database.pool.query<{ events: number }>(
    `select count(*)::integer as events from audit_events
     where source_kind = 'account' and not coalesce(resource_product = any ($1), false)`,
    [zeroTrust],
  );
  ofOtherProducts = rows[0]?.events ?? 0;
});
afterAll(async () => await unfiltered?.[Symbol.asyncDispose]());

test('a filter of accounts alone goes out to accounts alone, and stores what passes it, each once', async () => {
  await using world = await openWorld(options, { ORGTRAIL_FILTERS_ACCOUNTS: ONLY_ZERO_TRUST });
  await using run = await world.open();
  expect(await run.sync()).toMatchObject({ failed: [] });
  const [ofAccounts, ofOrganizations] = [requestsOf(world, 'accounts'), requestsOf(world, 'organizations')];
  expect(ofAccounts.length).toBeGreaterThan(0);
  expect(ofOrganizations.length).toBeGreaterThan(0);
  for (const query of ofAccounts) expect(query.getAll('product_category')).toEqual(['zerotrust']);
  for (const query of ofOrganizations) expect(query.has('product_category')).toBe(false);
  const { missing, extra, duplicates } = await world.compare();
  const { rows } = await world.database.pool.query<{ kind: string; products: string[]; events: number }>(
    `select source_kind as kind, array_agg(distinct resource_product) as products, count(*)::integer as events
     from audit_events group by 1 order by 1`,
  );
  expect(rows[0]).toMatchObject({ kind: 'account', products: zeroTrust });
  expect(rows[1]).toMatchObject({ kind: 'organization', events: 600 });
  expect({ extra, duplicates }).toEqual({ extra: 0, duplicates: 0 });
  expect(missing, 'those of accounts that have another product').toBe(ofOtherProducts);
});

test('a change of the filter of accounts reads accounts again, and touches no coverage of organizations', async () => {
  const world = unfiltered;
  const before = await coverageOfOrganizations(world);
  const readUntilMs = Math.min(...before.map(({ until_ms }) => until_ms));
  const from = world.simulator.requests().length;
  await world.setClocks(LATER_MS);
  await using run = await world.open({ ORGTRAIL_FILTERS_ACCOUNTS: ONLY_ZERO_TRUST });
  await run.sync();
  const after = await coverageOfOrganizations(world);
  expect(after.map(({ key }) => key)).toEqual(before.map(({ key }) => key));
  const since = (query: URLSearchParams) => Date.parse(query.get('since') ?? '');
  const again = requestsOf(world, 'organizations', from).filter((query) => since(query) < readUntilMs - LOOK_BACK_MS);
  expect(again.map(String)).toEqual([]);
  const ofAccounts = requestsOf(world, 'accounts', from);
  expect(ofAccounts.some((query) => since(query) < readUntilMs - LOOK_BACK_MS)).toBe(true);
  await world.expectExactTruth();
});

test('in ORGTRAIL_FILTERS it is a fault while organizations are read, and none if accounts alone are', async () => {
  const env = { CLOUDFLARE_API_TOKEN: 'a-token', DATABASE_URL: 'postgresql://u@localhost:1/d' };
  const both = await runInProcess(['sync'], { ...env, ORGTRAIL_FILTERS: ONLY_ZERO_TRUST });
  expect(both.code).toBe(2);
  expect(both.stderr).toMatch(/ORGTRAIL_FILTERS.*product_category/);
  const alone = await runInProcess(['sync'], {
    ...env,
    ORGTRAIL_SOURCES: 'accounts',
    ORGTRAIL_FILTERS: ONLY_ZERO_TRUST,
  });
  expect(alone.code, 'only the database is not there').toBe(4);
});

const ONLY_ZERO_TRUST = 'product_category=zerotrust';
/** Of the simulator's categories. */
const zeroTrust = ['access', 'gateway'];
const LATER_MS = 30_000;
/** What the live lane asks for again. */
const LOOK_BACK_MS = 3 * 60_000;

const requestsOf = (world: SyncWorld, kind: 'organizations' | 'accounts', from = 0): readonly URLSearchParams[] =>
  world.simulator
    .requests()
    .slice(from)
    .map(({ path }) => new URL(path, 'http://localhost'))
    .filter(({ pathname }) => pathname.includes(`/${kind}/`) && pathname.endsWith('/logs/audit'))
    .map(({ searchParams }) => searchParams);

const coverageOfOrganizations = async (world: SyncWorld) => {
  const { rows } = await world.database.pool.query<{ key: string; ranges: string; until_ms: number }>(
    `select source_id || ' ' || filter_hash || ' ' || pass as key, ranges::text,
       extract(epoch from upper(ranges))::float8 * 1000 as until_ms
     from coverage where source_kind = 'organization' order by 1`,
  );
  return rows;
};

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { startSinks } from '../../../src/app/start-sinks.ts';
import { eachFeedRow, readOrganizationNames } from '../../../src/feed/feed.sql.ts';
import { readFeedEvents } from '../../../src/feed/feed-events.sql.ts';
import { readFeedHead } from '../../../src/feed/feed-head.sql.ts';
import { eventOf } from '../../../src/feed/feed-row.ts';
import { NativeLines } from '../../../src/feed/native-lines.ts';
import { formatNative } from '../../../src/formats/native.ts';
import { type CollectionRules, readSearchCoverage } from '../../../src/search/search-coverage.sql.ts';
import type { TrueEntry } from '../../../src/simulator/world/audit-log.ts';
import { registerSinks } from '../../../src/sinks/delivery-store.sql.ts';
import { jsonLines } from '../../support/feed/json-lines.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { rowsOf } from '../../support/postgres/rows.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { createTestSink, startSinkWorker } from '../../support/sinks/delivery-fixture.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

let truth: readonly TrueEntry[];
let accounts: readonly { readonly id: string; readonly name: string; readonly organization_id: string | null }[];

/** Of organizations and of one account that belongs to none. */
const { folder } = temporaryFolder();

const world = forAllTests(() =>
  openWorld(
    { organizations: 2, entries: 80, accounts: 2, standaloneAccounts: 1, accountEntries: 200 },
    { ORGTRAIL_SOURCES: 'organizations,accounts' },
  ),
);

const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await run.sync();
  truth = [...world.simulator.truth({ kind: 'account' })];
  accounts = (await pool.query('select id, name, organization_id from accounts order by id')).rows;
});

const linesOf = (text: string) => jsonLines<Line>(text);

/** Worlds of one start have the same entries. */
const options = { accounts: 2, standaloneAccounts: 1, accountEntries: 900, startMs: Date.now() - 60_000 };
let ofOtherProducts: number;

/** All of it is stored, read without a filter. */
const unfiltered = forAllTests(() => openWorld(options));
beforeAll(async () => {
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

describe('the feed', () => {
  test('has every event of every account once, with account and zone, and of organizations the lines as before', async () => {
    expect(accounts.length).toBe(5);
    const lines = await feed('limit=100000');
    expect(keys(ofAccounts(lines))).toEqual(truthOf(() => true));
    expect(lines.map(({ position }) => position)).toEqual(lines.map((_, n) => n + 1));
    for (const line of ofAccounts(lines)) expect(line.account_id).toBe(line.source_id);
    expect(ofAccounts(lines).some(({ zone_name }) => typeof zone_name === 'string')).toBe(true);
    expect(ofAccounts(lines).some(({ organization_id }) => organization_id === null)).toBe(true);
    const others = lines.filter(({ source_kind }) => source_kind === 'organization');
    expect(others.length).toBeGreaterThan(0);
    for (const line of others) expect(line).not.toHaveProperty('account_id');
  });

  test('is written by the fast writer as by the format, to the byte', async () => {
    const context = { feedId: 'feed', organizationNames: await readOrganizationNames(pool) };
    const native = new NativeLines(context);
    native.writeInto(Buffer.alloc(8_000_000));
    const expected: string[] = [];
    const range = { after: 0, until: (await readFeedHead(pool)).position, organizationIds: undefined };
    await eachFeedRow(pool, range, { maxEvents: 100_000, maxBytes: 8_000_000 }, (row) => {
      expected.push(`${formatNative(eventOf(row, context))}\n`);
      return native.add(row);
    });
    expect(native.written().toString('utf8')).toBe(expected.join(''));
  });

  test('by account, by organization with its accounts, and by both', async () => {
    const { id, organization_id } = owned();
    expect(keys(await feed(`account=${id}&account=${standalone().id}`))).toEqual(
      truthOf((account) => account === id || account === standalone().id),
    );
    const siblings = new Set(accounts.filter((one) => one.organization_id === organization_id).map((one) => one.id));
    const whole = await feed(`organization=${organization_id}`);
    expect(keys(ofAccounts(whole))).toEqual(truthOf((account) => siblings.has(account)));
    expect(whole.length).toBeGreaterThan(ofAccounts(whole).length);
    expect(keys(await feed(`organization=${organization_id}&account=${id}`))).toEqual(
      truthOf((account) => account === id),
    );
    expect(await feed(`organization=${organization_id}&account=${standalone().id}`)).toEqual([]);
    expect(await feed('account=unknown')).toEqual([]);
    expect(await feed(`account=${id}&limit=5`)).toEqual((await feed(`account=${id}`)).slice(0, 5));
  });

  test('by the command, with an account by its name; an unknown one is refused', async () => {
    const env = { DATABASE_URL: world.database.url };
    const named = await runInProcess(['feed', '--account', standalone().name], env);
    expect(keys(linesOf(named.stdout))).toEqual(truthOf((account) => account === standalone().id));
    const unknown = await runInProcess(['feed', '--account', 'no such'], env);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('unknown account "no such"') });
  });
});

describe('a sink', () => {
  const deliver = async (name: string, accountIds: readonly string[] | undefined): Promise<Line[]> => {
    await registerSinks(pool, [{ name, kind: 'file', target: '/x', start: 'beginning' }]);
    const sink = createTestSink();
    const caughtUp = Promise.withResolvers<void>();
    await using _worker = startSinkWorker(pool, {
      name,
      sink,
      accountIds,
      observer: { caughtUp: () => caughtUp.resolve() },
    });
    await caughtUp.promise;
    return sink.deliveries.flatMap(({ events }) => events.map(({ text }) => JSON.parse(text)));
  };

  test('gets every event of every account once', async () => {
    expect(keys(ofAccounts(await deliver('all', undefined)))).toEqual(truthOf(() => true));
  });

  test('gets those of its accounts alone', async () => {
    const { id } = standalone();
    expect(keys(await deliver('one', [id]))).toEqual(truthOf((account) => account === id));
  });

  test('has its accounts from ORGTRAIL_SINKS', async () => {
    const { id } = standalone();
    const path = join(folder, 'events.ndjson');
    const settings = { siem: { type: 'file', path, accounts: [id, owned().id] } };
    await using other = await world.open({ ORGTRAIL_SINKS: JSON.stringify(settings) });
    const stop = new AbortController();
    const { logger, metrics } = other;
    const options = { logger, metrics, asked: stop.signal, hard: stop.signal };
    const sinks = await startSinks(other.config, other.app, options);
    try {
      await until('the sink has caught up', async () => {
        const { rows } = await pool.query(
          "select s.position = h.position as done from sinks s, feed_head h where s.name = 'siem'",
        );
        return rows[0].done;
      });
    } finally {
      stop.abort();
      await sinks.ended;
      await sinks.close();
    }
    const lines = linesOf(await readFile(path, 'utf8'));
    expect(keys(lines)).toEqual(truthOf((account) => account === id || account === owned().id));
  });

  test('reads account and zone as the feed does', async () => {
    const range = { after: 0, until: undefined, maxEvents: 1_000, maxBytes: 1e9, organizationIds: undefined };
    const { events } = await readFeedEvents(pool, range);
    const byCopy = await feed('limit=100000');
    expect(events.map((event) => JSON.parse(formatNative(event)))).toEqual(byCopy);
  });
});

describe('a search', () => {
  const all = async (query: Readonly<Record<string, string>>): Promise<Line[]> => {
    const asked = new URLSearchParams({ ...query, format: 'ndjson' });
    return linesOf(await (await fetch(`${served.server.url}/v1/search?${asked}`)).text());
  };

  test('finds every event of every account once, those without an organization included', async () => {
    expect(keys(ofAccounts(await all({})))).toEqual(truthOf(() => true));
  });

  test('by account, by its id and its name, and is complete about it', async () => {
    for (const account of [standalone().id, standalone().name.toUpperCase()]) {
      expect(keys(await all({ account }))).toEqual(truthOf((id) => id === standalone().id));
      const answer = await search({ account, since: '24h' });
      expect(answer.coverage).toMatchObject({ organizations: 0, accounts: 1 });
      expect(answer).toMatchObject({ complete: true, incomplete_because: [] });
    }
    const unknown = await fetch(`${served.server.url}/v1/search?account=nowhere`);
    expect(unknown.status).toBe(400);
    expect(await unknown.json()).toMatchObject({ faults: [{ field: 'account' }] });
  });

  test('by zone, by its id and its name, whatever its letters; a name that is near is said', async () => {
    const lines = ofAccounts(await all({}));
    const { zone_id, zone_name } = lines.find((line) => typeof line.zone_name === 'string') as Line;
    const ofZone = keys(lines.filter((line) => line.zone_id === zone_id));
    expect(keys(await all({ zone: zone_id ?? '' }))).toEqual(ofZone);
    const named = keys(lines.filter((line) => line.zone_name === zone_name));
    expect(keys(await all({ zone: (zone_name ?? '').toUpperCase() }))).toEqual(named);
    const answer = await search({ zone: `${zone_name}x`, since: '24h' });
    expect(answer).toMatchObject({ complete: false, incomplete_because: ['value_never_occurs'] });
    expect(answer.empty?.filters[0]?.near).toContainEqual(expect.objectContaining({ value: zone_name }));
  });

  test('is never complete while the log of an account in question has time that is not read', async () => {
    const { id, organization_id } = owned();
    const organization = organization_id ?? '';
    const other = accounts.find((one) => one.organization_id !== null && one.organization_id !== organization_id);
    expect((await search({ since: '24h' })).complete).toBe(true);
    await pool.query("delete from coverage where source_kind = 'account' and source_id = $1", [id]);
    for (const query of [{}, { organization }, { account: id }, { organization, account: id }]) {
      const answer = await search({ ...query, since: '24h' });
      expect(answer, JSON.stringify(query)).toMatchObject({ complete: false, coverage: { incomplete: 1 } });
      expect(answer.incomplete_because).toContain('time_not_collected');
    }
    const elsewhere = await search({ organization: other?.organization_id ?? '', since: '24h' });
    expect(elsewhere).toMatchObject({ complete: true, coverage: { organizations: 1, accounts: 2, incomplete: 0 } });
    const { stdout } = await runInProcess(['search', '--account', id, '--since', '24h'], {
      DATABASE_URL: world.database.url,
    });
    expect(stdout).toContain(
      'This may be incomplete: part of this time range has not been collected yet (1 of 1 account',
    );
    expect(stdout).toMatch(/^TIME +ORGANIZATION +ACCOUNT +ACTOR/);
  });

  test('counts the accounts of the organizations and accounts that are pulled, and of all if none are named', async () => {
    const { id, organization_id } = owned();
    const coverage = async (rules: Pick<CollectionRules, 'organizationIds' | 'accounts'>) => {
      const range = { since: undefined, before: undefined, organization: undefined };
      const read = await readSearchCoverage(pool, range, { ...rules, behindAfterSeconds: () => 3_600 });
      return [read.organizations, read.accounts];
    };
    const organizationIds = [organization_id ?? ''];
    expect(await coverage({ organizationIds: undefined })).toEqual([2, 5]);
    expect(await coverage({ organizationIds, accounts: 'all' })).toEqual([1, 2]);
    expect(await coverage({ organizationIds, accounts: [id, standalone().id] })).toEqual([1, 2]);
    expect(await coverage({ organizationIds: undefined, accounts: [id] })).toEqual([2, 1]);
  });

  test('shows account and zone in the console', async () => {
    const page = await served.text(`/events?account=${encodeURIComponent(standalone().name)}`);
    expect(page).toContain('<span class="second"><a class="narrow"');
    const zoned = (await all({})).find((line) => typeof line.zone_name === 'string') as Line;
    const event = await served.text(`/events/${zoned.position}`);
    for (const text of ['Account id', 'Zone id', 'Same account', zoned.zone_name ?? '']) expect(event).toContain(text);
  });
});

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

type Line = Readonly<
  Record<'id' | 'source_kind' | 'source_id', string> & { position: number; organization_id: string | null } & Partial<
      Record<'account_id' | 'account_name' | 'zone_id' | 'zone_name', string | null>
    >
>;

const keys = (lines: readonly Line[]) => lines.map((line) => `${line.source_id} ${line.id}`).sort();

const truthOf = (wanted: (accountId: string) => boolean) =>
  truth.flatMap(({ sourceId, id }) => (wanted(sourceId) ? [`${sourceId} ${id}`] : [])).sort();

const feed = async (query: string): Promise<Line[]> =>
  linesOf(await (await fetch(`${served.server.url}/v1/events?${query}`)).text());

const ofAccounts = (lines: readonly Line[]) => lines.filter(({ source_kind }) => source_kind === 'account');

const search = async (query: Readonly<Record<string, string>>) =>
  (await (await fetch(`${served.server.url}/v1/search?${new URLSearchParams(query)}`)).json()) as {
    readonly events: readonly Line[];
    readonly complete: boolean;
    readonly incomplete_because: readonly string[];
    readonly coverage: { readonly organizations: number; readonly accounts: number; readonly incomplete: number };
    readonly empty: {
      readonly filters: readonly { readonly field: string; readonly near: readonly unknown[] }[];
    } | null;
  };

const standalone = () => accounts.find(({ organization_id }) => organization_id === null) as (typeof accounts)[number];
const owned = () => accounts.find(({ organization_id }) => organization_id !== null) as (typeof accounts)[number];

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

const coverageOfOrganizations = (world: SyncWorld) =>
  rowsOf<{ key: string; ranges: string; until_ms: number }>(
    world.database.pool,
    `select source_id || ' ' || filter_hash || ' ' || pass as key, ranges::text,
       extract(epoch from upper(ranges))::float8 * 1000 as until_ms
     from coverage where source_kind = 'organization' order by 1`,
  );

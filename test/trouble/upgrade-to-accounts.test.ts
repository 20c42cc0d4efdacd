import { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { compareWithTruth } from '../../src/cli/demo/verdict.sql.ts';
import type { Simulator } from '../../src/simulator/interface.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { type OldRelease, unpackRelease } from '../support/process/old-release.ts';
import { type OrgtrailProcess, runOrgtrail, startOrgtrail } from '../support/process/orgtrail-process.ts';
import { until } from '../support/process/until.ts';
import { expectClaimedImpliesStored } from '../support/sync/claims.ts';

let cluster: PostgresCluster;
let old: OldRelease;
/** Of one test: a simulated Cloudflare, and a database that 0.2.0 has made. */
let simulator: Simulator;
let ownerEnv: Readonly<Record<string, string>>;
let env: Readonly<Record<string, string>>;
let pool: Pool;

beforeAll(async () => {
  cluster = await startCluster();
  for (const role of ['orgtrail_ingest', 'orgtrail_reader']) await cluster.sql(`create role ${role}`);
  old = await unpackRelease(OLD);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await old?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  // One account has the id of an organization. Pages take their time, so that there is always a walk open.
  simulator = await startSimulator({
    seed: 32,
    organizations: 5,
    entries: 4_000,
    accounts: 3,
    standaloneAccounts: 2,
    accountEntries: 4_000,
    distribution: 'uniform',
    pageCap: 20,
    budget: null,
    historyMs: 2 * 86_400_000,
    startMs: Date.now() - 60_000,
    faults: { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs: 30 },
  });
  const { name, url } = await cluster.createDatabase();
  ownerEnv = { DATABASE_URL: url };
  expect(await startOrgtrail(['migrate', '--roles'], ownerEnv, old).ended).toBe(0);
  const account = `daemon_of_${name}`;
  await cluster.sql(`create role ${account} login password '${PASSWORD}' in role orgtrail_ingest`, name);
  const daemonUrl = new URL(url);
  daemonUrl.username = account;
  daemonUrl.password = PASSWORD;
  env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: daemonUrl.href,
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_HISTORY: '3d',
    ORGTRAIL_SCHEDULE: '* * * * * *',
    ORGTRAIL_HTTP_PORT: '0',
    ORGTRAIL_SCRUB_SHARE: '0',
  };
  pool = new Pool({ connectionString: url, max: 2 });
  pool.on('error', () => {});
  return async () => {
    await pool.end();
    await simulator.close();
  };
});

test('replicas of both on one database: each entry under its own source, once, and both feeds tell organizations alike, to the byte', async () => {
  await using stack = new AsyncDisposableStack();
  const start = (options: { readonly root?: string }): OrgtrailProcess => {
    const daemon = startOrgtrail(['run'], env, options);
    stack.defer(async () => {
      daemon.child.kill('SIGKILL');
      await daemon.ended;
    });
    return daemon;
  };
  const before = start(old);
  await before.waitFor('orgtrail started');
  await until('the old one stores', async () => (await number('select count(*) from audit_events')) >= 300);
  const told = await feedOf(before);
  // On stderr it says how far it is, if that takes long.
  expect(await runOrgtrail(['migrate'], ownerEnv)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('the schema is current'),
  });
  const after = start({});
  await after.waitFor('orgtrail started');
  generate();
  await until(
    'both are at work',
    async () => (await number('select count(distinct lease_owner) from sources where lease_until > now()')) === 2,
  );
  const isWhole = async () => (await compareWithTruth(pool, simulator)).missing === 0;
  await until('everything is stored', isWhole);
  for (let round = 0; round < 3; round += 1) {
    generate();
    await until('what came meanwhile is stored', isWhole);
  }
  expect(before.child.exitCode, before.stdout().slice(-2_000)).toBe(null);
  const [byOld, byNew] = [await feedOf(before), await feedOf(after)];
  expect(byNew.slice(0, told.length)).toEqual(told);
  const lines = ofOrganizations(byNew);
  expect(ofOrganizations(byOld).slice(0, lines.length)).toEqual(lines);
  expect(byOld.length, 'the old one leaves out no event of an account').toBeGreaterThanOrEqual(byNew.length);
  before.child.kill('SIGTERM');
  expect(await before.ended).toBe(143);
  generate();
  await until('everything is stored by the new one alone', isWhole);
  after.child.kill('SIGTERM');
  expect(await after.ended, after.stderr()).toBe(143);

  const comparison = await compareWithTruth(pool, simulator);
  expect(comparison).toMatchObject({ missing: 0, extra: 0, duplicates: 0, positionsMissing: 0 });
  expect(await misattributed()).toBe(0);
  expect(await number("select count(*) from audit_events where source_kind = 'account'")).toBeGreaterThan(4_000);
  await expectClaimedImpliesStored(pool, simulator);
});

test('what 0.2.0 has read is not asked for again, its positions keep their bytes, and ORGTRAIL_SOURCES=organizations asks for no account', async () => {
  const withOld = { ...env, ORGTRAIL_SETTLE: '10m' };
  const first = startOrgtrail(['sync'], withOld, old);
  expect(await first.ended, first.stderr()).toBe(0);
  const feedBy = async (of: { readonly root?: string }, more = {}): Promise<string> => {
    const feed = startOrgtrail(['feed'], { ...withOld, ...more }, of);
    expect(await feed.ended, feed.stderr()).toBe(0);
    return feed.stdout();
  };
  const told = await feedBy(old);
  const stored = told.split('\n').length - 1;
  expect(stored).toBe(4_000);
  const covered = "select string_agg(source_id || pass || ranges::text, ',' order by source_id, pass) from coverage";
  const [coverage] = (await pool.query({ text: covered, rowMode: 'array' })).rows;
  const readUntilMs = await number('select min(extract(epoch from upper(ranges))) * 1000 from coverage where pass = 0');
  expect((await runOrgtrail(['migrate'], ownerEnv)).code).toBe(0);
  expect((await pool.query({ text: covered, rowMode: 'array' })).rows[0], 'coverage').toEqual(coverage);
  expect(await feedBy({})).toBe(told);

  for (const sources of ['organizations', 'organizations,accounts']) {
    const from = simulator.requests().length;
    const sync = startOrgtrail(['sync'], { ...withOld, ORGTRAIL_SOURCES: sources });
    expect(await sync.ended, sync.stderr()).toBe(0);
    const asked = organizationRequests(from);
    // The live lane looks back, but asks for nothing that ends before what is new.
    const again = asked.filter((query) => Date.parse(query.get('before') ?? '') < readUntilMs);
    expect(again.map(String), sources).toEqual([]);
    const ofAccounts = simulator
      .requests()
      .slice(from)
      .filter(({ path }) => path.includes('accounts'));
    expect(ofAccounts.length > 0, sources).toBe(sources !== 'organizations');
    const now = await feedBy({}, { ORGTRAIL_SOURCES: sources });
    expect(now.startsWith(told), sources).toBe(true);
    if (sources === 'organizations') expect(now).toBe(told);
  }
  expect(await compareWithTruth(pool, simulator)).toMatchObject({ missing: 0, extra: 0, duplicates: 0 });
  expect(await misattributed()).toBe(0);
});

// From 0.2.0, which knows nothing of accounts, to this version.

const OLD = '2714ca88';
const PASSWORD = 'password-of-the-test';

const number = async (sql: string) => Number((await pool.query({ text: sql, rowMode: 'array' })).rows[0]?.[0]);

/** What an old replica would leave if it took an account's source for an organization's: the simulator's entries name their owner. */
const misattributed = () =>
  number(`select count(*) from audit_events
    where source_kind <> (case when raw::jsonb ? 'organization' then 'organization' else 'account' end)
      or source_kind = 'account' and raw::jsonb -> 'account' ->> 'id' <> source_id
      or source_kind = 'organization' and raw::jsonb -> 'organization' ->> 'id' <> source_id`);

const generate = () => {
  const { organizations, accounts } = simulator.summary();
  for (const { id } of organizations) simulator.generate({ kind: 'organization', id }, 5);
  for (const { id } of accounts) simulator.generate({ kind: 'account', id }, 5);
};

const feedOf = async (daemon: OrgtrailProcess): Promise<readonly string[]> => {
  const url = /"url":"([^"]+)"/.exec(daemon.stdout())?.[1] ?? '';
  const text = await (await fetch(`${url}/v1/events?limit=100000`)).text();
  return text.split('\n').slice(0, -1);
};

const ofOrganizations = (lines: readonly string[]) =>
  lines.filter((line) => line.includes('"source_kind":"organization"'));

/** Of organizations, whatever the window. */
const organizationRequests = (from: number) =>
  simulator
    .requests()
    .slice(from)
    .flatMap(({ path }) => {
      const url = new URL(path, 'http://localhost');
      return /\/organizations\/[^/]+\/logs\/audit$/.test(url.pathname) ? [url.searchParams] : [];
    });

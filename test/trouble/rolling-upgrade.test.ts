import { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareWithTruth } from '../../src/cli/demo/verdict.sql.ts';
import { verifyBlock } from '../../src/evidence/stored/read-block.sql.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { newSigner, openBuilder } from '../support/evidence/builder-world.ts';
import { type PostgresCluster, startCluster } from '../support/postgres/postgres-cluster.ts';
import { type OldRelease, unpackRelease } from '../support/process/old-release.ts';
import { type OrgtrailProcess, runOrgtrail, startOrgtrail } from '../support/process/orgtrail-process.ts';
import { until } from '../support/process/until.ts';
import { expectClaimedImpliesStored } from '../support/sync/claims.ts';

let cluster: PostgresCluster;
let old: OldRelease;

beforeAll(async () => {
  cluster = await startCluster();
  old = await unpackRelease(OLD);
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await old?.[Symbol.asyncDispose]();
});

test('a replica of 0.2.0 beside the new one, on one database: everything once, and what it claimed stays claimed', async () => {
  await using stack = new AsyncDisposableStack();
  const simulator = stack.adopt(await startSlowSimulator(), (each) => each.close());
  const { name, url } = await cluster.createDatabase();
  for (const role of ['orgtrail_ingest', 'orgtrail_reader']) await cluster.sql(`create role ${role}`);
  const ownerEnv = { DATABASE_URL: url };
  expect(await startOrgtrail(['migrate', '--roles'], ownerEnv, old).ended).toBe(0);
  const env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    DATABASE_URL: await createDaemonAccount(name, url),
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_HISTORY: '3d',
    ORGTRAIL_SOURCES: 'organizations,accounts',
    ORGTRAIL_SCHEDULE: '* * * * * *',
    ORGTRAIL_HTTP_PORT: '0',
    ORGTRAIL_SETTLE: '5s,20s',
  };
  const start = (options: { readonly root?: string }): OrgtrailProcess => {
    const daemon = startOrgtrail(['run'], env, options);
    stack.defer(async () => {
      daemon.child.kill('SIGKILL');
      await daemon.ended;
    });
    return daemon;
  };
  const pool = stack.adopt(new Pool({ connectionString: url, max: 2 }), (each) => each.end());
  pool.on('error', () => {});
  const number = async (sql: string) => Number((await pool.query({ text: sql, rowMode: 'array' })).rows[0]?.[0]);
  const stored = () => number('select count(*) from audit_events');
  const generate = () => {
    for (const { id } of simulator.summary().organizations) simulator.generate(id, 10);
  };
  const isExact = async () => {
    const { missing } = await compareWithTruth(pool, simulator);
    return missing === 0;
  };

  const before = start(old);
  // It has claimed something, and is in the middle of its history.
  await until(
    'the old one has claimed something',
    async () => (await number('select count(*) from coverage where pass = 0')) > 0,
  );
  await until('and goes on', async () => (await stored()) >= 600);
  const claimed =
    'select extract(epoch from sum(upper(r) - lower(r))) from coverage, unnest(ranges * proven) r where pass = 0';
  const claimedByOld = await number(claimed);

  // As an operator does: the owner migrates, and then one replica after the other is replaced.
  // On stderr it says how far it is, if that takes long.
  expect(await runOrgtrail(['migrate'], ownerEnv)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('the schema is current'),
  });
  expect(await number(claimed), 'what 0.2.0 claimed is kept').toBeGreaterThanOrEqual(claimedByOld);
  const after = start({});
  await after.waitFor('orgtrail started');
  generate();
  await until(
    'both are at work',
    async () => (await number('select count(distinct lease_owner) from sources where lease_until > now()')) === 2,
  );
  generate();
  await until('everything is stored', isExact);
  expect(before.child.exitCode, before.stdout().slice(-2_000)).toBe(null);
  before.child.kill('SIGTERM');
  expect(await before.ended).toBe(143);
  generate();
  await until('everything is stored by the new one alone', isExact);
  after.child.kill('SIGTERM');
  expect(await after.ended, after.stderr()).toBe(143);

  const comparison = await compareWithTruth(pool, simulator);
  expect(comparison).toMatchObject({ missing: 0, extra: 0, duplicates: 0, positionsMissing: 0 });
  const { rows } = await pool.query(
    'select count(*)::integer as events, count(distinct position)::integer as positions, max(position)::integer as last from audit_events',
  );
  expect(rows).toEqual([{ events: comparison.stored, positions: comparison.stored, last: comparison.stored }]);
  await expectClaimedImpliesStored(pool, simulator);
  expect(await number('select sum(unproven_seconds) from sync_status')).toBe(0);
  await openBuilder(pool, newSigner()).build();
  expect(await verifyBlock(pool, 0), 'the evidence takes over what both have stored').toEqual([]);
});

/** Pages take their time, so that there is always a walk open. */
const startSlowSimulator = () =>
  startSimulator({
    seed: 31,
    organizations: 6,
    accounts: 2,
    accountEntries: 600,
    entries: 6_000,
    distribution: 'uniform',
    pageCap: 20,
    budget: null,
    historyMs: 2 * 86_400_000,
    startMs: Date.now() - 60_000,
    faults: { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs: 100 },
  });

/** An account with no more rights than a daemon needs; returns the database's URL for it. */
const createDaemonAccount = async (database: string, url: string): Promise<string> => {
  await cluster.sql(`create role ${ACCOUNT} login password '${PASSWORD}' in role orgtrail_ingest`, database);
  const own = new URL(url);
  own.username = ACCOUNT;
  own.password = PASSWORD;
  return own.href;
};

/** The last release: 0.2.0. */
const OLD = '1c452f5b';
const ACCOUNT = 'orgtrail_daemon';
const PASSWORD = 'password-of-the-test';

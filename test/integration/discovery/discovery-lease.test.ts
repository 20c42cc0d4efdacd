import process from 'node:process';
import { beforeEach, expect, test } from 'vitest';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { Lane } from '../../../src/ingest/planning/lanes.ts';
import {
  claimDiscovery,
  recordDiscovery,
  releaseDeadDiscovery,
  renewDiscovery,
} from '../../../src/ingest/sync/discovery/discovery-lease.sql.ts';
import { recordFailure } from '../../../src/ingest/sync/stored-sources/source-leases.sql.ts';
import { createSyncStore } from '../../../src/ingest/sync/sync-store.sql.ts';
import { createProcessIdentity } from '../../../src/postgres/leases/process-identity.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import {
  FILTERS,
  HISTORY_MS,
  LEASE_MS,
  newSource,
  organizationKind,
  scopeOf,
} from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();
beforeEach(async () => {
  await database.pool.query('truncate discovery; insert into discovery default values');
});

test('while one replica lists, no other does; of many at once one is let in', async () => {
  const turns = await Promise.all(Array.from({ length: 8 }, (_, each) => claim(`host/${each}/x`)));
  expect(turns.filter(({ mine }) => mine)).toHaveLength(1);
  expect(await claim('late')).toEqual({ mine: false, serverTimeMs: undefined });
});

test('a discovery lease held by a dead process is released immediately', async () => {
  const { pool } = database;
  expect(await releaseDeadDiscovery(pool, () => true), 'no replica lists').toBe(false);
  await claim('host/9/dead');
  expect(await releaseDeadDiscovery(pool, (owner) => owner === OTHER), 'it may be alive').toBe(false);
  expect(await claim(ME)).toMatchObject({ mine: false });
  expect(await releaseDeadDiscovery(pool, (owner) => owner === 'host/9/dead')).toBe(true);
  expect(await claim(ME)).toMatchObject({ mine: true });
  expect(await claim(OTHER)).toMatchObject({ mine: false });
});

test('the store of a daemon goes on at once after one that died on this machine, and waits for one that lives', async () => {
  const { pool } = database;
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
  await recordDiscovery(database.pool, ME, { error: 'no bytes' });
  expect(await claim(OTHER, 15_000)).toMatchObject({ mine: false });
  expect(await claim(ME, 15_000)).toMatchObject({ mine: true });
  await recordDiscovery(database.pool, ME, { error: 'no bytes' });
  expect(await claim(OTHER)).toMatchObject({ mine: true });
});

test('one that was short counts as one that was listed, and is short since the first of them in a row', async () => {
  const short = () =>
    recordDiscovery(database.pool, ME, { organizations: 3, serverTimeMs: 1_234_567, short: '3 of 4' });
  const since = async () => (await database.pool.query('select short_since from discovery')).rows[0].short_since;
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

const failed = (failure: string, lane: Lane = 'live') => ({
  failure,
  message: 'no',
  backoffMs: 900_000,
  filterHash: FILTERS,
  lane,
  state: { ...idleLane, failures: 9 },
});

test('the first listing that succeeds after an outage ends the rest of the lanes that failed with it, and of no other', async () => {
  const { pool } = database;
  const rests = async (): Promise<string[]> => {
    const { rows } = await pool.query(
      "select source_id || ' ' || lane as resting from lanes where next_attempt_at is not null order by 1",
    );
    return rows.map(({ resting }) => resting);
  };
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

test('a listing that ends an outage waits for lanes in the order of their sources, so that replicas do not deadlock', async () => {
  const { pool } = database;
  // The order in which they are stored is the other one.
  for (const id of ['lock-b', 'lock-a']) {
    await recordFailure(pool, await newSource(pool, id), failed('connection'));
  }
  await recordDiscovery(pool, ME, { error: 'no bytes' });
  const other = await pool.connect();
  try {
    const rest = 'update lanes set next_attempt_at = now() where source_id = $1';
    await other.query('begin');
    await other.query(rest, ['lock-a']);
    const listing = listed(ME);
    await waitingBackends(pool, 1);
    await other.query(rest, ['lock-b']);
    await other.query('commit');
    await listing;
  } finally {
    other.release(true);
  }
});

test("Cloudflare's time and the moment at which it was that time are kept together, and a failure moves neither", async () => {
  const read = async () => {
    const { rows } = await database.pool.query(
      `select extract(epoch from server_time)::float8 * 1000 as "serverTimeMs", last_success_at as at,
         clock_timestamp() - last_success_at < interval '1 minute' as recent from discovery`,
    );
    return rows[0];
  };
  expect(await read()).toEqual({ serverTimeMs: null, at: null, recent: null });
  await listed(ME);
  const first = await read();
  expect(first).toMatchObject({ serverTimeMs: 1_234_567, recent: true });
  await recordDiscovery(database.pool, ME, { error: 'no bytes' });
  expect(await read()).toMatchObject({ serverTimeMs: 1_234_567, at: first.at });
  await recordDiscovery(database.pool, ME, { organizations: 3, serverTimeMs: 2_345_678 });
  const second = await read();
  expect(second).toMatchObject({ serverTimeMs: 2_345_678, recent: true });
  expect(second.at.getTime()).toBeGreaterThanOrEqual(first.at.getTime());
});

test('a dead replica holds it no longer than a lease; who was away for longer does not give back what is not its own', async () => {
  await claim(ME);
  expect(await renewDiscovery(database.pool, ME, -1), 'and it runs out').toBe(true);
  expect(await claim(OTHER, 15_000)).toMatchObject({ mine: true });
  expect(await renewDiscovery(database.pool, ME, LEASE_MS)).toBe(false);
  await listed(ME);
  expect(await claim(ME)).toMatchObject({ mine: false });
});

const ME = 'host/1/me';
const OTHER = 'host/2/other';

const claim = (owner: string, restMs = 0) => claimDiscovery(database.pool, owner, LEASE_MS, restMs);

const listed = (owner: string) => recordDiscovery(database.pool, owner, { organizations: 3, serverTimeMs: 1_234_567 });

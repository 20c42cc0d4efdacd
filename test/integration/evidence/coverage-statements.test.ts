import { expect, test } from 'vitest';
import { createEvidenceStore, type EvidenceStore } from '../../../src/evidence/builder/evidence-store.sql.ts';
import { syncSources } from '../../../src/ingest/sync/store/sources.sql.ts';
import { worldOfEachTest } from '../../support/evidence/evidence-world.ts';
import {
  coverageStatements,
  expectTrueStatements,
  stateAlways,
  stateOnce,
} from '../../support/evidence/stated-coverage.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import {
  addSources,
  FILTERS,
  HISTORY_MS,
  HORIZON,
  organizationKind,
  T0,
} from '../../support/postgres/store-fixture.ts';

const world = worldOfEachTest();
const pool = poolOfTests(world);

test('each source is stated once, also one where nothing happened, with what the tables say', async () => {
  await addSources(pool, ['a', 'b', 'quiet']);
  await world.read('a', 0, 10);
  await world.read('b', 0, 5);
  await world.read('a', 20, 30);
  await world.read('a', 0, 10, 1);
  await pool.query(
    `insert into coverage_holes (source_kind, source_id, filter_hash, pass, since, before, reason, message, next_attempt_at)
     values ('organization', 'a', $1, 0, $2, $3, 'poison', '', clock_timestamp())`,
    [FILTERS, at(10), at(11)],
  );
  await pool.query(
    `insert into coverage_readings (source_kind, source_id, filter_hash, since, before, method, number, direction, found, read_from, read_to)
     values ('organization', 'a', $1, $2, $3, 'scrub', 2, 'desc', 0, $4, $4)`,
    [FILTERS, at(0), at(10), at(100)],
  );
  await pool.query(
    `update coverage set read_again = tstzmultirange(tstzrange($1, $2), tstzrange($3, $4)) where source_id = 'a' and pass = 0`,
    [at(2), at(10), at(12), at(22)],
  );
  const { build } = world.open({ coverage: stateOnce });
  await build();
  await build();
  const statements = await coverageStatements(pool);
  expect(statements.map(({ source_id: id, events, tree }) => [id, events, tree.size])).toEqual([
    ['a', 20, 25],
    ['b', 5, 25],
    ['quiet', 0, 25],
  ]);
  expect(statements[0]).toMatchObject({
    filter: { text: 'action_type=create', hash: FILTERS },
    wanted_since: '2025-07-01T00:00:00.000000Z',
    passes: [
      {
        pass: 0,
        ranges: [
          [at(0), at(10)],
          [at(20), at(30)],
        ],
      },
      { pass: 1, ranges: [[at(0), at(10)]] },
    ],
    commits: 3,
    reads: { count: 0, sha256: '0'.repeat(64), after: { count: 0, sha256: '0'.repeat(64) } },
    holes: [{ pass: 0, range: [at(10), at(11)], reason: 'poison', attempts: 1 }],
    readings: [{ range: [at(0), at(10)], method: 'scrub', number: 2, direction: 'desc', found: 0, read_from: at(100) }],
    left_out: { ranges: 0, holes: 0, readings: 0 },
    read_again: [
      [at(2), at(10)],
      [at(20), at(22)],
    ],
  });
  expect(statements[2]).toMatchObject({ chain: '0'.repeat(64), passes: [], commits: 0 });
  await expectTrueStatements(pool, statements);
  const report = await world.verified();
  expect(report.notClaimed.filter((note) => note.includes('read once'))).toHaveLength(3);
  expect(report.claims.join('\n')).toContain('3 coverage statements have the count and chain of their sources');
});

test('a source is stated again if it is asked for, if its filters change and change back, and if its horizon does', async () => {
  await addSources(pool, ['a', 'b']);
  const both = { ...stateOnce, filters: ['f2', FILTERS].map((hash) => ({ kind: 'organization', hash, text: hash })) };
  const { build } = world.open({ coverage: both });
  const stated = async () => {
    const before = (await coverageStatements(pool)).length;
    await build();
    return (await coverageStatements(pool))
      .slice(before)
      .map((one) => `${one.source_id} ${one.filter.hash}`)
      .sort();
  };
  expect(await stated()).toEqual([`a ${FILTERS}`, `b ${FILTERS}`]);
  expect(await stated()).toEqual([]);
  await pool.query(`select orgtrail_ask_coverage('{organization}', '{b}')`);
  expect(await stated()).toEqual([`b ${FILTERS}`]);
  await syncSources(pool, organizationKind('f2'), HORIZON, HISTORY_MS);
  expect(await stated()).toEqual(['a f2', 'b f2']);
  await syncSources(pool, organizationKind(), HORIZON, HISTORY_MS);
  expect(await stated()).toEqual([`a ${FILTERS}`, `b ${FILTERS}`]);
  await syncSources(pool, organizationKind(FILTERS, HORIZON - 86_400_000), HORIZON, HISTORY_MS);
  expect(await stated()).toEqual([`a ${FILTERS}`, `b ${FILTERS}`]);
  // As it moves with the clock: an hour and a bit, within that hour.
  await syncSources(pool, organizationKind(FILTERS, HORIZON - 82_000_000), HORIZON, HISTORY_MS);
  expect(await stated()).toEqual([]);
  await syncSources(pool, organizationKind(FILTERS, HORIZON + 86_400_000), HORIZON, HISTORY_MS);
  expect(await stated()).toEqual([`a ${FILTERS}`, `b ${FILTERS}`]);
  await syncSources(pool, organizationKind('unknown'), HORIZON, HISTORY_MS);
  expect(await stated()).toEqual([]);
  await world.verified();
});

test('many sources are stated in several commits', async () => {
  await addSources(
    pool,
    Array.from({ length: 12 }, (_, index) => `s${index}`),
  );
  const { build } = world.open({ coverage: { ...stateOnce, batch: 5 } });
  await build();
  expect(await coverageStatements(pool)).toHaveLength(12);
  const { rows } = await pool.query(
    `select count(distinct xmin::text)::integer as commits from evidence_journal where kind = 'coverage'`,
  );
  expect(rows).toEqual([{ commits: 3 }]);
  await world.verified();
});

/** Pages that are committed before and after each look at what is covered: as at the worst moment of a live load. */
const racing = (store: EvidenceStore, commitPage: () => Promise<void>): EvidenceStore => ({
  ...store,
  readCoverage: async (claim, query) => {
    await commitPage();
    const found = await store.readCoverage(claim, query);
    await commitPage();
    return found;
  },
  grow: async (growth) => {
    await commitPage();
    return await store.grow(growth);
  },
});

test('nothing is claimed whose entries are above the size, whatever is committed between the snapshot and the tree (invariant 15)', async () => {
  await addSources(pool, ['a', 'b']);
  let at = 0;
  const commitPage = async () => {
    at += 3;
    await world.read('a', at, at + 3);
    await world.read('b', at, at + 1);
  };
  const store = racing(createEvidenceStore(pool, 'host/1/x', 30_000), commitPage);
  const { builder, claim } = world.open({ coverage: stateAlways, store, chunk: 10 });
  const held = await claim();
  if (held === undefined) throw new Error('no other process has the lease');
  for (let step = 0; step < 40; step += 1) await builder.step(held);
  const statements = await coverageStatements(pool);
  // The load never rests, and still statements come.
  expect(statements.length).toBeGreaterThan(10);
  await expectTrueStatements(pool, statements);
  await world.build();
  await world.verified();
});

test('a snapshot of a builder that lost its lease, or of a log that another one grew, is not stated', async () => {
  await addSources(pool, ['a']);
  const first = world.open({ coverage: stateAlways });
  const early = await first.claim();
  if (early === undefined) throw new Error('no other process has the lease');
  await world.open().builder.step(early);
  await pool.query('update evidence_logs set lease_until = clock_timestamp()');
  await world.open({ owner: 'other-host/1/y' }).claim();
  await world.read('a', 0, 3);
  expect(await first.store.readCoverage(early, { ...stateAlways, limit: 10, except: [] })).toBeUndefined();
  await first.builder.step(early);
  expect(await coverageStatements(pool)).toEqual([]);
});

test('what is claimed of the future, or without proof, is not stated', async () => {
  await addSources(pool, ['a']);
  await world.read('a', 0, 10);
  await pool.query(
    `update coverage set proven = tstzmultirange(tstzrange($1, clock_timestamp() + interval '1 hour')) - tstzmultirange(tstzrange($1, $2)),
       ranges = tstzmultirange(tstzrange($1, clock_timestamp() + interval '1 hour'))`,
    [at(0), at(3)],
  );
  await pool.query(
    `insert into coverage_readings select source_kind, source_id, filter_hash, $1, clock_timestamp() + interval '1 minute',
       'pass', 0, 'asc', 0, clock_timestamp(), clock_timestamp() from coverage`,
    [at(0)],
  );
  await world.open({ coverage: stateOnce }).build();
  const [statement] = await coverageStatements(pool);
  expect(statement?.passes).toEqual([{ pass: 0, ranges: [[at(3), statement?.as_of]] }]);
  expect(statement?.readings).toMatchObject([{ range: [at(0), statement?.as_of] }]);
});

test('a migration is stated once', async () => {
  const { build } = world.open();
  await build();
  await pool.query(`update evidence_logs set schema_version = '0033' where name = 'events'`);
  await build();
  await build();
  const { rows } = await pool.query(`select text::json as said from evidence_journal where kind = 'schema'`);
  const to_version = (await pool.query('select orgtrail_schema_version() as version')).rows[0]?.version;
  expect(to_version > '0033').toBe(true);
  expect(rows).toMatchObject([{ said: { from_version: '0033', to_version, size_before: 0, size_after: 0 } }]);
  await world.verified();
});

test('what was seen before a failover that lost it is not stated, though the log goes on', async () => {
  await addSources(pool, ['a', 'b']);
  const { builder, claim, went } = world.open({ coverage: stateAlways, chunk: 3 });
  const held = await claim();
  if (held === undefined) throw new Error('no other process has the lease');
  await builder.step(held);
  await world.read('a', 0, 10);
  await builder.step(held);
  // Another server, without what came after the third leaf: other entries get the positions.
  await pool.query('delete from audit_events where position > 3');
  await pool.query(`update feed_head set position = 3`);
  await pool.query(`update coverage set ranges = '{}', proven = '{}'`);
  await pool.query(`update evidence_logs set timeline = 'of the lost server'`);
  await world.read('b', 0, 7);
  for (let step = 0; step < 10; step += 1) await builder.step(held);
  expect(went.on).toBe(1);
  const statements = (await coverageStatements(pool)).filter(({ tree }) => tree.size > 0);
  expect(statements.length).toBeGreaterThan(1);
  await expectTrueStatements(pool, statements);
});

test('a horizon that moves with the clock is stated as of the statement, and is no reason for another one', async () => {
  await addSources(pool, ['a']);
  // Planned, and two seconds later read to where the horizon was by then.
  await pool.query(
    `update sources set wanted_since = now() - interval '120 days 2 seconds', wanted_history = interval '120 days'`,
  );
  const { build } = world.open({ coverage: stateOnce });
  for (let turn = 0; turn < 3; turn += 1) await build();
  const statements = await coverageStatements(pool);
  expect(statements).toHaveLength(1);
  const { rows } = await pool.query(
    `select $1::timestamptz between wanted_since + interval '2 seconds' and now() - wanted_history as "isHorizon" from sources`,
    [statements[0]?.wanted_since],
  );
  expect(rows).toEqual([{ isHorizon: true }]);
  await pool.query(
    `update sources set wanted_since = now() - interval '130 days', wanted_history = interval '130 days'`,
  );
  await build();
  expect(await coverageStatements(pool)).toHaveLength(2);
});

const at = (second: number): string => `${new Date(T0 + second * 1_000).toISOString().slice(0, 19)}.000000Z`;

import type { Pool, PoolClient } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { idleLane } from '../../../src/ingest/planning/lane.ts';
import type { LaneFailure } from '../../../src/ingest/planning/source.ts';
import { recordDiscovery } from '../../../src/ingest/sync/discovery/lease.sql.ts';
import { recordFailure, releaseDead } from '../../../src/ingest/sync/store/leases.sql.ts';
import { syncSources, trimFuture } from '../../../src/ingest/sync/store/sources.sql.ts';
import { committed } from '../../support/postgres/committed.ts';
import { waitingBackends } from '../../support/postgres/lock-waits.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import {
  addSources,
  anyWalk,
  commit,
  entryText,
  FILTERS,
  HISTORY_MS,
  HORIZON,
  organizationKind,
  seconds,
  takeLease,
  walking,
} from '../../support/postgres/store-fixture.ts';

const ME = 'host/1/test';
const pool = poolOfTests();
beforeAll(async () => {
  for (const id of ids) {
    await addSources(pool, [id]);
    const lease = await takeLease(pool, id);
    const done = await committed(pool, lease, [], { claims: [seconds(0, 1)] });
    await recordFailure(pool, done.lease, failure);
  }
});

describe('statements that lock many rows lock them in the order of their keys, so that replicas never wait for each other in a circle', () => {
  const statements: readonly (readonly [what: string, table: string, run: (pool: Pool) => Promise<unknown>])[] = [
    ['trimFuture', 'coverage', (pool) => trimFuture(pool, [0])],
    [
      'recordDiscovery, at the end of an outage',
      'lanes',
      (pool) => recordDiscovery(pool, ME, { organizations: 4, serverTimeMs: 0 }),
    ],
    [
      'syncSources, under other filters',
      'sources',
      (pool) => syncSources(pool, organizationKind('others', HORIZON), 0, HISTORY_MS),
    ],
  ];

  test.each(statements)('%s', async (_what, table, run) => {
    await claimTomorrow(pool);
    await recordDiscovery(pool, ME, { error: 'no bytes' });
    const lock = lockOneByOne[table] ?? String;
    const other = await pool.connect();
    try {
      await other.query('begin');
      await other.query(lock('a'));
      const running = run(pool);
      await waitingBackends(pool, 1);
      // Whatever of it is held by now, it waits for us: these must be free.
      for (const id of ['b', 'c', 'd']) await other.query(lock(id));
      await other.query('commit');
      await running;
    } finally {
      other.release(true);
    }
  });

  test('releaseDead does not wait: what is locked is at work, and is released by a later plan', async () => {
    await pool.query("update sources set lease_owner = 'host/9/dead', lease_until = now() + interval '1 day'");
    const held = async () => {
      const { rows } = await pool.query('select id from sources where lease_until is not null order by id');
      return rows.map(({ id }) => id);
    };
    const other = await pool.connect();
    try {
      await other.query('begin');
      await other.query("select from sources where id = 'b' for update");
      await releaseDead(pool, (owner) => owner === 'host/9/dead');
      expect(await held()).toEqual(['b']);
      await other.query('commit');
    } finally {
      other.release(true);
    }
    await releaseDead(pool, (owner) => owner === 'host/9/dead');
    expect(await held()).toEqual([]);
  });

  test('all of them at once, with commits and failures of all sources: no statement is a deadlock', async () => {
    for (let round = 0; round < 25; round += 1) {
      await claimTomorrow(pool);
      await recordDiscovery(pool, ME, { error: 'no bytes' });
      const leases = await Promise.all(ids.map((id) => takeLease(pool, id)));
      const hash = round % 2 === 0 ? FILTERS : 'others';
      const tomorrow = [{ fromMs: Date.now(), toMs: Date.now() + DAY_MS }];
      await Promise.all([
        trimFuture(pool, [0]),
        trimFuture(pool, [0]),
        syncSources(pool, organizationKind(hash, HORIZON), 0, HISTORY_MS),
        syncSources(pool, organizationKind(hash, HORIZON), 0, HISTORY_MS),
        recordDiscovery(pool, ME, { organizations: 4, serverTimeMs: 0 }),
        recordDiscovery(pool, ME, { organizations: 4, serverTimeMs: 0 }),
        releaseDead(pool, () => false),
        ...leases.map((lease) =>
          commit(pool, lease, [entryText(`${lease.id} ${round}`)], {
            claims: [tomorrow],
            state: { ...walking(anyWalk('c')), failures: 1 },
            holes: [{ range: { fromMs: 0, toMs: 1_000 }, pass: 0, reason: 'cut', message: '' }],
          }),
        ),
        ...leases.map((lease) => recordFailure(pool, lease, failure)),
      ]);
    }
  });
});

const DAY_MS = 86_400_000;
/** Stored in the other order than that of the locks. */
const ids = ['d', 'c', 'b', 'a'];

const failure: LaneFailure = {
  failure: 'connection',
  message: 'no',
  backoffMs: 900_000,
  filterHash: FILTERS,
  lane: 'live',
  state: { ...idleLane, failures: 9 },
};

/** Every row of coverage claims tomorrow. */
const claimTomorrow = (pool: Pool | PoolClient) =>
  pool.query(
    `update coverage set ranges = ranges + tstzmultirange(tstzrange(now() + interval '1 day', now() + interval '2 days'))`,
  );

/** All rows of coverage, of lanes and of sources, each table in the order of its keys; one after the other. */
const lockOneByOne: Readonly<Record<string, (id: string) => string>> = {
  coverage: (id) => `select from coverage where source_id = '${id}' for update`,
  lanes: (id) => `select from lanes where source_id = '${id}' for update`,
  sources: (id) => `select from sources where id = '${id}' for update`,
};

import { beforeEach, expect, test } from 'vitest';
import { verifyStored } from '../../src/evidence/stored/verify-forever.ts';
import { createPool } from '../../src/postgres/pool.ts';
import { migrateDatabase } from '../../src/postgres/schema/migrate.ts';
import { newSigner, openBuilder } from '../support/evidence/builder-world.ts';
import { byWayOf } from '../support/network/tcp-proxy.ts';
import { startPair } from '../support/postgres/standby-pair.ts';
import { commit, entryText, newSource, takeLease } from '../support/postgres/store-fixture.ts';
import { ofEachTest } from '../support/process/of-tests.ts';
import { until } from '../support/process/until.ts';

const signer = newSigner();
const pair = ofEachTest(() => startPair({ asynchronous: true }));
const pool = ofEachTest(async () => {
  const { url } = await pair.primary.createDatabase();
  return createPool(byWayOf(pair.proxy, url), 4, () => {});
});
beforeEach(() => migrateDatabase(pool));

test('a checkpoint that a failover lost is never contradicted: neither by the process that signed it nor by another (invariant 15)', async () => {
  const first = openBuilder(pool, signer);
  const held = await first.claim();
  await add('kept', 10);
  await first.build(held);
  await untilReplicated();
  await pair.standby.fallBehind();
  await add('lost', 10);
  await first.build(held);
  expect(first.signed.map(({ size }) => size)).toEqual([12, 22]);
  await failOver();
  await add('later', 10);

  expect(await first.build(held)).toMatchObject({ kind: 'stopped' });
  expect(first.stops).toEqual(['behind: a checkpoint of 22 leaves was signed, and here are 12']);
  const other = openBuilder(pool, signer);
  expect(await other.build()).toMatchObject({ kind: 'stopped' });
  expect(other.signed).toEqual([]);
  expect(first.signed).toHaveLength(2);
});

test('a process that held its lease throughout goes on, behind the jump', async () => {
  const first = openBuilder(pool, signer);
  const held = await first.claim();
  await add('kept', 10);
  await first.build(held);
  await untilReplicated();
  await failOver();
  await add('later', 10);
  await first.build(held);
  expect([first.stops, first.went.on]).toEqual([[], 1]);
  const kept = first.signed.map(({ size, note }) => ({ name: `of ${size}`, note: Buffer.from(note) }));
  const options = { kept, policy: undefined, publicKeys: [signer.publicKey], onBlock: () => {} };
  expect((await verifyStored(pool, options)).faults).toEqual([]);
  const { rows } = await pool.query<{ last: number }>('select max(position)::float8 as last from audit_events');
  expect(rows[0]?.last).toBeGreaterThan(750_000);
  expect(first.signed.at(-1)?.size).toBe(22);
});

test('without that knowledge the log is behind', async () => {
  const first = openBuilder(pool, signer);
  await add('kept', 10);
  await first.build();
  await untilReplicated();
  await failOver();
  const other = openBuilder(pool, signer);
  expect(await other.build()).toMatchObject({ kind: 'stopped' });
  expect(other.stops[0]).toMatch(/^behind: the database failed over or was restored/);
  expect(await first.build()).toMatchObject({ kind: 'stopped' });
});

const add = async (word: string, count: number): Promise<void> => {
  const lease = await takeLease(pool, 'a').catch(() => newSource(pool, 'a'));
  await commit(
    pool,
    lease,
    Array.from({ length: count }, (_, index) => entryText(`${word}-${index}`)),
  );
};

const failOver = async (): Promise<void> => {
  await pair.primary.stop('immediate');
  await pair.standby.promote();
  pair.proxy.pointTo(pair.standby);
  await until('the new primary answers', async () =>
    pool.query('select 1').then(
      () => true,
      () => false,
    ),
  );
};

/** Until the standby has replayed all that is committed so far. */
const untilReplicated = async (): Promise<void> => {
  const [committed] = await pair.primary.sql('select pg_current_wal_flush_lsn()::text as lsn');
  await until('the standby has it', async () => {
    const [row] = await pair.standby.sql(
      `select pg_last_wal_replay_lsn() >= '${committed?.['lsn']}'::pg_lsn as "hasReplayed"`,
    );
    return row?.['hasReplayed'] === true;
  });
};

import type { Pool } from 'pg';
import { beforeEach, describe, expect, test } from 'vitest';
import { addHold, releaseHold } from '../../../src/archive/holds.sql.ts';
import {
  confirmRetention,
  dropOldMonths,
  type RetentionResult,
  setRetentionPolicy,
} from '../../../src/archive/retention.sql.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { finishDelivery, registerSinks } from '../../../src/sinks/delivery-store.sql.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { commit, entryText, newSource, RETENTION_MS, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { ofEachTest } from '../../support/process/of-tests.ts';
import { until } from '../../support/process/until.ts';

const january = Date.UTC(2024, 0, 15);
const february = Date.UTC(2024, 1, 15);
/** A drop gives up after two seconds, which a busy machine may need. */
const patient = "alter function orgtrail_drop_month set lock_timeout = '10min'";
const database = ofEachTest(() => createTestDatabase());
let pool: Pool;

/** Two old months and a young one; positions 1 to 5; 2 and 4 are of January. */
beforeEach(async () => {
  ({ pool } = database);
  await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-02-28')");
  await pool.query("select orgtrail_create_partitions('2026-01-01', '2026-01-02')");
  await pool.query('update discovery set server_time = clock_timestamp()');
  const lease = await newSource(pool, 'o');
  await commit(pool, lease, [
    entryText('february', february),
    entryText('january-1', january),
    entryText('young', T0),
    entryText('january-2', january + 1_000),
    '{"id":"timeless"}',
  ]);
});

const untold = { beforeMs: undefined, by: undefined };

describe('retention', () => {
  test('drops whole months that are older, says what they were, and keeps what has no time', async () => {
    const result = await drop();
    expect(result).toMatchObject({
      dropped: [
        { month: '2024-01', events: 2, changes: 0, firstPosition: 2, lastPosition: 4 },
        { month: '2024-02', events: 1, firstPosition: 1, lastPosition: 1 },
      ],
      kept: [],
      again: false,
    });
    expect(await ids()).toEqual(['young', 'timeless']);
    const { rows } = await pool.query(
      `select partition, month::text, events::integer, ids_sha256, retention::text, bytes > 0 as sized,
         encode(sha256(convert_to(E'organization o january-1\\norganization o january-2', 'UTF8')), 'hex') as expected
       from retention_drops where month = '2024-01-01'`,
    );
    expect(rows).toMatchObject([{ partition: 'audit_events_2024_01', month: '2024-01-01', events: 2, sized: true }]);
    expect(rows[0].ids_sha256).toBe(rows[0].expected);
    expect(await drop(), 'and nothing a second time').toEqual({ dropped: [], kept: [], again: false });
  });

  test('takes the later contents of dropped events along, and no others', async () => {
    await commit(pool, await takeLease(pool, 'o'), [
      entryText('january-1', january, { other: true }),
      entryText('young', T0, { other: true }),
    ]);
    expect((await drop()).dropped[0]).toMatchObject({ month: '2024-01', changes: 1 });
    const { rows } = await pool.query('select event_id from audit_event_changes');
    expect(rows).toEqual([{ event_id: 'young' }]);
  });

  test('does not touch a month that is partly younger', async () => {
    const { rows } = await pool.query<{ obstacle: string }>(
      `select orgtrail_drop_month('2024-02-01', clock_timestamp() - '2024-02-29T12:00:00Z') as obstacle`,
    );
    expect(rows[0]?.obstacle).toBe('it is not old enough');
    expect(await ids()).toHaveLength(5);
  });

  test("does not trust a clock that is ahead of Cloudflare's", async () => {
    await pool.query("update discovery set server_time = '2025-01-05'");
    const { dropped, kept } = await drop();
    expect(dropped).toEqual([]);
    expect(kept.map(({ reason }) => reason)).toEqual(['it is not old enough', 'it is not old enough']);
    await pool.query('update discovery set server_time = null');
    expect(await drop()).toMatchObject({
      dropped: [],
      again: true,
      kept: [{ reason: expect.stringContaining('not known') }],
    });
  });

  test('keeps what a sink has not had, and what is a dead letter of one', async () => {
    await registerSinks(pool, [{ name: 'siem', kind: 'webhook', target: 'x', start: 'beginning' }]);
    await pool.query("update sinks set position = 3, lease_epoch = 1 where name = 'siem'");
    expect(await drop()).toMatchObject({
      dropped: [{ month: '2024-02' }],
      kept: [{ month: '2024-01', reason: 'the sink siem is at position 3, and still needs events up to 4' }],
    });
    const turn = { name: 'siem', epoch: 1, position: 3 };
    const deadLetters = [{ position: 4, reason: 'no' }];
    await finishDelivery(pool, turn, { until: 5, accepted: 1, deadLetters, refusedInRow: 0, skipped: 0 }, 1_000);
    expect(await drop()).toMatchObject({
      dropped: [],
      kept: [{ month: '2024-01', reason: 'position 4 is a dead letter of the sink siem' }],
    });
    await pool.query('delete from sink_dead_letters');
    expect(await drop()).toMatchObject({ dropped: [{ month: '2024-01' }], kept: [] });
  });

  test('does not wait for long: a reader keeps the month, and the drop is retried', async () => {
    // Were it to wait, it would wait indefinitely: the lock is held until it has ended.
    const result = await withLock(pool, 'select count(*) from audit_events', () => drop());
    const reason = 'a long transaction reads the table';
    expect(result).toEqual({ dropped: [], kept: [{ month: '2024-01', reason }], again: true });
    expect((await dropOnceFree()).dropped).toHaveLength(2);
  });

  test('is done by one replica at a time', async () => {
    const result = await withLock(pool, 'lock table retention_drops in share row exclusive mode', () => drop());
    expect(result).toEqual({
      dropped: [],
      again: true,
      kept: [{ month: '2024-01', reason: 'another replica is dropping one' }],
    });
  });

  test('is not stopped by an account that may only connect and read', async () => {
    await using reader = await createLogin(database, ['orgtrail_reader']);
    const locks = `select pg_advisory_xact_lock(hashtext('orgtrail_drop_month'))`;
    expect((await withLock(reader.pool, locks, () => drop())).dropped).toHaveLength(2);
    const table = reader.pool.query('begin; lock table retention_drops in share mode');
    await expect(table).rejects.toThrow('permission denied');
  });

  test.each([
    ['a copy of the database', `database_oid = 1`, 'the database is a copy of another one'],
    ['a failover or a restore', `timeline = 'of the lost server'`, 'the database failed over or was restored'],
    [
      'a state of the disk from long before the start',
      `alive_at = pg_postmaster_start_time() - interval '20 minutes'`,
      'the server was started 00:20:00 after orgtrail was last at work, and may have an older state',
    ],
  ])('waits a day behind %s, or for an operator', async (_, found, reason) => {
    await pool.query(`update feed_head set ${found}`);
    const result = await drop();
    expect(result).toMatchObject({ dropped: [], again: true });
    expect(result.kept[0]?.reason).toContain(`: ${reason}; `);
    const { rows } = await pool.query(`select ends_at - since > interval '23 hours' as "isDay" from retention_waits`);
    expect(rows).toEqual([{ isDay: true }]);
    if (reason.startsWith('the database')) expect(await confirmRetention({ pool }, 'J. Doe')).toEqual([reason]);
    else await pool.query('update retention_waits set ends_at = clock_timestamp()');
    expect((await drop()).dropped).toHaveLength(2);
  });

  test('does not wait behind a restart of the server', async () => {
    await pool.query(`update feed_head set alive_at = pg_postmaster_start_time() - interval '10 minutes'`);
    expect((await drop()).dropped).toHaveLength(2);
  });

  test('sees what is committed while it waits for the lock', async () => {
    const writer = await pool.connect();
    await writer.query('begin');
    await writer.query(
      `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
       values ('organization', 'o', 'o', 'late', 6, '2024-01-20', '{}')`,
    );
    await pool.query(patient);
    const dropping = drop();
    await waitingBackends(pool, 1);
    await writer.query('commit');
    writer.release();
    expect(await dropping).toEqual({
      dropped: [],
      kept: [{ month: '2024-01', reason: 'events were added to it at this moment' }],
      again: true,
    });
    expect(await ids()).toContain('late');
    expect((await dropOnceFree()).dropped).toMatchObject([
      { month: '2024-01', events: 3, lastPosition: 6 },
      { month: '2024-02' },
    ]);
  });

  test('does not come back: what was read counts as read', async () => {
    const coverage = () => pool.query('select * from coverage');
    const before = (await coverage()).rows;
    await drop();
    expect((await coverage()).rows).toEqual(before);
  });
});

describe('a legal hold', () => {
  const hold = (more: Partial<Parameters<typeof addHold>[1]> = {}) =>
    addHold({ pool }, { organizationId: 'o', sinceMs: undefined, ...untold, reason: 'case 7', ...more });

  test('keeps every month that has events of its organization, until it is released', async () => {
    const { id } = await hold();
    expect(await drop()).toMatchObject({
      dropped: [],
      kept: [
        { month: '2024-01', reason: `hold ${id} covers events in it: case 7` },
        { month: '2024-02', reason: `hold ${id} covers events in it: case 7` },
      ],
    });
    expect(await ids()).toHaveLength(5);
    await releaseHold({ pool }, id, 'a lawyer');
    expect((await drop()).dropped).toHaveLength(2);
    const { rows } = await pool.query('select released_at is not null as released, released_by from holds');
    expect(rows, 'it stays as evidence').toEqual([{ released: true, released_by: 'a lawyer' }]);
  });

  /** In January an account that belongs to no organization, in February one of the organization. */
  const asAccounts = async () => {
    const update = "update audit_events set source_kind = 'account', account_id = $1, source_id = $1";
    await pool.query(`${update}, organization_id = null where id like 'january-%'`, ['a1']);
    await pool.query(`${update} where id = 'february'`, ['a2']);
  };
  const both = ['2024-01', '2024-02'];
  const [ofEvery, of] = [{ organizationId: undefined }, 'organization'];
  test.each([
    ['of its time', of, { sinceMs: january + 1_000, beforeMs: january + 2_000 }, ['2024-02']],
    ['not of another time', of, { sinceMs: january + 2_000, beforeMs: february }, both],
    ['not of another organization', of, { organizationId: 'other' }, both],
    ['of every organization, those of accounts without one, too', 'accounts', ofEvery, []],
    ['of an organization, those of its accounts, too', 'accounts', { organizationId: 'o' }, ['2024-01']],
    ['of an account alone', 'accounts', { ...ofEvery, accountId: 'a1' }, ['2024-02']],
    ['not of another account', 'accounts', { ...ofEvery, accountId: 'a3' }, both],
  ])('holds events %s', async (_, sources, more, dropped) => {
    if (sources === 'accounts') await asAccounts();
    await hold(more);
    expect((await drop()).dropped.map(({ month }) => month)).toEqual(dropped);
  });

  test('that comes while a drop waits for its lock is heeded', async () => {
    const holder = await pool.connect();
    await holder.query('begin');
    await holder.query('lock table only audit_events in access share mode');
    await pool.query(patient);
    const dropping = drop();
    await waitingBackends(pool, 1);
    await hold();
    await holder.query('commit');
    holder.release();
    expect(await dropping).toEqual({
      dropped: [],
      kept: [{ month: '2024-01', reason: 'hold 1 covers events in it: case 7' }],
      again: true,
    });
  });
});

describe('the account of the daemon (orgtrail_ingest)', () => {
  test('drops nothing unless the owner allows it, and nothing younger than he says, held or needed', async () => {
    await migrateDatabase(pool, { roles: true });
    await using daemon = await createLogin(database, ['orgtrail_ingest']);
    const reasons = async () => (await drop(daemon.pool)).kept.map(({ reason }) => reason);
    expect(await reasons()).toEqual([
      expect.stringMatching(/may not drop anything: the owner of the schema has not set a retention_policy/),
      expect.stringMatching(/may not drop anything/),
    ]);
    await setRetentionPolicy(pool, 2 * RETENTION_MS);
    expect(await reasons()).toEqual([
      expect.stringMatching(/may not drop what is younger than \S+, as retention_policy says/),
      expect.stringMatching(/may not drop/),
    ]);
    await setRetentionPolicy(pool, RETENTION_MS);
    for (const statement of [
      "update retention_policy set shortest = '1 day'",
      'update holds set released_at = now()',
      'delete from holds',
      'delete from retention_drops',
      'drop table audit_events_2024_01',
      "select orgtrail_retention_obstacle('audit_events_2024_01', now(), now())",
    ]) {
      await expect(daemon.pool.query(statement), statement).rejects.toThrow(/permission denied|must be owner/);
    }
    const { id } = await addHold({ pool }, { organizationId: 'o', sinceMs: february, ...untold, reason: 'case 8' });
    expect(await drop(daemon.pool)).toMatchObject({
      dropped: [{ month: '2024-01', events: 2 }],
      kept: [{ month: '2024-02', reason: `hold ${id} covers events in it: case 8` }],
    });
    const { rows } = await pool.query('select dropped_as from retention_drops');
    expect(rows).toEqual([{ dropped_as: daemon.name }]);
    await pool.query('drop owned by orgtrail_ingest, orgtrail_reader');
  });
});

const ids = async (): Promise<readonly string[]> =>
  (await pool.query<{ id: string }>('select id from audit_events order by position')).rows.map(({ id }) => id);

const drop = (from: Pool = pool) => dropOldMonths(from, RETENTION_MS);

/** A server says what failed a moment before it gives back its locks, and the next call may come on another connection. */
const dropOnceFree = async (): Promise<RetentionResult> => {
  let result: RetentionResult | undefined;
  await until('no other replica is dropping', async () => {
    result = await drop();
    return result.kept.every(({ reason }) => reason !== 'another replica is dropping one');
  });
  return result as RetentionResult;
};

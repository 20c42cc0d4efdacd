import type { PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { inTransaction, longStatement, type Pool } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import type { fetchManifest } from '../manifest.ts';
import { enterState, raiseNumbers, type StateHead } from './state.sql.ts';
import type { FoundState } from './state-object.ts';

/** A database that has a row in one of these is in use. */
const usedTables = [
  ...[
    'audit_events',
    'audit_event_changes',
    'sources',
    'organizations',
    'accounts',
    'holds',
    'sinks',
    'retention_drops',
  ],
  ...['archive_objects', 'findings', 'saved_searches', 'evidence_log'],
];
/** A month that retention had dropped goes again at the end of a thaw: the longest that can be asked for. */
const THAWED_DAYS = 366;

export interface RestoreRow {
  readonly id: number;
  readonly archive: string;
  readonly stateKey: string;
  readonly stateSha256: string;
}

/** One that has not ended; undefined: there is none. */
export const readOpenRestore = async (pool: Pool | PoolClient): Promise<RestoreRow | undefined> =>
  (
    await pool.query<RestoreRow>(
      `select id::float8, archive, state_key as "stateKey", state_sha256 as "stateSha256" from archive_restores where ended_at is null`,
    )
  ).rows[0];

const LOCK_NOT_AVAILABLE = '55P03';
/** A server notices by then that the process of a connection was killed. */
const LOCK_TIMEOUT = '10s';

/** While no other process restores into this database. Throws OrgtrailError `usage` if one does. */
export const restoringAlone = async <T>(pool: Pool, restore: () => Promise<T>): Promise<T> =>
  await inTransaction(pool, async (client) => {
    await client.query(`set local idle_in_transaction_session_timeout = 0; set local lock_timeout = '${LOCK_TIMEOUT}'`);
    try {
      await client.query("select pg_advisory_xact_lock(hashtextextended('orgtrail archive restore --into', 0))");
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
      throw new OrgtrailError('usage', 'another process is restoring into this database', {
        hint: 'wait for its end; if it was killed, run this again',
      });
    }
    return await restore();
  });

/**
 * Enters the state in one transaction: from then on the holds are in force, and each month is in the archive alone, to be thawed. Nothing is stored
 * before the end of the restore. Throws OrgtrailError `usage` if the database is in use.
 */
export const beginRestore = async (
  pool: Pool,
  { archive, key, sha256, lines }: FoundState & { readonly archive: string },
  head: StateHead,
  manifest: Awaited<ReturnType<typeof fetchManifest>>,
): Promise<void> =>
  await inTransaction(pool, async (client) => {
    await client.query('lock table archive_restores in exclusive mode; lock table feed_head in access exclusive mode');
    await requireEmpty(client);
    await enterState(client, lines, (table) => table !== 'feed_head' && table !== 'finding_head');
    await raiseNumbers(client);
    await client.query('delete from feed_head');
    await client.query('insert into feed_head (feed_id) values ($1)', [head.feed_id]);
    // The bucket may be a copy with another address.
    for (const table of ['archive_policy', 'archive_objects', 'archive_snapshots'])
      await client.query(`update ${table} set archive = $2 where archive = $1`, [head.archive, archive]);
    await client.query('insert into archive_policy (archive) values ($1) on conflict do nothing', [archive]);
    await enterManifest(client, archive, head.feed_id, manifest);
    await client.query(
      'update archive_objects set dropped_at = coalesce(dropped_at, clock_timestamp()) where superseded_at is null',
    );
    await forgetMonths(client, head.unarchived);
    await client.query('insert into archive_restores (archive, state_key, state_sha256) values ($1, $2, $3)', [
      archive,
      key,
      sha256,
    ]);
  });

/** A manifest with objects that the state does not know is newer than it, and says which count. */
const enterManifest = async (
  client: PoolClient,
  archive: string,
  feedId: string,
  manifest: Awaited<ReturnType<typeof fetchManifest>> = [],
): Promise<void> => {
  const { rowCount } = await client.query(
    `insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256, raw_sha256,
       columns_sha256, organizations)
     select $1, m.key, m.kind, to_date(m.month, 'YYYY-MM'), $2, m.first_position, m.last_position, m.rows, m.bytes, m.sha256, m.ids_sha256,
       m.raw_sha256, m.columns_sha256, '{}'
     from json_to_recordset($3) m (key text, kind text, month text, first_position bigint, last_position bigint, rows bigint, bytes bigint,
       sha256 text, ids_sha256 text, raw_sha256 text, columns_sha256 text)
     where not exists (select from archive_objects o where o.archive = $1 and o.key = m.key)`,
    [archive, feedId, JSON.stringify(manifest)],
  );
  if (rowCount === 0) return;
  await client.query(
    `update archive_objects set superseded_at = clock_timestamp()
     where archive = $1 and superseded_at is null and key <> all($2::text[])`,
    [archive, manifest.map(({ key }) => key)],
  );
};

const requireEmpty = async (client: PoolClient): Promise<void> => {
  for (const table of usedTables) {
    const { rowCount } = await client.query(`select from ${table} limit 1`);
    if (rowCount === 0) continue;
    throw new OrgtrailError('usage', `the database is not empty: ${table} has rows`, {
      hint: 'make a new database, run `orgtrail migrate` on it, and restore before a daemon runs on it',
    });
  }
};

/** What is claimed of the time of these months is no longer: it is read again from Cloudflare, as far as that goes. */
const forgetMonths = async (client: PoolClient, months: readonly string[]): Promise<void> => {
  const forgotten = `(select coalesce(range_agg(tstzrange(to_date(m, 'YYYY-MM')::timestamp at time zone 'UTC',
    (to_date(m, 'YYYY-MM')::timestamp + interval '1 month') at time zone 'UTC')), '{}') from unnest($1::text[]) m)`;
  await client.query(
    `update coverage set ranges = ranges - f, proven = proven - f, read_before = read_before - f, noted = noted - f, read_again = read_again - f
     from ${forgotten} as forgotten (f)`,
    [months],
  );
  await client.query(
    `with cut as (delete from coverage_readings r using ${forgotten} as forgotten (f)
       where tstzrange(r.since, r.before) && f returning r.*, f)
     insert into coverage_readings select c.source_kind, c.source_id, c.filter_hash, lower(kept), upper(kept), c.method, c.number, c.direction,
       c.found, c.read_from, c.read_to from cut c cross join lateral unnest(tstzmultirange(tstzrange(c.since, c.before)) - c.f) kept`,
    [months],
  );
  await client.query(
    `delete from findings where to_char(action_time at time zone 'UTC', 'YYYY-MM') = any($1::text[])`,
    [months],
  );
};

/** Has the months that are not back thawed, those that failed again; without some, which are given up. Returns how many events they have. */
export const askForMonths = async (pool: Pool, without: readonly string[]): Promise<number> =>
  await inTransaction(pool, async (client) => {
    await forgetMonths(client, without);
    await client.query(
      `update archive_objects set superseded_at = clock_timestamp()
       where to_char(month, 'YYYY-MM') = any($1::text[]) and superseded_at is null and dropped_at is not null`,
      [without],
    );
    // Of a process that was killed: this one is alone.
    await client.query('update archive_thaws set lease_until = null');
    await client.query(
      `delete from archive_thaws where to_char(month, 'YYYY-MM') = any($1::text[]) or state = 'failed'`,
      [without],
    );
    await client.query(
      `insert into archive_thaws (month, ends_at, reason, events)
       select o.month, clock_timestamp() + make_interval(days => ${THAWED_DAYS}), 'archive restore --into', sum(o.events) filter (where o.kind = 'events')
       from archive_objects o where o.superseded_at is null and o.dropped_at is not null
         and not exists (select from archive_thaws t where t.month = o.month and t.state in ('asked', 'thawed'))
       group by o.month having bool_or(o.kind = 'events') order by o.month desc`,
    );
    const { rows } = await client.query<{ events: number }>(
      `select coalesce(sum(events), 0)::float8 as events from archive_thaws where state = 'asked'`,
    );
    return rows[0]?.events ?? 0;
  });

export interface MonthOfRestore {
  readonly month: string;
  readonly state: 'asked' | 'thawed' | 'failed';
  readonly events: number;
  readonly error: string | null;
}

export const readMonthsOfRestore = async (pool: Pool): Promise<readonly MonthOfRestore[]> =>
  (
    await pool.query<MonthOfRestore>(
      `select to_char(month, 'YYYY-MM') as month, state, events::float8, error from archive_thaws where state <> 'ended' order by month`,
    )
  ).rows;

/**
 * From its commit on it is a database. Positions that were given out and are lost are noted as left out, and those behind the state jump as after any
 * restore: no position is given twice. Throws if a month is not back.
 */
export const endRestore = async (pool: Pool, { id }: Pick<RestoreRow, 'id'>, lines: Buffer): Promise<void> => {
  await inTransaction(pool, async (client) => {
    await client.query(longStatement('lock table feed_head in access exclusive mode'));
    const { rowCount } = await client.query(
      'select from archive_objects where superseded_at is null and dropped_at is not null limit 1',
    );
    if (rowCount !== 0) throw new Error('a month is not back');
    await enterState(client, lines, (table) => table === 'feed_head' || table === 'finding_head');
    // Months that are newer than the state have higher ones. The triggers would take it for a commit.
    await client.query(`alter table feed_head disable trigger user;
      update feed_head set position = greatest(position, (select max(position) from audit_events));
      alter table feed_head enable trigger user`);
    await client.query(
      longStatement(`update archive_objects o set organizations = (select f.organizations
         from orgtrail_archive_facts(o.kind, o.month, o.first_position, o.last_position) f)
       where o.organizations = '{}' and o.superseded_at is null and o.kind = 'events'`),
    );
    // Any other text than that of the server lets positions jump.
    await client.query(`update feed_head set timeline = 'restored'`);
    await noteLostPositions(client);
    await client.query(
      `delete from archive_thaws t where t.state = 'thawed'
         and not exists (select from retention_drops d where d.month = t.month and d.events > 0)`,
    );
    // Their findings went when they were dropped.
    await client.query(
      `update archive_thaws t set found_to = (select min(o.first_position) - 1 from archive_objects o
         where o.month = t.month and o.kind = 'events' and o.superseded_at is null), lease_until = null where t.state = 'thawed'`,
    );
    await client.query(
      `delete from sink_dead_letters d where not exists (select from audit_events e where e.position = d.position)`,
    );
    await client.query('update sinks set batch_until = null, lease_until = null');
    const ended = await client.query(
      'update archive_restores set ended_at = clock_timestamp() where id = $1 and ended_at is null',
      [id],
    );
    if (ended.rowCount === 0) throw new Error('another process has ended the restore');
    await raiseNumbers(client);
  });
  await pool.query('select orgtrail_check_timeline()');
};

/** As positions that a failover left out: readers are told, and evidence finds them explained. */
const noteLostPositions = async (client: PoolClient): Promise<void> => {
  await client.query(
    longStatement(
      `with stored as (select position from audit_events union all select position + 1 from feed_head),
       gap as (select lag(position, 1, 0::bigint) over (order by position) as from_position, position - 1 as to_position from stored)
       insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline)
       select nextval(pg_get_serial_sequence('retention_drops', 'id')), g.from_position, g.to_position, 'lost', 'restored' from gap g
       where g.to_position > g.from_position and not exists (
         select from position_jumps j where j.from_position <= g.from_position and j.to_position >= g.to_position)
       order by g.from_position`,
    ),
  );
};

import type { Pool } from 'pg';
import type { FeedHead } from '../feed.ts';

/** The head as this server has it. */
export interface ServerHead extends FeedHead {
  /** The server follows another one: what it lacks may still arrive. */
  readonly isStandby: boolean;
}

/** Rejects if the database does not answer. */
export const readFeedHead = (pool: Pool): Promise<ServerHead> => readHeadWith<ServerHead>(pool, '');

const readHeadWith = async <Head extends ServerHead>(pool: Pool, more: string): Promise<Head> => {
  const { rows } = await pool.query<Head>(
    `select feed_id as "feedId", position::float8 as position,
       greatest(0, (select max(id) from retention_drops), (select max(id) from position_jumps))::float8 as "lastDrop",
       pg_is_in_recovery() as "isStandby"${more}
     from feed_head`,
  );
  if (rows[0] === undefined) throw new Error('the table feed_head is empty');
  return rows[0];
};

/** A head, and whether the last jump that was due before it has happened. */
export interface ComparedHead extends ServerHead {
  /** False after a failover until the first commit, or the first connection that may, has compared the timelines. Null on a standby. */
  readonly isCompared: boolean | null;
}

/**
 * Both in one statement: between two of them a standby may be promoted, or another server answer. In the way of orgtrail_timeline(), which
 * readers may not call. Rejects if the server does not show its timeline or its identifier.
 */
export const readComparedHead = async (pool: Pool): Promise<ComparedHead> =>
  await readHeadWith<ComparedHead>(
    pool,
    `, case when not pg_is_in_recovery()
       then timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || tableoid || ' ' ||
         (select system_identifier from pg_control_system()) end as "isCompared"`,
  );

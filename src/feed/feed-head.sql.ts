import { setTimeout } from 'node:timers/promises';
import type { Pool } from 'pg';
import { OrgtrailError } from '../base/errors.ts';
import { compareTimeline } from '../postgres/pool.ts';
import { isRefusal } from '../postgres/sql-state.ts';
import type { FeedHead } from './feed.ts';

interface ServerHead extends FeedHead {
  /** The server follows another one: what it lacks may still arrive. */
  readonly isStandby: boolean;
}

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

interface ComparedHead extends ServerHead {
  /** False after a failover until a commit, or a connection that may, has compared the timelines. Null on a standby. */
  readonly isCompared: boolean | null;
}

/**
 * In one statement: between two a standby may be promoted, or another server answer. As orgtrail_timeline() does, which readers may not call.
 * Rejects if the server does not show its timeline or its identifier.
 */
const readComparedHead = async (pool: Pool): Promise<ComparedHead> =>
  await readHeadWith<ComparedHead>(
    pool,
    `, case when not pg_is_in_recovery()
       then timeline = substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || tableoid || ' ' ||
         (select system_identifier from pg_control_system()) end as "isCompared"`,
  );

const COMPARE_ATTEMPTS = 20;
const COMPARE_AGAIN_MS = 100;

/** Before a position is said to belong to another database, the jump after a failover must have happened. A commit under way compares as well. */
export const headBehindFailover = async (pool: Pool, after: number): Promise<FeedHead> => {
  for (let attempt = 1; ; attempt += 1) {
    await pool.query(compareTimeline);
    const head = await comparedHead(pool);
    if (after <= head.position) return head;
    if (head.isStandby) throw notArrived(after, head.position);
    if (head.isCompared === true) return head;
    if (attempt === COMPARE_ATTEMPTS) throw notCompared(after, head.position);
    await setTimeout(COMPARE_AGAIN_MS);
  }
};

/** A server that refuses to show its timeline or its identifier has none that this account could compare. */
const comparedHead = (pool: Pool): Promise<ComparedHead> =>
  readComparedHead(pool).catch(async (error: unknown) => {
    if (!isRefusal(error)) throw error;
    return { ...(await readFeedHead(pool)), isCompared: true };
  });

const notArrived = (after: number, position: number): OrgtrailError =>
  new OrgtrailError('database_unreachable', `this standby is at position ${position} and does not have ${after} yet`, {
    hint: 'ask again, or ask the primary',
  });

const notCompared = (after: number, position: number): OrgtrailError =>
  new OrgtrailError(
    'database_unreachable',
    `the database has failed over, and whether position ${after} was lost is not known yet: it is at ${position}`,
    { hint: 'ask again: the next commit, or the next start of `orgtrail serve`, settles it' },
  );

import { setTimeout } from 'node:timers/promises';
import { OrgtrailError } from '../../errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { compareTimeline } from '../../postgres/position-jumps.ts';
import { isRefusal } from '../../postgres/sql-state.ts';
import type { FeedHead } from '../feed.ts';
import { type ComparedHead, readComparedHead, readFeedHead } from './feed-head.sql.ts';

/** So often, and so far apart, a reader looks whether another session has compared the timelines: 2 s in all. */
const COMPARE_ATTEMPTS = 20;
const COMPARE_AGAIN_MS = 100;

/**
 * For a position that lies beyond the head. Before the position is said to belong to another database, the jump after a failover must have
 * happened. A commit that holds the row compares as well, and usually ends in a moment.
 */
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

/** A server that refuses to say its timeline or its identifier has none that this account could compare. */
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

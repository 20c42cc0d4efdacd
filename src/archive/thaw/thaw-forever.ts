import type { Logger } from 'pino';
import { reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import { createProcessIdentity, keepLease } from '../../postgres/leases.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type ArchiveMonth, dropThawed } from '../retention.sql.ts';
import type { ObjectStore } from '../store.ts';
import { findAgain, thawMonth } from './thaw-month.ts';
import { type ClaimedThaw, claimThaw, failThaw, renewThaw } from './thaws.sql.ts';

const LOOK_EVERY_MS = 5_000;
/** As orgtrail_hold_thaw has it. */
const LEASE_MS = 60_000;

interface Thawing {
  readonly pool: Pool;
  readonly store: ObjectStore;
  readonly archiveMonth: ArchiveMonth;
  readonly time: Time;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Events of the month in hand. */
  readonly onCopied?: (events: number) => void;
}

/** Brings months back that are asked for, and lets them go at the end of their time; of several replicas one does. Resolves after the signal. */
export const thawForever = async (thawing: Thawing): Promise<void> => {
  const { time, logger, signal } = thawing;
  const owner = createProcessIdentity();
  while (!signal.aborted) {
    const worked = await workOnce(thawing, owner).catch((error: unknown) => {
      if (!signal.aborted) logger.warn({ reason: reasonOf(error) }, 'thawing does not go on; trying again');
      return false;
    });
    if (!worked) await time.sleep(LOOK_EVERY_MS, signal).catch(() => {});
  }
};

/** False: there was nothing to do. */
export const workOnce = async (thawing: Thawing, owner: string): Promise<boolean> => {
  const { pool, time, logger, signal } = thawing;
  const takenAtMs = time.nowMs();
  const thaw = await claimThaw(pool, owner);
  if (thaw === undefined) return false;
  let copied = 0;
  const renew = () => renewThaw(pool, thaw, copied);
  const lease = keepLease(time, { takenAtMs, leaseMs: LEASE_MS, renew });
  const stopping = AbortSignal.any([signal, lease.lost]);
  const onCopied = (events: number) => {
    copied = events;
    thawing.onCopied?.(events);
    renew().catch(() => {});
  };
  try {
    await work({ ...thawing, signal: stopping }, thaw, onCopied);
  } catch (error) {
    // It begins again, here or in another replica.
    if (stopping.aborted) return false;
    const { id, month, task } = thaw;
    logger.error({ thaw: id, month, task, reason: reasonOf(error) }, 'a month was not thawed, or not let go again');
    await failThaw(pool, thaw, reasonOf(error));
  } finally {
    lease.end();
  }
  return true;
};

const work = async (thawing: Thawing, thaw: ClaimedThaw, onCopied: (events: number) => void): Promise<void> => {
  const { pool, archiveMonth, logger } = thawing;
  const { id, month, task } = thaw;
  if (task === 'copy') {
    logger.info({ thaw: id, month }, 'thawing a month of the archive');
    await thawMonth({ ...thawing, onCopied }, thaw);
    logger.info({ thaw: id, month }, 'thawed a month: it is in the database again');
  }
  if (task === 'find') await findAgain(thawing, thaw);
  if (task === 'end') {
    const reason = await dropThawed(pool, month, archiveMonth);
    if (reason !== undefined) throw new Error(reason);
    logger.info({ thaw: id, month }, 'a thawed month is in the archive alone again');
  }
};

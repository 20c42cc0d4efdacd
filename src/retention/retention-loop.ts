import type { Logger } from 'pino';
import { reasonOf } from '../errors.ts';
import type { Pool } from '../postgres/pool.ts';
import type { Time } from '../time/clock.ts';
import { formatDuration } from '../time/duration.ts';
import { type ArchiveMonth, dropOldMonths, type RetentionResult } from './retention.sql.ts';

const DROP_INTERVAL_MS = 86_400_000;
/** Retry delay for transient blockers (a long read, another replica, no listing yet). */
const RETRY_INTERVAL_MS = 600_000;
/** The first time, a replica that has just begun waits for its listing, which tells Cloudflare's time. */
const STARTUP_DELAY_MS = 5_000;

export interface RetentionOptions {
  readonly pool: Pool;
  /** Infinity: everything is kept. */
  readonly retentionMs: number;
  /** Undefined: months are dropped as they are, if the database has no archive in use. */
  readonly archiveMonth?: ArchiveMonth | undefined;
  /** The months that are not read in full: they stay. */
  readonly readUnread?: (() => Promise<ReadonlyMap<string, string>>) | undefined;
  /** Says what is not read because of the retention; undefined: nothing. */
  readonly notRead?: (() => Promise<string | undefined>) | undefined;
  readonly time: Pick<Time, 'sleep'>;
  readonly logger: Logger;
  /** Ends it; a month that is being dropped at that moment is finished. */
  readonly signal: AbortSignal;
}

/**
 * Drops what is older than ORGTRAIL_RETENTION, now and once a day, and says what it dropped and kept. Resolves after the
 * signal. Called by the daemon; does nothing if everything is kept.
 */
export const startRetention = async (options: RetentionOptions): Promise<void> => {
  const { pool, retentionMs, archiveMonth, readUnread, notRead, time, logger, signal } = options;
  if (retentionMs === Number.POSITIVE_INFINITY) return;
  const pause = (ms: number) => time.sleep(ms, signal).catch(() => {});
  await pause(STARTUP_DELAY_MS);
  let told: readonly string[] = [];
  while (!signal.aborted) {
    let again = true;
    try {
      const missed = await notRead?.();
      if (missed !== undefined) logger.warn(missed);
      const result = await dropOldMonths(pool, retentionMs, archiveMonth, readUnread);
      told = report(logger, result, retentionMs, told);
      again = result.again;
    } catch (error) {
      logger.error({ reason: reasonOf(error) }, 'dropping events older than ORGTRAIL_RETENTION failed; retrying later');
    }
    await pause(again ? RETRY_INTERVAL_MS : DROP_INTERVAL_MS);
  }
};

/** A look that comes again soon says why a month is kept once, until the reason is another one. */
const report = (
  logger: Logger,
  { dropped, kept, again }: RetentionResult,
  retentionMs: number,
  told: readonly string[],
): readonly string[] => {
  const retention = formatDuration(retentionMs);
  for (const month of dropped) {
    logger.info({ ...month, retention }, 'dropped a month of events older than ORGTRAIL_RETENTION');
  }
  for (const { month, reason } of kept) {
    if (again && told.includes(`${month} ${reason}`)) continue;
    logger.info({ month, reason, retention }, 'kept a month of events older than ORGTRAIL_RETENTION');
  }
  return kept.map(({ month, reason }) => `${month} ${reason}`);
};

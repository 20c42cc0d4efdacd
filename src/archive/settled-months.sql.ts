import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { reasonOf } from '../base/errors.ts';
import type { Month } from './month-rows.sql.ts';
import { type ArchiveMonth, readOldMonths } from './retention.sql.ts';
import { isStorageFault } from './store.ts';

/** Which months go into the archive long before they are dropped. */
export interface SettledMonths {
  readonly pool: Pool;
  readonly archive: string;
  /** Since the end of the month, and since the last row of it was stored. Infinite: none. */
  readonly afterMs: number;
  /** By month, a source that is not read in full. */
  readonly readUnread: (olderThanMs: number) => Promise<ReadonlyMap<string, string>>;
}

/** In the database, read in full, and not or not wholly in the archive; oldest first. */
export const readSettledMonths = async ({
  pool,
  archive,
  afterMs,
  readUnread,
}: SettledMonths): Promise<readonly Month[]> => {
  if (afterMs === Number.POSITIVE_INFINITY) return [];
  const settled: Month[] = [];
  for (const month of await readOldMonths(pool, afterMs)) {
    if (await isSettled(pool, archive, month, afterMs)) settled.push(month);
  }
  if (settled.length === 0) return [];
  const unread = await readUnread(afterMs);
  return settled.filter((month) => !unread.has(month));
};

/** By the newest row alone: positions are given in the order of storing. */
const isSettled = async (pool: Pool, archive: string, month: Month, afterMs: number): Promise<boolean> => {
  const first = `timestamp '${month}-01'`;
  const within = `e.action_time >= ${first} at time zone 'UTC' and e.action_time < (${first} + interval '1 month') at time zone 'UTC'`;
  const { rows } = await pool.query<{ settled: boolean }>(
    `with event as (select e.position, e.received_at from audit_events e where ${within} order by e.position desc limit 1),
       change as (select count(*) as changes, max(c.seen_at) as seen_at
         from audit_event_changes c join audit_events e on e.position = c.position where ${within}),
       archived as (select max(o.last_position) filter (where o.kind = 'events') as position,
           coalesce(sum(o.events) filter (where o.kind = 'changes'), 0) as changes, bool_or(o.fault is not null) as faulty
         from archive_objects o where o.month = date ${`'${month}-01'`} and o.archive = $1 and o.superseded_at is null and o.dropped_at is null)
     select (archived.position is distinct from event.position or archived.changes <> change.changes or archived.faulty)
       and greatest(event.received_at, change.seen_at) < clock_timestamp() - make_interval(secs => $2::float8 / 1000) as settled
     from event, change, archived`,
    [archive, afterMs],
  );
  return rows[0]?.settled === true;
};

/** Returns whether all went well; what failed is worth trying again soon. */
export const archiveSettled = async (
  settled: SettledMonths & {
    readonly archiveMonth: ArchiveMonth;
    readonly logger: Logger;
    readonly signal: AbortSignal;
  },
): Promise<boolean> => {
  const { archiveMonth, logger, signal } = settled;
  let failed = false;
  for (const month of await readSettledMonths(settled)) {
    try {
      await archiveMonth(month);
    } catch (error) {
      if (signal.aborted) return true;
      logger.warn({ month, reason: reasonOf(error) }, 'archiving a closed month failed; retrying later');
      failed = true;
      if (isStorageFault(error)) return false;
    }
  }
  return !failed;
};

import type { Pool } from 'pg';
import { OrgtrailError } from '../errors.ts';
import { readMergedEvents } from '../feed/archived/merged-events.ts';
import type { ArchivedEvents } from '../feed/archived/ports.ts';
import { readFeedEvents } from '../feed/feed-events.sql.ts';
import { readFindings } from '../findings/read-findings.sql.ts';
import { isDeadOwner } from '../postgres/leases/process-identity.ts';
import { isRefusal } from '../postgres/sql-state.ts';
import type { DeliveryStore } from './ports.ts';
import {
  beginDelivery,
  claimSink,
  failDelivery,
  finishDelivery,
  noteSinkFailure,
  releaseDeadSinks,
  releaseSink,
  renewSink,
  skipEvents,
  skipOldEvents,
} from './sinks.sql.ts';

/** Joins the statements of the store to the port that delivery declares. With an archive, sinks get what retention has dropped as well. */
export const createDeliveryStore = (
  pool: Pool,
  owner: string,
  leaseMs: number,
  archived?: ArchivedEvents,
): DeliveryStore => ({
  claim: async (name) => {
    const claimed = await claimSink(pool, name, owner, leaseMs);
    if ('epoch' in claimed) return claimed;
    const { heldBy, restMs } = claimed;
    if (heldBy === undefined || !isDeadOwner(heldBy, owner)) return { waitMs: restMs };
    await releaseDeadSinks(pool, heldBy);
    return { waitMs: 0 };
  },
  renew: (turn) => renewSink(pool, turn, leaseMs),
  read: (range) => {
    if (range.stream === 'detections') return readFindings(pool, range);
    return archived === undefined ? readFeedEvents(pool, range) : readMergedEvents({ pool, archived }, range);
  },
  begin: (turn, until) => beginDelivery(pool, turn, until, leaseMs),
  finish: (turn, result) => finishDelivery(pool, turn, result, leaseMs),
  skip: (turn, until, skipped) =>
    skipped === 0 ? skipEvents(pool, turn, until, leaseMs) : skipOldEvents(pool, turn, { until, skipped }, leaseMs),
  fail: (turn, failure) => failDelivery(pool, turn, failure),
  note: (name, failure) => noteSinkFailure(pool, name, failure),
  release: (turn) => releaseSink(pool, turn),
  isRefusal: (error) => isRefusal(error) || (error instanceof OrgtrailError && error.code === 'archive_unreadable'),
});

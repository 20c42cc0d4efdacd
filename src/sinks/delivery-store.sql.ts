import type { Pool } from 'pg';
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

/** Joins the statements of the store to the port that delivery declares. */
export const createDeliveryStore = (pool: Pool, owner: string, leaseMs: number): DeliveryStore => ({
  claim: async (name) => {
    const claimed = await claimSink(pool, name, owner, leaseMs);
    if ('epoch' in claimed) return claimed;
    const { heldBy, restMs } = claimed;
    if (heldBy === undefined || !isDeadOwner(heldBy, owner)) return { waitMs: restMs };
    await releaseDeadSinks(pool, heldBy);
    return { waitMs: 0 };
  },
  renew: (turn) => renewSink(pool, turn, leaseMs),
  read: (range) => (range.stream === 'detections' ? readFindings(pool, range) : readFeedEvents(pool, range)),
  begin: (turn, until) => beginDelivery(pool, turn, until, leaseMs),
  finish: (turn, result) => finishDelivery(pool, turn, result, leaseMs),
  skip: (turn, until, skipped) =>
    skipped === 0 ? skipEvents(pool, turn, until, leaseMs) : skipOldEvents(pool, turn, { until, skipped }, leaseMs),
  fail: (turn, failure) => failDelivery(pool, turn, failure),
  note: (name, failure) => noteSinkFailure(pool, name, failure),
  release: (turn) => releaseSink(pool, turn),
  isRefusal,
});

import type { Pool } from 'pg';
import type { FeedEvent } from '../formats/feed-event.ts';

/** Positions that one statement looks through, from the next event on: if a filter matches none of them, it still ends soon. */
const MAX_POSITIONS = 50_000;

export interface FeedEventsRange {
  /** Exclusive. */
  readonly after: number;
  /** Inclusive; the end of the feed without it. */
  readonly until: number | undefined;
  readonly maxEvents: number;
  /** Of raw entries. At least one event is always read. */
  readonly maxBytes: number;
  /** All without it. */
  readonly organizationIds: readonly string[] | undefined;
}

export interface FeedEvents {
  readonly events: readonly FeedEvent[];
  /** All wanted events after `after` and up to here are among them. Never below `after`. */
  readonly scannedTo: number;
}

interface Row {
  readonly scanned_to: number;
  readonly position: number | null;
  readonly feed_id: string;
  readonly source_kind: string;
  readonly source_id: string;
  readonly organization_id: string;
  readonly organization_name: string | null;
  readonly id: string;
  readonly action_time: string | null;
  readonly received_at: string;
  readonly raw: string;
  readonly defects: string[] | null;
}

const utc = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** Positions and sizes first; the entries themselves only of those that fit. */
const statement = `
with head as (
  select feed_id, greatest($1::bigint, least(position, coalesce($2, position), (
    select position - 1 + ${MAX_POSITIONS} from audit_events where position > $1 order by position limit 1))) as last
  from feed_head),
sized as materialized (
  select position, row_number() over w as n, sum(octet_length(raw::text)) over w as bytes
  from (
    select position, raw from audit_events
    where position > $1 and position <= (select last from head) and ($5::text[] is null or organization_id = any($5))
    order by position limit $3) as wanted
  window w as (order by position)),
fitting as (
  select coalesce(max(position) filter (where bytes <= $4 or n = 1), $1) as last,
    count(*) < $3 and count(*) = count(*) filter (where bytes <= $4 or n = 1) as complete
  from sized),
reached as (
  select feed_id, fitting.last, case when complete then head.last else fitting.last end as scanned_to from head, fitting)
select r.scanned_to::float8, e.position::float8, r.feed_id, e.source_kind, e.source_id, e.organization_id,
  o.name as organization_name, e.id, case when e.action_time > '-infinity' then ${utc('e.action_time')} end as action_time,
  ${utc('e.received_at')} as received_at, e.raw::text as raw, e.defects
from reached r
left join lateral (
  select * from audit_events
  where position > $1 and position <= r.last and ($5::text[] is null or organization_id = any($5))) as e on true
left join organizations o on o.id = e.organization_id
order by e.position`;

/**
 * What comes after a position, in order, as much of it as fits. One statement, which holds no snapshot longer than it takes;
 * safe to go on from `scannedTo` (invariant 6). Used by the sinks.
 */
export const readFeedEvents = async (pool: Pool, range: FeedEventsRange): Promise<FeedEvents> => {
  const { after, until, maxEvents, maxBytes, organizationIds } = range;
  const { rows } = await pool.query<Row>(statement, [
    after,
    until ?? null,
    maxEvents,
    maxBytes,
    organizationIds ?? null,
  ]);
  return {
    events: rows.flatMap((row) => (row.position === null ? [] : toEvent(row, row.position))),
    scannedTo: rows[0]?.scanned_to ?? after,
  };
};

const toEvent = (row: Row, position: number): FeedEvent => ({
  position,
  feedId: row.feed_id,
  sourceKind: row.source_kind,
  sourceId: row.source_id,
  organizationId: row.organization_id,
  organizationName: row.organization_name,
  id: row.id,
  actionTime: row.action_time,
  receivedAt: row.received_at,
  rawText: row.raw,
  defects: row.defects,
});

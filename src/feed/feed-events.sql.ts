import type { Pool } from 'pg';
import type { FeedEvent } from '../formats/format.ts';
import { selectList } from '../postgres/queries.ts';
import { auditEvents } from '../postgres/tables/events.ts';
import { ArchivedRow, type BothParts, endOfRange } from './archived-rows.ts';
import { FILTERED_SCAN_POSITIONS, readOrganizationNames, readTimeLimit } from './feed.sql.ts';
import { type ArchivedEvent, type Copies, isFirstCopy } from './feed.ts';
import { readFeedHead } from './feed-head.sql.ts';
import { eventOf } from './feed-row.ts';

/** For one statement, from the next event on: even if a filter matches none of them, it ends soon. */
const MAX_POSITIONS = 50_000;

export interface FeedEventsRange {
  readonly after: number;
  readonly until: number | undefined;
  readonly maxEvents: number;
  /** Of raw entries, but at least one event is read. */
  readonly maxBytes: number;
  readonly organizationIds: readonly string[] | undefined;
  /** With `organizationIds`, an event must meet both. */
  readonly accountIds?: readonly string[] | undefined;
  readonly copies?: Copies | undefined;
  /** Events with an older action, by the clock of the database, are left out and counted. One without a time is not. */
  readonly maxAgeMs?: number | undefined;
}

export interface FeedEvents {
  readonly events: readonly FeedEvent[];
  /** All wanted events up to here are among them. Never below `after`. */
  readonly scannedTo: number;
  /** More follow at once: these are as many, or as large, as were asked for. */
  readonly isFull: boolean;
  /** Since the first of them was stored; 0 without any. */
  readonly waitedMs: number;
  readonly tooOld: number;
}

/** Without an event if the range has none that is wanted. */
type Row = Omit<FeedEvents, 'events'> & (FeedEvent | { readonly position: null });

const { position, sourceKind, sourceId, organizationId, id, accountId, accountName, zoneId, zoneName, defects } =
  auditEvents;
const columns = {
  position,
  sourceKind,
  sourceId,
  organizationId,
  accountId,
  accountName,
  zoneId,
  zoneName,
  id,
  defects,
};

const utc = (column: string): string => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

const meetsIds = (row: string): string =>
  `($5::text[] is null or ${row}.organization_id = any($5)) and ($6::text[] is null or ${row}.account_id = any($6))`;

const cutoff = 'now() - make_interval(secs => $7)';
/** An entry without a time that can be read is at -infinity: its age is not known. */
const isYoung = `(e.action_time >= ${cutoff} or e.action_time = '-infinity')`;

const countTooOld = (wanted: string): string => `
  select count(*) as events from audit_events e
  where e.position > $1 and e.position <= (select scanned_to from reached) and ${wanted}
    and e.action_time < ${cutoff} and e.action_time > '-infinity'`;

/** Positions and sizes first; the entries themselves only of those that fit. */
const statement = (wanted: string, tooOld = 'select 0 as events'): string => `
with head as (
  select feed_id, greatest($1::bigint, least(position, coalesce($2, position), (
    select position - 1 + ${MAX_POSITIONS} from audit_events where position > $1 order by position limit 1))) as last
  from feed_head),
sized as materialized (
  select position, row_number() over w as n, sum(octet_length(raw::text)) over w as bytes
  from (
    select position, raw from audit_events e
    where position > $1 and position <= (select last from head) and ${wanted}
    order by position limit $3) as wanted
  window w as (order by position)),
fitting as (
  select coalesce(max(position) filter (where bytes <= $4 or n = 1), $1) as last,
    count(*) < $3 and count(*) = count(*) filter (where bytes <= $4 or n = 1) as complete
  from sized),
reached as (
  select feed_id, fitting.last, complete, case when complete then head.last else fitting.last end as scanned_to from head, fitting),
too_old as (${tooOld})
select r.scanned_to::float8 as "scannedTo", not r.complete as "isFull", (select events from too_old)::float8 as "tooOld",
  coalesce(extract(epoch from clock_timestamp() - e.received_at) * 1000, 0)::float8 as "waitedMs", r.feed_id as "feedId", o.name as "organizationName",
  ${selectList('e', columns)},
  case when e.action_time > '-infinity' then ${utc('e.action_time')} end as "actionTime",
  ${utc('e.received_at')} as "receivedAt", e.raw::text as "rawText"
from reached r
left join lateral (
  select * from audit_events e
  where position > $1 and position <= r.last and ${wanted}
  -- No more than have been measured: the planner cannot know that the range is short, and would read every partition.
  order by position limit $3) as e on true
left join organizations o on o.id = e.organization_id
order by e.position`;

const statementsOf = (wanted: string) => ({
  ofEveryAge: statement(wanted),
  young: statement(`${isYoung} and ${wanted}`, countTooOld(wanted)),
});
const statements: Readonly<Record<Copies, ReturnType<typeof statementsOf>>> = {
  all: statementsOf(meetsIds('e')),
  first: statementsOf(`${meetsIds('e')} and ${isFirstCopy('e', meetsIds)}`),
};

/** In order, as much as fits. One statement, which holds no snapshot longer than it takes; safe to go on from `scannedTo` (invariant 6). */
export const readFeedEvents = async (pool: Pool, range: FeedEventsRange): Promise<FeedEvents> => {
  const { after, until, maxEvents, maxBytes, organizationIds, accountIds, copies = 'all', maxAgeMs } = range;
  const { ofEveryAge, young } = statements[copies];
  const { rows } = await pool.query<Row>(maxAgeMs === undefined ? ofEveryAge : young, [
    after,
    until ?? null,
    maxEvents,
    maxBytes,
    organizationIds ?? null,
    accountIds ?? null,
    ...(maxAgeMs === undefined ? [] : [maxAgeMs / 1_000]),
  ]);
  const [first] = rows;
  return {
    events: rows.flatMap(({ scannedTo, isFull, waitedMs, tooOld, ...event }) =>
      event.position === null ? [] : [event],
    ),
    scannedTo: first?.scannedTo ?? after,
    isFull: first?.isFull ?? false,
    waitedMs: first?.waitedMs ?? 0,
    tooOld: first?.tooOld ?? 0,
  };
};

export const readMergedEvents = async (parts: BothParts, range: FeedEventsRange): Promise<FeedEvents> => {
  const { pool, archived } = parts;
  const { after } = range;
  if ((await archived.sumObjects(after, Number.MAX_SAFE_INTEGER)) === 0) return await readFeedEvents(pool, range);
  const head = await readFeedHead(pool);
  const until = Math.min(range.until ?? head.position, head.position);
  if (until <= after) return { events: [], scannedTo: after, isFull: false, waitedMs: 0, tooOld: 0 };
  const scanned = Math.min(until, (await endOfRange(parts, after, until)) + FILTERED_SCAN_POSITIONS);
  const stretch = await archived.read({ ...range, until: scanned }, range);
  const hot = await readFeedEvents(pool, { ...range, until: stretch.until });
  // What was dropped after the archive was asked is in neither part, and what came back is in both.
  if ((await archived.sumObjects(after, stretch.until)) !== stretch.objects)
    return await readMergedEvents(parts, range);
  const end = Math.min(stretch.until, hot.scannedTo);
  const { young, tooOld } = await byAge(
    parts,
    stretch.events.filter(({ position }) => position <= end),
    range.maxAgeMs,
  );
  const cold = young.length === 0 ? [] : await eventsOf(parts, young, head.feedId);
  const all = [...hot.events, ...cold].sort((a, b) => a.position - b.position);
  const fitting = countFitting(all, range);
  const last = all[fitting - 1]?.position ?? end;
  // Once more: what is too old is counted up to the end.
  if (fitting < all.length) return { ...(await readMergedEvents(parts, { ...range, until: last })), isFull: true };
  return {
    events: all,
    scannedTo: end,
    isFull: hot.isFull || stretch.until < scanned,
    waitedMs: Math.max(hot.waitedMs, waitedOf(cold[0])),
    tooOld: hot.tooOld + tooOld,
  };
};

const byAge = async ({ pool }: BothParts, events: readonly ArchivedEvent[], maxAgeMs: number | undefined) => {
  if (maxAgeMs === undefined || events.length === 0) return { young: events, tooOld: 0 };
  const limit = await readTimeLimit(pool, maxAgeMs);
  const young = events.filter(({ actionTime }) => actionTime >= limit);
  return { young, tooOld: events.length - young.length };
};

const eventsOf = async (
  { pool }: BothParts,
  events: readonly ArchivedEvent[],
  feedId: string,
): Promise<FeedEvent[]> => {
  const context = { feedId, organizationNames: await readOrganizationNames(pool) };
  const row = new ArchivedRow();
  return events.map((event) => eventOf(row.of(event), context));
};

const countFitting = (events: readonly FeedEvent[], { maxEvents, maxBytes }: FeedEventsRange): number => {
  let bytes = 0;
  const end = events.findIndex(({ rawText }, index) => {
    bytes += Buffer.byteLength(rawText);
    return index > 0 && (index >= maxEvents || bytes > maxBytes);
  });
  return end === -1 ? events.length : end;
};

const waitedOf = (event: FeedEvent | undefined): number =>
  event === undefined ? 0 : Math.max(0, Date.now() - Date.parse(event.receivedAt));

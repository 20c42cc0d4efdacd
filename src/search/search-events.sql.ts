import { and, eq, getTableColumns, sql } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../base/errors.ts';
import { parseInstantMs } from '../base/time.ts';
import { copiesOf, mayHaveCopies } from '../feed/feed.ts';
import { readFeedHead } from '../feed/feed-head.sql.ts';
import { db, isTimeout, readOnly, selectList } from '../postgres/queries.ts';
import { isDataFault } from '../postgres/sql-state.ts';
import { auditEventChanges, auditEvents } from '../postgres/tables/events.ts';
import {
  type Arrivals,
  type ArrivalsPage,
  type EventCopy,
  type EventDetail,
  type EventKey,
  type FoundEvent,
  rfc3339Of,
  type SearchPage,
} from './answer.ts';
import { conditionsOf, nothingInTime, type TimeSlice, withSpellings } from './conditions/search-conditions.sql.ts';
import type { EventQuery } from './query/event-query.ts';
import type { SearchCursor } from './query/search.ts';

/** `firstMs`: for the first attempt, which looks at the whole time at once; 0: there is none. `totalMs`: for all statements together. */
export interface SearchTimeLimit {
  readonly firstMs: number;
  readonly totalMs: number;
}

export interface AskedPage {
  readonly cursor: SearchCursor | undefined;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

const TOO_SLOW =
  'the search takes too long, even in small pieces: the database is busy, or many events share one moment; try again or search less time';
const FIRST_SPAN_MS = 3_600_000;
const GROWTH = 4;
const SHRINK = 16;
const LEAST_STATEMENT_MS = 10;
/** Older events have no time, or a wrong one: they are looked at in one go. */
const FIRST_YEAR_MS = Date.UTC(2009, 0, 1);

/**
 * In the order (time, position), newest first. First all of the time is asked at once, which an index answers in a moment. If that takes too long
 * (a text that no index has), the time is looked through piece by piece from the cursor on, within the time limit: then `reached` says how far.
 * Throws SearchError `timeout` if not even one piece could be looked at, and `refused` for values that PostgreSQL does not take. `clockMs` is what
 * `totalMs` is measured by.
 */
export const searchEvents = async (
  pool: Pool,
  query: EventQuery,
  page: AskedPage,
  timeLimit: SearchTimeLimit,
  clockMs: () => number = () => performance.now(),
): Promise<SearchPage> => {
  const deadlineMs = clockMs() + timeLimit.totalMs;
  const spelled = await withSpellings(pool, query, Math.max(1, Math.round(timeLimit.totalMs))).catch(explained);
  const ask = (slice: TimeSlice, limit: number, timeoutMs: number) =>
    readSlice(pool, spelled, { ...page, limit }, slice, timeoutMs);
  const firstMs = Math.round(timeLimit.firstMs);
  // PostgreSQL takes 0 ms for no limit.
  const rows = firstMs > 0 ? await ask({ low: undefined, high: undefined }, page.limit + 1, firstMs) : undefined;
  if (rows !== undefined) return toPage(rows, page, undefined);
  const found: FoundEvent[] = [];
  let slice = firstSlice(query, page.cursor, Date.now());
  let spanMs = FIRST_SPAN_MS;
  let reached: SearchCursor | undefined;
  for (;;) {
    const startedMs = clockMs();
    const remainingMs = Math.floor(deadlineMs - startedMs);
    if (remainingMs < LEAST_STATEMENT_MS) break;
    const wanted = page.limit + 1 - found.length;
    const some = await ask(slice.bounds(spanMs), wanted, remainingMs);
    if (some === undefined) {
      spanMs = Math.max(1, spanMs / SHRINK);
      continue;
    }
    found.push(...some);
    const next = slice.next(spanMs);
    if (next === undefined || found.length > page.limit) return toPage(found, page, undefined);
    reached = next.from;
    slice = next;
    if (clockMs() - startedMs < timeLimit.totalMs / 8) spanMs *= GROWTH;
  }
  if (reached === undefined) throw new SearchError('timeout', TOO_SLOW);
  return toPage(found, page, reached);
};

const toPage = (
  rows: readonly FoundEvent[],
  { cursor, limit }: AskedPage,
  reached: SearchCursor | undefined,
): SearchPage => {
  const shown = rows.slice(0, limit);
  if (cursor?.direction === 'newer') shown.reverse();
  return { events: shown, more: rows.length > limit || reached !== undefined, reached };
};

const readSlice = async (
  pool: Pool,
  query: EventQuery,
  { cursor, limit, signal }: AskedPage,
  slice: TimeSlice,
  timeoutMs: number,
): Promise<FoundEvent[] | undefined> => {
  const { sql, values } = conditionsOf(query, cursor, slice);
  const order = cursor?.direction === 'newer' ? 'asc' : 'desc';
  const statement = `select ${foundColumns}
    from (select * from audit_events where ${sql}
      order by action_time ${order}, position ${order} limit $${values.length + 1}) as e
    left join organizations o on o.id = e.organization_id
    order by e.action_time ${order}, e.position ${order}`;
  const read = (client: PoolClient) => client.query<FoundRow>(statement, [...values, limit]);
  const found = await readOnly(pool, timeoutMs, read, signal).catch(nothingInTime).catch(explained);
  return found?.rows.map(toFoundEvent);
};

/** Throws what a search says about an error of its statement. */
export const explained = (error: unknown): never => {
  if (isTimeout(error)) throw new SearchError('timeout', TOO_SLOW, { cause: error });
  if (isDataFault(error)) {
    throw new SearchError('refused', 'PostgreSQL does not take a value of this search', { cause: error });
  }
  throw error;
};

interface Slice {
  /** All in front of it has been looked at. */
  readonly from: SearchCursor | undefined;
  bounds(spanMs: number): TimeSlice;
  next(spanMs: number): Slice | undefined;
}

const firstSlice = (query: EventQuery, cursor: SearchCursor | undefined, nowMs: number): Slice => {
  const cursorMs = cursor && sortTimeMs(cursor.time);
  const lowMs = query.since === undefined ? Number.NEGATIVE_INFINITY : (parseInstantMs(query.since) ?? FIRST_YEAR_MS);
  const highMs = query.before === undefined ? nowMs : Math.min(nowMs, parseInstantMs(query.before) ?? nowMs);
  if (cursor?.direction === 'newer')
    return sliceOf('newer', undefined, Math.max(cursorMs ?? lowMs, FIRST_YEAR_MS), highMs);
  return sliceOf('older', undefined, Math.min(cursorMs ?? highMs, highMs), Math.max(lowMs, FIRST_YEAR_MS));
};

/** The first piece has no bound on the side where the search begins: the search has one itself, or none. */
const sliceOf = (
  direction: SearchCursor['direction'],
  from: SearchCursor | undefined,
  beginMs: number,
  lastMs: number,
): Slice => {
  const isOlder = direction === 'older';
  const endOf = (spanMs: number): number => {
    const end = isOlder ? Math.floor(beginMs - spanMs) : Math.ceil(beginMs + spanMs);
    return (isOlder ? end <= lastMs : end >= lastMs) ? Number.POSITIVE_INFINITY : end;
  };
  return {
    from,
    bounds: (spanMs) => {
      const [begin, end] = [from && isoOf(beginMs), isoOf(endOf(spanMs))];
      return isOlder ? { low: end, high: begin } : { low: begin, high: end };
    },
    next: (spanMs) => {
      const end = endOf(spanMs);
      return Number.isFinite(end) ? sliceOf(direction, cursorAt(direction, end), end, lastMs) : undefined;
    },
  };
};

const isoOf = (ms: number): string | undefined => (Number.isFinite(ms) ? new Date(ms).toISOString() : undefined);

/** Positions begin with 1: at 0, nothing of that moment has been looked at in the direction newer, and all of it in the other. */
const cursorAt = (direction: SearchCursor['direction'], ms: number): SearchCursor => ({
  direction,
  time: `${new Date(ms).toISOString().replace('T', ' ').slice(0, -1)}+00`,
  position: 0,
});

const sortTimeMs = (time: string): number => {
  if (time === '-infinity') return Number.NEGATIVE_INFINITY;
  // A year of five digits is later than any piece, one before Christ earlier.
  if (/^\d{5}/.test(time)) return Number.POSITIVE_INFINITY;
  return parseInstantMs(time.replace('+00', 'Z')) ?? FIRST_YEAR_MS;
};

const MAX_POSITIONS = 20_000;
const TIMEOUT_MS = 10_000;

/** In the order in which they were stored. Rejects as a search does. */
export const readArrivals = async (pool: Pool, query: EventQuery, page: ArrivalsPage): Promise<Arrivals> => {
  const { feedId, position: head } = await readFeedHead(pool);
  const { after = head, limit, signal } = page;
  const until = Math.min(head, after + MAX_POSITIONS);
  if (until <= after) return { feedId, head, until: after, events: [] };
  try {
    const spelled = await withSpellings(pool, { ...query, untilPosition: until }, TIMEOUT_MS);
    const { sql, values } = conditionsOf(spelled, undefined, { low: undefined, high: undefined });
    const statement = `select ${foundColumns}
      from (select * from audit_events where ${sql} and position > $${values.length + 1}::bigint
        order by position limit $${values.length + 2}) as e
      left join organizations o on o.id = e.organization_id order by e.position`;
    const read = (client: PoolClient) => client.query<FoundRow>(statement, [...values, after, limit]);
    const { rows } = await readOnly(pool, TIMEOUT_MS, read, signal);
    const events = rows.map(toFoundEvent);
    const last = events.at(-1);
    return { feedId, head, until: last !== undefined && events.length >= limit ? last.position : until, events };
  } catch (error) {
    return explained(error);
  }
};

const MAX_CHANGES = 20;
const MAX_COPIES = 20;

const whereOf = (key: EventKey): readonly [where: string, values: unknown[]] =>
  'position' in key
    ? ['e.position = $1', [key.position]]
    : ['e.source_kind = $1 and e.source_id = $2 and e.id = $3', [key.sourceKind, key.sourceId, key.id]];

/** Of its texts, later contents included. */
export const readEventBytes = (pool: Pool, key: EventKey): Promise<number> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const [where, values] = whereOf(key);
    const { rows } = await client.query<{ bytes: number }>(
      `select octet_length(e.raw::text)::float8 + coalesce((select sum(octet_length(c.raw::text)) from (
           select c.raw from audit_event_changes c where c.source_kind = e.source_kind and c.source_id = e.source_id and c.event_id = e.id
           order by c.id limit ${MAX_CHANGES}) c), 0)::float8 as bytes
       from audit_events e where ${where} order by e.position limit 1`,
      values,
    );
    return rows[0]?.bytes ?? 0;
  });

/** Rejects if the database does not answer. */
export const readEvent = (pool: Pool, key: EventKey): Promise<EventDetail | undefined> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const [where, values] = whereOf(key);
    const { rows } = await client.query<FoundRow & Pick<EventDetail, 'rawText' | 'feedId' | 'place'>>(
      `select ${foundColumns}, e.raw::text as "rawText", (select feed_id::text from feed_head) as "feedId",
         (select to_jsonb(p) from address_places p where p.address = e.actor_ip_address) as place
       from audit_events e left join organizations o on o.id = e.organization_id
       where ${where} order by e.position limit 1`,
      values,
    );
    if (rows[0] === undefined) return undefined;
    const { rawText, feedId, place, ...row } = rows[0];
    const event = toFoundEvent(row);
    const neighbours = await readNeighbours(client, event.position);
    return {
      event,
      feedId,
      rawText,
      place,
      ...(await readChanges(client, event)),
      ...(await readCopies(client, event.position)),
      ...neighbours,
    };
  });

/** In the feed; null if none is kept. */
const readNeighbours = async (client: Pool | PoolClient, position: number) => {
  const { rows } = await client.query<{ previous: number | null; next: number | null }>(
    `select (select max(position) from audit_events where position < $1)::float8 as previous,
       (select min(position) from audit_events where position > $1)::float8 as next`,
    [position],
  );
  return { previousPosition: rows[0]?.previous ?? null, nextPosition: rows[0]?.next ?? null };
};

const readChanges = async (client: PoolClient, event: FoundEvent) => {
  const { id, sourceKind, sourceId, eventId, seenAt, raw } = auditEventChanges;
  const changes = await db(client)
    .select({
      seenAt: sql<string>`to_char(${seenAt}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`,
      rawText: sql<string>`${raw}::text`,
      inAll: sql<number>`count(*) over ()::integer`,
    })
    .from(auditEventChanges)
    .where(and(eq(sourceKind, event.sourceKind), eq(sourceId, event.sourceId), eq(eventId, event.id)))
    .orderBy(id)
    .limit(MAX_CHANGES);
  return { changes, changesInAll: changes[0]?.inAll ?? 0 };
};

const readCopies = async (client: PoolClient, position: number) => {
  const { rows } = await client.query<EventCopy & { readonly inAll: number; readonly number: number }>(
    `select f.position::float8 as position, f.account_id as "accountId", f.account_name as "accountName",
       count(*) over ()::integer as "inAll", (count(*) filter (where f.position <= e.position) over ())::integer as number
     from audit_events e join audit_events f on ${copiesOf('e', 'f')}
     where e.position = $1 and ${mayHaveCopies('e')} order by f.position limit ${MAX_COPIES}`,
    [position],
  );
  const [{ inAll, number } = { inAll: 0, number: 0 }] = rows;
  if (inAll < 2) return { copies: [], copiesInAll: 0, copyNumber: 0 };
  const copies = rows.map(({ position: at, accountId, accountName }) => ({ position: at, accountId, accountName }));
  return { copies, copiesInAll: inAll, copyNumber: number };
};

const EXPORT_TIMEOUT_MS = 30_000;

/** By position. The caller limits how many bytes they have together (`rawBytes`). */
export const readRawTexts = async (
  pool: Pool,
  events: readonly FoundEvent[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, string>> => {
  const read = (client: PoolClient) =>
    client.query<{ position: number; raw: string }>(
      // By the times PostgreSQL knows the partitions: a position alone would be looked for in all of them.
      `select position::float8 as position, raw::text as raw from audit_events
       where position = any($1::bigint[]) and action_time = any($2::timestamptz[])`,
      [events.map(({ position }) => position), [...new Set(events.map(({ sortTime }) => sortTime))]],
    );
  const { rows } = await readOnly(pool, EXPORT_TIMEOUT_MS, read, signal);
  return new Map(rows.map(({ position, raw }) => [position, raw]));
};

export type FoundRow = Omit<FoundEvent, 'actionTime' | 'receivedAt'> & { readonly receivedText: string };

const {
  raw: _raw,
  actionTime: _actionTime,
  receivedAt: _receivedAt,
  rawCfRayId: rayId,
  rawMethod: method,
  rawStatusCode: statusCode,
  rawUri: uri,
  rawUserAgent: userAgent,
  ...columns
} = getTableColumns(auditEvents);

/** For a `FoundEvent`, of `audit_events e` and `organizations o`. Times are text in the zone of the transaction: UTC. */
export const foundColumns = `
  ${selectList('e', { ...columns, rayId, method, statusCode, uri, userAgent })}, o.name as "organizationName",
  case when e.account_name is null then (select a.name from accounts a where a.id = e.account_id) end as "listedAccountName",
  e.action_time::text as "sortTime", e.received_at::text as "receivedText", octet_length(e.raw::text) as "rawBytes",
  orgtrail_effects(e.action_type, e.raw_uri, e.raw::json) as effects,
  exists (select from audit_event_changes c where c.source_kind = e.source_kind and c.source_id = e.source_id
    and c.event_id = e.id) as changed`;

export const toFoundEvent = ({ receivedText, ...row }: FoundRow): FoundEvent => ({
  ...row,
  actionTime: rfc3339Of(row.sortTime),
  receivedAt: rfc3339Of(receivedText) ?? receivedText,
});

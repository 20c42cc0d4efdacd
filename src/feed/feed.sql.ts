import { createHash } from 'node:crypto';
import { escapeLiteral, type Pool } from 'pg';
import type { FeedEvent } from '../formats/format.ts';
import { type BinaryRow, copyOut } from '../postgres/copy.ts';
import { leftOut } from '../postgres/pool.ts';
import { type FeedRange, isFiltered, isFirstCopy, type MissedEvents, type RowLimits } from './feed.ts';
import { type FeedContext, positionOf, tooLargeBytes } from './feed-row.ts';

export interface ChunkEnd {
  readonly until: number;
  readonly events: number;
  /** What the next event would have needed; 0 if the chunk did not end for lack of space. */
  readonly lackingBytes: number;
}

export const FILTERED_SCAN_POSITIONS = 50_000;

/** A short hash by which a reader shows that it knows this numbering: a restore changes it. Undefined if no event is kept at the position. */
export const readPositionCheck = async (pool: Pool, position: number): Promise<string | undefined> => {
  const { rows } = await pool.query<{ parts: string }>(
    `select json_build_array(source_kind, source_id, id, extract(epoch from received_at))::text as parts
     from audit_events where position = $1`,
    [position],
  );
  return rows[0] && checkOfParts(rows[0].parts);
};

/** For an event that is not in the database any more; `receivedAt` is RFC 3339 with microseconds. */
export const checkOfEvent = async (
  pool: Pool,
  { sourceKind, sourceId, id, receivedAt }: Pick<FeedEvent, 'sourceKind' | 'sourceId' | 'id' | 'receivedAt'>,
): Promise<string> => {
  const { rows } = await pool.query<{ parts: string }>(
    'select json_build_array($1::text, $2::text, $3::text, extract(epoch from $4::timestamptz))::text as parts',
    [sourceKind, sourceId, id, receivedAt],
  );
  return checkOfParts(rows[0]?.parts ?? '');
};

const checkOfParts = (parts: string): string => createHash('sha256').update(parts).digest('hex').slice(0, 16);

/** What drops and jumps later than that of this number have to do with a position. With an archive, drops that are in it do not count. */
export const readMissedEvents = async (
  pool: Pool,
  after: number,
  knownDrop: number,
  options: { readonly hasArchive: boolean },
): Promise<MissedEvents | undefined> => {
  const { rows } = await pool.query<MissedEvents>(
    `select events::float8 as events, months, greatest(last, (jump ->> 'to')::bigint)::float8 as until, jump,
       (select position::float8 from audit_events where position > $1 order by position limit 1) as "firstPosition"
     from (
       select coalesce(sum(events), 0) as events, coalesce(array_agg(distinct to_char(month, 'YYYY-MM')), '{}') as months,
         max(last_position) as last
       from retention_drops d where last_position > $1 and id > $2 and ${isGone('d', options)}) drops
     left join (
       select json_build_object('from', from_position, 'to', to_position) as jump
       from position_jumps j where from_position < $1 and id > $2
         -- At the end of one that another one follows, the event was lost, too: nothing was given out between them.
         and (to_position > $1 or to_position = $1 and exists (select from position_jumps n where n.from_position = j.to_position))) jumps on true
     where last is not null or jump is not null`,
    [after, knownDrop],
  );
  return rows[0];
};

export const countPositions = async (pool: Pool, from: number, to: number): Promise<number> => {
  if (to < from) return -(await countPositions(pool, to, from));
  const { rows } = await pool.query<{ positions: number }>(
    `select ($2::bigint - $1::bigint - ${leftOut('$1::bigint', '$2::bigint')})::float8 as positions`,
    [from, to],
  );
  return rows[0]?.positions ?? 0;
};

/** SQL: whether the month of a drop came back from the archive, with all that was dropped. */
export const isThawed = (d: string): string =>
  `exists (select from archive_thaws t where t.month = ${d}.month and t.state = 'thawed')`;

/** SQL: whether a drop is neither undone nor in an archive that is read. Its objects have its positions, and all of its events. */
export const isGone = (d: string, { hasArchive }: { readonly hasArchive: boolean }): string =>
  hasArchive
    ? `${d}.events is distinct from (select sum(o.events) from archive_objects o
        where o.kind = 'events' and o.month = ${d}.month and o.superseded_at is null and o.dropped_at is not null
          and o.first_position between ${d}.first_position and ${d}.last_position) and not ${isThawed(d)}`
    : `not ${isThawed(d)}`;

/** By id. To be read after the head that ends a range: then every organization in it is known. */
export const readOrganizationNames = async (pool: Pool): Promise<FeedContext['organizationNames']> => {
  const { rows } = await pool.query<{ id: string; name: string | null }>('select id, name from organizations');
  return new Map(rows.map(({ id, name }) => [id, name]));
};

/**
 * Hands over the next events, each valid only in that moment, by one statement that is open only as long as the chunk takes: a reader that stalls
 * holds nothing in the database. `take` returns 0, or how many bytes it lacks: then this event and later ones are let go, to be read again with
 * the next chunk. On abort the statement is cancelled.
 */
export const eachFeedRow = async (
  pool: Pool,
  range: FeedRange,
  limits: RowLimits,
  take: (row: BinaryRow) => number,
  signal?: AbortSignal,
): Promise<ChunkEnd> => {
  const { maxEvents } = limits;
  const { after, until } = range;
  const scanned = isFiltered(range) ? Math.min(until, after + FILTERED_SCAN_POSITIONS) : until;
  let events = 0;
  let last = after;
  let lackingBytes = 0;
  const read = (row: BinaryRow): void => {
    if (lackingBytes > 0) return;
    lackingBytes = tooLargeBytes(row) || take(row);
    if (lackingBytes > 0) return;
    events += 1;
    last = positionOf(row);
  };
  await copyFeedRows(pool, { ...range, until: scanned }, limits, read, signal);
  if (lackingBytes > 0 || events === maxEvents) return { until: last, events, lackingBytes };
  return { until: events === 0 ? await beforeNext(pool, scanned, until) : scanned, events, lackingBytes };
};

/** Each is valid only in its moment. An entry that is too large is not sent (`tooLargeBytes`): the driver would have it twice in memory. */
export const copyFeedRows = (
  pool: Pool,
  range: FeedRange,
  limits: RowLimits,
  take: (row: BinaryRow) => void,
  signal?: AbortSignal,
): Promise<void> => copyOut(pool, chunkQuery(range, limits), take, signal);

/** Organizations $3 and accounts $4; null: all. */
const meetsIds = (row: string): string =>
  `($3::text[] is null or ${row}.organization_id = any($3)) and ($4::text[] is null or ${row}.account_id = any($4))`;

const wantedOnly = ({ copies }: FeedRange): string =>
  copies === 'first' ? `${meetsIds('e')} and ${isFirstCopy('e', meetsIds)}` : meetsIds('e');

/** The position in front of the next event: a jump may have left out thousands of millions. */
export const beforeNext = async (pool: Pool, position: number, until: number): Promise<number> => {
  if (position >= until) return until;
  const { rows } = await pool.query<{ next: number }>(
    'select position::float8 as next from audit_events where position > $1 order by position limit 1',
    [position],
  );
  return Math.min(until, (rows[0]?.next ?? Number.POSITIVE_INFINITY) - 1);
};

/** No method of PostgreSQL makes a text smaller: LZ4 does the most, with one byte for a match of 255. */
const MAX_COMPRESSION = 256;

/** COPY takes no parameters: the numbers are checked, the ids quoted. */
const chunkQuery = (
  { after, until, organizationIds, accountIds, copies }: FeedRange,
  { maxEvents, maxBytes }: RowLimits,
): string => {
  if (![after, until, maxEvents, maxBytes].every(Number.isSafeInteger)) throw new Error('position must be an integer');
  const oneOf = (column: string, ids: readonly string[] | undefined): string =>
    ids === undefined ? 'true' : `${column} in (${ids.map((id) => escapeLiteral(id)).join(', ')})`;
  const meetsIds = (row: string): string =>
    `${oneOf(`${row}.organization_id`, organizationIds)} and ${oneOf(`${row}.account_id`, accountIds)}`;
  const first = copies === 'first' ? ` and ${isFirstCopy('e', meetsIds)}` : '';
  // PostgreSQL knows the size of a text that it has compressed when it has unpacked it: once, and only where it may be too large.
  const sized = `select case when pg_column_size(raw) <= ${Math.floor(maxBytes / MAX_COMPRESSION)} then 0
    else octet_length(raw::text) end as bytes offset 0`;
  return (
    'select position, source_kind, source_id, organization_id, id, action_time, received_at, to_json(defects),' +
    ` account_id, account_name, zone_id, zone_name, case when bytes <= ${maxBytes} then raw end,` +
    ` case when bytes > ${maxBytes} then bytes end` +
    ` from audit_events e, lateral (${sized}) as sized where position > ${after} and position <= ${until}` +
    ` and ${meetsIds('e')}${first} order by position limit ${maxEvents}`
  );
};

export const readTimeLimit = async (pool: Pool, agoMs: number): Promise<bigint> => {
  const { rows } = await pool.query<{ at: string }>(
    'select floor(extract(epoch from now() - make_interval(secs => $1)) * 1000000)::bigint::text as at',
    [agoMs / 1_000],
  );
  return BigInt(rows[0]?.at ?? 0);
};

/** Whether each position has an event that is wanted: only retention and jumps make holes. With an archive, events in it count. */
export const isDense = async (
  pool: Pool,
  range: FeedRange,
  options: { readonly hasArchive: boolean },
): Promise<boolean> => {
  if (isFiltered(range)) return false;
  const { rowCount } = await pool.query(
    `select from retention_drops d where last_position > $1 and first_position <= $2 and ${isGone('d', options)}
     union all select from position_jumps where to_position > $1 and from_position < $2 limit 1`,
    [range.after, range.until],
  );
  return rowCount === 0;
};

export const readPositions = async (pool: Pool, range: FeedRange, maxEvents: number): Promise<readonly number[]> => {
  const { after, until, organizationIds, accountIds } = range;
  const { rows } = await pool.query<{ positions: number[] }>(
    `select coalesce(array_agg(position::float8 order by position), '{}') as positions from (
       select position from audit_events e
       where position > $1 and position <= $2 and ${wantedOnly(range)} order by position limit $5) as matching`,
    [after, until, organizationIds ?? null, accountIds ?? null, maxEvents],
  );
  return rows[0]?.positions ?? [];
};

/** The end of the range if it has fewer events: what a request for `nth` events covers. Without a filter and holes it is arithmetic. */
export const positionOfNth = async (pool: Pool, range: FeedRange, nth: number): Promise<number> => {
  const { after, until, organizationIds, accountIds } = range;
  if (await isDense(pool, range, { hasArchive: false })) return Math.min(until, after + nth);
  let wanted = nth;
  let from = after;
  while (from < until) {
    const to = Math.min(until, from + FILTERED_SCAN_POSITIONS);
    const { rows } = await pool.query<{ last: number | null; events: number }>(
      `select max(position)::float8 as last, count(*)::integer as events from (
         select position from audit_events e
         where position > $1 and position <= $2 and ${wantedOnly(range)}
         order by position limit $5) as matching`,
      [from, to, organizationIds ?? null, accountIds ?? null, Math.min(wanted, FILTERED_SCAN_POSITIONS)],
    );
    const { last = null, events = 0 } = rows[0] ?? {};
    wanted -= events;
    if (wanted <= 0 && last !== null) return last;
    from = events === 0 ? await beforeNext(pool, to, until) : to;
  }
  return until;
};

export const hasFeedEvents = async (pool: Pool, range: FeedRange): Promise<boolean> => {
  const { after, until, organizationIds, accountIds } = range;
  const { rowCount } = await pool.query(
    `select from audit_events e where position > $1 and position <= $2 and ${wantedOnly(range)} limit 1`,
    [after, until, organizationIds ?? null, accountIds ?? null],
  );
  return rowCount === 1;
};

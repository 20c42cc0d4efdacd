import type { Pool, PoolClient } from 'pg';
import { SearchError } from '../../base/errors.ts';
import type { FeedEvents, FeedEventsRange } from '../../feed/feed-events.sql.ts';
import { isTimeout, readOnly, selectList } from '../../postgres/queries.ts';
import { findings } from '../../postgres/tables/events.ts';
import { type Finding, type FoundEvent, type Severity, severities } from './finding.ts';

export interface FindingsRange extends Omit<FeedEventsRange, 'copies' | 'maxBytes'> {
  /** For `startsNow`. */
  readonly sink: string;
  /** Only actions since the sink was first known, not what history brings later. */
  readonly startsNow: boolean;
  readonly minSeverity?: Severity | undefined;
}

/** More events than asked for if one position has them. */
interface Findings extends FeedEvents {
  readonly events: readonly FoundEvent[];
}

const { position, sourceKind, sourceId, id, organizationId, organizationName } = findings;
const { accountId, accountName, zoneId, zoneName } = findings;
const key = { position, sourceKind, sourceId, id };
const place = { ...key, organizationId, organizationName, accountId, accountName, zoneId, zoneName };
const { detection, severity, eventPosition, events, actor, actorIpAddress } = findings;
const { actionType, actionResult, resourceType, resourceId, summary } = findings;
const found = { detection, severity, eventPosition, events, actor, actorIpAddress };
const said = { ...found, actionType, actionResult, resourceType, resourceId, summary };

const utc = (column: string): string =>
  `case when isfinite(${column}) then to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end`;

const meetsIds = (row: string): string =>
  `($4::text[] is null or ${row}.organization_id = any($4)) and ($5::text[] is null or ${row}.account_id = any($5))`;

/** Where it was found; if that copy is not wanted, the first wanted one. */
const isFirst = `(f.copies_of_position is null or not exists (select from findings g
  where g.detection = f.detection and g.source_kind = f.source_kind and g.id = f.id and g.action_time = f.action_time and ${meetsIds('g')}
    and (g.copies_of_position is null or (g.position, g.event_position) < (f.position, f.event_position))))`;

const wanted = `f.position > $1 and f.position <= least(h.position, coalesce($2, h.position))
  and ${meetsIds('f')} and ${isFirst}
  and coalesce(array_position('{${severities.join(',')}}'::text[], f.severity), 99) >= $9
  and (not $7 or f.action_time = '-infinity' or f.action_time >= coalesce((select created_at from sinks where name = $8), '-infinity'))`;
/** $6 in seconds; null: none is too old. */
const isOld = `($6::float8 is not null and f.action_time < now() - make_interval(secs => $6) and f.action_time > '-infinity')`;

const statement = `
with part as (
  select f.* from findings f, finding_head h where ${wanted} and not ${isOld}
  -- A position is dealt with as a whole.
  order by f.position fetch first $3 rows with ties),
reached as (
  select greatest($1::bigint, case when (select count(*) from part) >= $3 then (select max(position) from part)
    else least(h.position, coalesce($2, h.position)) end) as scanned_to,
    (select count(*) from part) >= $3 as is_full, (select min(noted_at) from part) as first_at
  from (select coalesce((select position from finding_head), $1) as position) h)
select r.scanned_to::float8 as "scannedTo", r.is_full as "isFull",
  coalesce(extract(epoch from clock_timestamp() - r.first_at) * 1000, 0)::float8 as "waitedMs",
  (select count(distinct f.position) from findings f, finding_head h
   where ${wanted} and f.position <= r.scanned_to and ${isOld})::float8 as "tooOld",
  (select feed_id from feed_head) as "feedId",
  ${selectList('s', place)}, ${selectList('s', said)},
  ${utc('s.action_time')} as "actionTime", ${utc('s.received_at')} as "receivedAt", ${utc('s.first_time')} as "firstTime"
from reached r left join part s on true
order by s.position, s.detection, s.source_kind, s.source_id, s.id`;

type Row = Omit<FeedEvents, 'events'> &
  Omit<FoundEvent, 'finding' | 'position' | 'rawText' | 'defects'> &
  Finding & { readonly position: number | null };

/** Like `readFeedEvents`, for findings. */
export const readFindings = async (pool: Pool, range: FindingsRange): Promise<Findings> => {
  const { rows } = await pool.query<Row>(statement, [
    range.after,
    range.until ?? null,
    range.maxEvents,
    range.organizationIds ?? null,
    range.accountIds ?? null,
    range.maxAgeMs === undefined ? null : range.maxAgeMs / 1_000,
    range.startsNow,
    range.sink,
    range.minSeverity === undefined ? 0 : severities.indexOf(range.minSeverity) + 1,
  ]);
  const [first] = rows;
  return {
    events: rows.flatMap((row) => (row.position === null ? [] : [foundEvent({ ...row, position: row.position })])),
    scannedTo: first?.scannedTo ?? range.after,
    isFull: first?.isFull ?? false,
    waitedMs: first?.waitedMs ?? 0,
    tooOld: first?.tooOld ?? 0,
  };
};

const foundEvent = (row: Row & { readonly position: number }): FoundEvent => ({
  ...membersOf(row, place),
  feedId: row.feedId,
  actionTime: row.actionTime,
  receivedAt: row.receivedAt,
  rawText: '{}',
  defects: null,
  finding: { ...membersOf(row, said), firstTime: row.firstTime },
});

const membersOf = <R, C extends { readonly [name in keyof R]?: unknown }>(row: R, columns: C) =>
  Object.fromEntries(Object.keys(columns).map((name) => [name, row[name as keyof R]])) as Pick<R, keyof C & keyof R>;

/** How far the detections have been asked; undefined before a sink asks for them. */
export const readFindingHead = async (pool: Pool): Promise<number | undefined> => {
  const { rows } = await pool.query<{ position: number }>('select position::float8 from finding_head');
  return rows[0]?.position;
};

/** The views look through all of their time. */
const TIMEOUT_MS = 20_000;

/** As in the view `detections`. Its texts come from the entry, and so from the actor. */
type DetectionRow = Omit<Finding, 'alarm' | 'eventPosition' | 'firstTime' | 'actor'> &
  Readonly<Record<'actionTime' | 'organizationId' | 'organizationName' | 'actor', string | null>> & {
    readonly position: number;
  };

interface AskedDetections {
  /** RFC 3339, inclusive. */
  readonly since: string;
  /** RFC 3339, exclusive; undefined: now. */
  readonly before?: string | undefined;
  readonly minSeverity: Severity;
  readonly detection?: string | undefined;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

/** Newest first. Rejects with SearchError `timeout` if it takes too long. */
export const readDetections = async (pool: Pool, asked: AskedDetections): Promise<readonly DetectionRow[]> => {
  const read = async (client: PoolClient) => {
    const { rows } = await client.query<DetectionRow>(listedStatement, [
      asked.since,
      asked.before ?? null,
      severities.slice(severities.indexOf(asked.minSeverity)),
      asked.detection ?? null,
      asked.limit,
    ]);
    return rows;
  };
  try {
    return await readOnly(pool, TIMEOUT_MS, read, asked.signal);
  } catch (error) {
    if (isTimeout(error))
      throw new SearchError('timeout', 'the detections take too long: ask about less time', { cause: error });
    throw error;
  }
};

const listedColumns = `detection, severity, position, action_time, organization_id, organization_name, actor, actor_ip_address, action_type, action_result,
  resource_type, resource_id, events, summary`;

const listedStatement = `
  select detection, severity, position::float8 as position,
    to_char(action_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "actionTime",
    organization_id as "organizationId", organization_name as "organizationName", actor,
    actor_ip_address as "actorIpAddress", action_type as "actionType", action_result as "actionResult",
    resource_type as "resourceType", resource_id as "resourceId", events::float8 as events, summary
  from (select ${listedColumns} from detections
    union all select ${listedColumns} from findings
    where detection in (select name from own_detections) and copies_of_position is null) found
  where action_time >= $1 and action_time < coalesce($2::timestamptz, 'infinity') and severity = any($3::text[])
    and ($4::text is null or detection = $4)
  order by action_time desc, position desc, detection limit $5`;

import type { Pool } from 'pg';
import { longStatement } from '../../../postgres/pool.ts';
import { sqlState } from '../../../postgres/sql-state.ts';
import type { Range } from '../../planning/coverage.ts';
import type { KindPolicy, SourceKey } from '../../planning/source.ts';
import type { Direction, Sentinel } from '../../planning/walk.ts';
import { kindOf } from '../../sources/registry.ts';
import { ms, REFUSED, type SourceScope, scopeParameters, wantedSources } from './sources.sql.ts';

/** For telling the entries of one second apart. */
export const readResourceTypes = async (pool: Pool, source: SourceKey, range: Range): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ resource_type: string }>(
    `select resource_type from (
       select resource_type from audit_events where source_kind = $1 and source_id = $2
         and action_time between to_timestamp($3::float8 / 1000) - interval '7 days'
           and to_timestamp($4::float8 / 1000) + interval '7 days' limit 20000) near
     where resource_type <> '' group by 1 order by count(*) desc, 1 limit 20`,
    [source.kind, source.id, range.fromMs, range.toMs],
  );
  return rows.map((row) => row.resource_type);
};

/** An index finds events by it. An entry that names another account is passed over. */
const ownerColumn = (kind: string): string => `${kindOf({ kind }).owner}_id`;

/** Where the newest part begins that holds so many stored events; all of it if it holds fewer. Whole seconds, one at
 * least. */
export const newestPart = async (pool: Pool, { kind, id }: SourceKey, { fromMs, toMs }: Range, entries: number) => {
  const { rows } = await pool.query<{ time_ms: number }>(
    `select ${ms('action_time')}::float8 as time_ms from audit_events
     where source_kind = $1 and source_id = $2 and ${ownerColumn(kind)} = $2
       and action_time >= to_timestamp($3::float8 / 1000) and action_time < to_timestamp($4::float8 / 1000)
     order by action_time desc offset $5 limit 1`,
    [kind, id, fromMs, toMs, entries],
  );
  const beforeMs = rows[0]?.time_ms;
  if (beforeMs === undefined) return fromMs;
  const wholeMs = Math.ceil((beforeMs + 1) / 1_000) * 1_000;
  return Math.max(fromMs, Math.min(wholeMs, Math.floor((toMs - 1_000) / 1_000) * 1_000));
};

/**
 * The first stored event in a range, or the last (`desc`). Undefined if there is none, and if another filter set has
 * read some of the source. Not one without an id of its own, which is told by its text alone; never beyond a month that
 * retention has dropped: what is read on the way to it would be stored again.
 */
export const nearestStored = async (
  pool: Pool,
  { kind, id }: SourceKey,
  { fromMs, toMs }: Range,
  { direction, filterHash }: { readonly direction: Direction; readonly filterHash: string },
): Promise<Sentinel | undefined> => {
  const { rows } = await pool.query<{ id: string; time_ms: number }>(
    `select id, floor(${ms('action_time')})::float8 as time_ms from audit_events
     where source_kind = $1 and source_id = $2 and ${ownerColumn(kind)} = $2
       and action_time >= to_timestamp($3::float8 / 1000) and action_time < to_timestamp($4::float8 / 1000)
       and id not like 'sha256:%'
       and not exists (select from retention_drops d where tstzrange(d.month::timestamp at time zone 'UTC',
           (d.month + interval '1 month') at time zone 'UTC') && ${
             direction === 'asc'
               ? `tstzrange(to_timestamp($3::float8 / 1000), action_time, '[]')`
               : `tstzrange(action_time, to_timestamp($4::float8 / 1000))`
           })
       and not exists (select from coverage c where c.source_kind = $1 and c.source_id = $2 and c.filter_hash <> $5)
     order by action_time ${direction === 'asc' ? 'asc' : 'desc'} limit 1`,
    [kind, id, fromMs, toMs, filterHash],
  );
  const [found] = rows;
  return found && { id: found.id, timeMs: found.time_ms };
};

const LOCK_NOT_AVAILABLE = '55P03';
/** The database makes no month before Cloudflare existed. */
const FIRST_MONTH_MS = Date.UTC(2009, 0, 1);

/** From `sinceMs` to two months from now, or to `untilMs`. Called hourly. Makes none while a long transaction reads the
 * table, or another replica makes them, too: the default partition takes the rows, and the next call moves them. */
export const createPartitions = async (pool: Pool, sinceMs: number, untilMs?: number): Promise<number> => {
  // It may have to move rows.
  const statement = longStatement(
    `select orgtrail_create_partitions(to_timestamp($1::float8 / 1000),
       coalesce(to_timestamp($2::float8 / 1000), clock_timestamp() + interval '2 months')) as created`,
    [Math.max(sinceMs, FIRST_MONTH_MS), untilMs ?? null],
  );
  try {
    const { rows } = await pool.query<{ created: number }>(statement);
    return rows[0]?.created ?? 0;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return 0;
    throw error;
  }
};

/** More than walks ask for beyond their claim: a month is read when this much beside it is, too. */
const BESIDE_MONTH_MS = 86_400_000;

interface UnreadOptions {
  readonly nowMs: number;
  readonly untilMs: number;
  /** Beside a month, unread time counts as well. */
  readonly besideMs?: number;
}

/** The months (`2024-01`) not read in full, oldest first, each with one of its sources. A source that Cloudflare
 * refuses counts only where a part of the month has been read. */
export const readUnreadMonths = async (
  pool: Pool,
  kinds: readonly KindPolicy[],
  scope: SourceScope,
  { nowMs, untilMs, besideMs = BESIDE_MONTH_MS }: UnreadOptions,
): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await pool.query<{ month: string; source: string }>(
    `select to_char(month, 'YYYY-MM') as month, min(concat_ws(' ', s.kind, s.id)) as source
     from ${wantedSources(`join unnest($2::text[], $7::float8[]) as h (kind, horizon_ms) on h.kind = s.kind
       left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = k.filter_hash and c.pass = 0
       cross join lateral unnest(tstzmultirange(tstzrange(to_timestamp(least(h.horizon_ms, $8) / 1000), to_timestamp($8::float8 / 1000)))
         - coalesce(c.ranges, '{}')) as gap
       cross join lateral generate_series(date_trunc('month', (lower(gap) - $9::interval) at time zone 'UTC'),
         (upper(gap) + $9::interval - interval '1 microsecond') at time zone 'UTC', interval '1 month') as month`)}
       and $1::text is not null and (not ${REFUSED} or c.ranges && tstzrange((month - $9::interval) at time zone 'UTC',
         (month + interval '1 month' + $9::interval) at time zone 'UTC'))
     group by month order by month`,
    [
      ...scopeParameters('', kinds, scope),
      kinds.map(({ horizonMs }) => horizonMs(nowMs)),
      untilMs,
      `${besideMs} milliseconds`,
    ],
  );
  return new Map(rows.map(({ month, source }) => [month, source]));
};

import type { Pool } from 'pg';
import type { Range } from '../../planning/coverage.ts';
import type { SourceKey } from '../../planning/source.ts';
import type { Direction, Sentinel } from '../../planning/walk.ts';
import { kindOf } from '../../sources/registry.ts';
import { ms } from './source-row.sql.ts';

/** What kinds of resources a source has had events of around a time: for telling the entries of one second apart. */
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

/** The column that an index finds events of a source by. An entry that names another account is passed over: it is looked for, not relied on. */
const ownerColumn = (kind: string): string => `${kindOf({ kind }).owner}_id`;

/**
 * Where the newest part of a range begins that holds so many stored events of the source; all of it if it holds fewer. Whole seconds, and a
 * second at least.
 */
export const newestPart = async (
  pool: Pool,
  { kind, id }: SourceKey,
  { fromMs, toMs }: Range,
  entries: number,
): Promise<number> => {
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
 * The first stored event of the source in a range, or the last one (`desc`), with its time in milliseconds, rounded down. Undefined if there is none, and
 * if another filter set has read some of the source. Not one that has no id of its own: it is told by its text alone. Never beyond a month that
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

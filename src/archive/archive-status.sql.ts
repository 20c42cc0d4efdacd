import type { Pool } from 'pg';
import { readOnly } from '../postgres/queries.ts';

const TIMEOUT_MS = 5_000;
/** Fifty years. */
const MOST_MONTHS = 600;
const MOST_FAULTS = 100;

/** It has objects, was dropped, or is old enough to be. */
export interface ArchivedMonth {
  /** Such as `2024-01`. */
  readonly month: string;
  readonly isStored: boolean;
  /** It ended longer ago than the retention. */
  readonly isOld: boolean;
  readonly objects: number;
  readonly faulty: number;
  readonly events: number;
  readonly changes: number;
  readonly bytes: number;
  /** Of the object that was read back longest ago; null: there is none, or a round has begun that is to read it again. */
  readonly provenAt: Date | null;
  readonly droppedAt: Date | null;
  readonly droppedEvents: number | null;
  readonly holds: readonly { readonly id: number; readonly reason: string }[];
}

/** As of when the object was last read. */
export interface ArchiveFault {
  readonly month: string;
  readonly archive: string;
  readonly key: string;
  readonly fault: string;
  /** The month is in the archive alone. */
  readonly isDropped: boolean;
}

export interface ArchiveOverview {
  /** By the database; undefined: none. */
  readonly inUse: string | undefined;
  readonly months: readonly ArchivedMonth[];
  /** There are earlier months. */
  readonly isCut: boolean;
  readonly faults: readonly ArchiveFault[];
  /** Of the oldest month that is not old enough yet; null: everything is kept, or no such month is stored. */
  readonly nextDueAt: Date | null;
  readonly nextDueMonth: string | null;
}

/** No month is old enough for an infinite retention. Rejects if the database does not answer within some seconds. */
export const readArchiveOverview = async (pool: Pool, retentionMs: number): Promise<ArchiveOverview> =>
  await readOnly(pool, TIMEOUT_MS, async (client) => {
    // More than the calendar of PostgreSQL has.
    const seconds = Math.min(retentionMs / 1_000, 1e10);
    const policy = await client.query<{ archive: string }>('select archive from archive_policy');
    const months = await client.query<ArchivedMonth>(monthsStatement, [seconds, MOST_MONTHS + 1]);
    const faults = await client.query<ArchiveFault>(faultsStatement, [MOST_FAULTS]);
    const isKept = retentionMs === Number.POSITIVE_INFINITY;
    const due = isKept ? undefined : await client.query<{ month: string; at: Date }>(dueStatement, [seconds]);
    return {
      inUse: policy.rows[0]?.archive,
      months: months.rows.slice(0, MOST_MONTHS),
      isCut: months.rows.length > MOST_MONTHS,
      faults: faults.rows,
      nextDueAt: due?.rows[0]?.at ?? null,
      nextDueMonth: due?.rows[0]?.month ?? null,
    };
  });

/** A month is left another day for late entries, as in `orgtrail_drop_month`. */
const partitions = `partitions as (
  select month, (month + interval '1 month 1 day') at time zone 'UTC' + make_interval(secs => $1::float8) as due from (
    select to_date(substring(c.relname from '^audit_events_(\\d{4}_\\d{2})$'), 'YYYY_MM') as month
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events'::regclass) as named
  where month is not null)`;

const isNotThawed = (month: string): string =>
  `not exists (select from archive_thaws t where t.month = ${month} and t.state = 'thawed' and t.ends_at > clock_timestamp())`;

const dueStatement = `with ${partitions}
  select to_char(month, 'YYYY-MM') as month, due as at from partitions where due > clock_timestamp() order by month limit 1`;

const monthsStatement = `with ${partitions}, objects as (
    select month, count(*) as objects, count(*) filter (where fault is not null) as faulty,
      coalesce(sum(events) filter (where kind = 'events'), 0) as events, coalesce(sum(events) filter (where kind = 'changes'), 0) as changes,
      sum(bytes) as bytes, min(verified_at) as proven, max(dropped_at) as dropped
    from archive_objects where superseded_at is null group by month),
  drops as (select month, max(dropped_at) as dropped, sum(events) as events from retention_drops group by month),
  old as (select month from partitions where due <= clock_timestamp() and ${isNotThawed('month')})
  select to_char(m.month, 'YYYY-MM') as month, p.month is not null as "isStored", old.month is not null as "isOld",
    coalesce(o.objects, 0)::float8 as objects, coalesce(o.faulty, 0)::float8 as faulty, coalesce(o.events, 0)::float8 as events,
    coalesce(o.changes, 0)::float8 as changes, coalesce(o.bytes, 0)::float8 as bytes,
    case when isfinite(o.proven) then o.proven end as "provenAt", coalesce(d.dropped, o.dropped) as "droppedAt",
    d.events::float8 as "droppedEvents",
    coalesce((select json_agg(json_build_object('id', h.id, 'reason', h.reason) order by h.id) from (
      select id, reason from holds where released_at is null and since < (m.month + interval '1 month') at time zone 'UTC'
        and before > m.month::timestamp at time zone 'UTC' order by id limit 20) as h), '[]') as holds
  from (select month from objects union select month from drops union select month from old) as m
  left join objects o using (month) left join drops d using (month) left join old using (month)
  left join partitions p using (month)
  order by m.month desc limit $2`;

const faultsStatement = `select to_char(month, 'YYYY-MM') as month, archive, key, fault, dropped_at is not null as "isDropped"
  from archive_objects where fault is not null and superseded_at is null
  order by dropped_at is null, month desc, first_position limit $1`;

export interface ArchiveStatus {
  readonly waitingMonths: number;
  readonly faultyObjects: number;
  /** Null: none was written yet. */
  readonly writtenSecondsAgo: number | null;
}

/** No month is old enough for an infinite retention. */
export const readArchiveStatus = async (pool: Pool, retentionMs: number): Promise<ArchiveStatus> => {
  const { rows } = await pool.query<ArchiveStatus>(
    `select (select count(*)::integer from (
         select to_date(substring(c.relname from '^audit_events_(\\d{4}_\\d{2})$'), 'YYYY_MM') as month
         from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events'::regclass) as months
       where month + interval '1 month 1 day'
         <= (clock_timestamp() - make_interval(secs => $1::float8)) at time zone 'UTC' and ${isNotThawed('months.month')}) as "waitingMonths",
       count(*) filter (where fault is not null and superseded_at is null)::integer as "faultyObjects",
       extract(epoch from clock_timestamp() - max(written_at))::float8 as "writtenSecondsAgo" from archive_objects`,
    // More than the calendar of PostgreSQL has.
    [Math.min(retentionMs / 1_000, 1e10)],
  );
  return rows[0] ?? { waitingMonths: 0, faultyObjects: 0, writtenSecondsAgo: null };
};

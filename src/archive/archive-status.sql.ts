import type { Pool } from 'pg';

/** How the archive stands, by the tables. */
export interface ArchiveStatus {
  /** Months that are old enough, and still in the database. */
  readonly waitingMonths: number;
  readonly faultyObjects: number;
  /** Null: none was written yet. */
  readonly writtenSecondsAgo: number | null;
}

/** With a retention that is infinite no month is old enough. */
export const readArchiveStatus = async (pool: Pool, retentionMs: number): Promise<ArchiveStatus> => {
  const { rows } = await pool.query<ArchiveStatus>(
    `select (select count(*)::integer from (
         select to_date(substring(c.relname from '^audit_events_(\\d{4}_\\d{2})$'), 'YYYY_MM') as month
         from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events'::regclass) as months
       where month + interval '1 month 1 day'
         <= (clock_timestamp() - make_interval(secs => $1::float8)) at time zone 'UTC') as "waitingMonths",
       count(*) filter (where fault is not null and superseded_at is null)::integer as "faultyObjects",
       extract(epoch from clock_timestamp() - max(written_at))::float8 as "writtenSecondsAgo" from archive_objects`,
    // Longer than the calendar has time.
    [Math.min(retentionMs / 1_000, 1e10)],
  );
  return rows[0] ?? { waitingMonths: 0, faultyObjects: 0, writtenSecondsAgo: null };
};

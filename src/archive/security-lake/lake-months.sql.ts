import type { Pool } from 'pg';
import type { Month } from '../month-rows.sql.ts';

/** What the database has events of. */
interface StoredMonths {
  /** In order. */
  readonly months: readonly Month[];
  /** There are events whose time cannot be read. */
  readonly hasUndated: boolean;
}

/** Asks an index for the first event, and for the first one after each month. */
const statement = `with recursive months as (
    select min(action_time) as first from audit_events where action_time > '-infinity'
    union all
    select (select min(action_time) from audit_events
      where action_time >= (date_trunc('month', first at time zone 'UTC') + interval '1 month') at time zone 'UTC')
    from months where first is not null)
  select (select array_agg(to_char(first at time zone 'UTC', 'YYYY-MM') order by first) from months where first is not null) as months,
    exists (select from audit_events where action_time = '-infinity') as "hasUndated"`;

export const readStoredMonths = async (pool: Pool): Promise<StoredMonths> => {
  const { rows } = await pool.query<{ months: Month[] | null; hasUndated: boolean }>(statement);
  return { months: rows[0]?.months ?? [], hasUndated: rows[0]?.hasUndated ?? false };
};

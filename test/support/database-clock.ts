import type { Pool } from 'pg';

/**
 * Gives connections that are made from now on a clock of their own in place of the database's, for all statements of the store; views go
 * on by the real one. `stillMs`: it stands still there; undefined: it goes as the real one does.
 */
export const openDatabaseClock = async (
  pool: Pool,
  stillMs: number | undefined,
): Promise<(offsetMs: number) => Promise<void>> => {
  const still = stillMs === undefined ? 'null' : `to_timestamp(${stillMs / 1_000})`;
  // Before pg_catalog, which has the clock itself.
  await pool.query(`create schema own;
    create table own.clock as select ${still}::timestamptz as still, interval '0' as moved;
    create function own.clock_timestamp() returns timestamptz language sql
      as 'select coalesce(still, pg_catalog.clock_timestamp()) + moved from own.clock';
    do $do$ begin
      execute format('alter database %I set search_path = own, public, pg_catalog', current_database());
    end $do$`);
  return async (offsetMs) => {
    await pool.query('update own.clock set moved = make_interval(secs => $1::float8 / 1000)', [offsetMs]);
  };
};

import type { Pool } from 'pg';
import { createPool } from '../../../src/postgres/pool.ts';
import type { TestDatabase } from './database.ts';

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
    -- A budget is taken by one of the two and waited for by the other.
    create function own.now() returns timestamptz language sql
      as 'select coalesce(still, pg_catalog.now()) + moved from own.clock';
    grant usage on schema own to public;
    grant select on own.clock to public;
    do $do$
    declare
      own_function regprocedure;
    begin
      execute format('alter database %I set search_path = own, public, pg_catalog', current_database());
      -- Those that run with the rights of their owner have a path of their own.
      for own_function in select oid from pg_proc where pronamespace = 'public'::regnamespace and prosecdef loop
        execute format('alter function %s set search_path = public, own, pg_catalog, pg_temp', own_function);
      end loop;
    end $do$;
    -- An entry that is newer than the last listing of accounts makes that due at once, again and again.
    alter table audit_events alter column received_at set default own.clock_timestamp();
    -- By the real clock.
    drop trigger nothing_of_the_future on sources;
    drop trigger leases_end on sources;
    drop trigger nothing_of_the_future on discovery;
    drop trigger nothing_of_the_future on account_listings`);
  return async (offsetMs) => {
    await pool.query('update own.clock set moved = make_interval(secs => $1::float8 / 1000)', [offsetMs]);
  };
};

/** Connections whose clock stands still, until `pass` lets time pass for all of them. */
export interface StillClock extends AsyncDisposable {
  readonly pools: readonly [Pool, Pool];
  pass(ms: number): Promise<unknown>;
  /** What is taken in five minutes, by a look each five seconds. */
  inAWindow(take: () => Promise<number>): Promise<number>;
}

/** Two pools of the database, as two replicas have them, whose `now` and `clock_timestamp` stand still together. */
export const openStillClock = async ({ url, pool }: Pick<TestDatabase, 'url' | 'pool'>): Promise<StillClock> => {
  // Before pg_catalog, which has the clock itself.
  await pool.query(`create schema still;
    create table still.clock as select clock_timestamp() as at;
    create function still.clock_timestamp() returns timestamptz language sql as 'select at from still.clock';
    create function still.now() returns timestamptz language sql as 'select at from still.clock'`);
  const stillUrl = `${url}&options=${encodeURIComponent('-c search_path=still,public,pg_catalog')}`;
  const pools = [createPool(stillUrl, 4, () => {}), createPool(stillUrl, 4, () => {})] as const;
  const pass = (ms: number) =>
    pool.query('update still.clock set at = at + make_interval(secs => $1::float8 / 1000)', [ms]);
  return {
    pools,
    pass,
    inAWindow: async (take) => {
      let admitted = 0;
      for (let step = 0; step < 60; step += 1) {
        await pass(5_000);
        admitted += await take();
      }
      return admitted;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(pools.map((each) => each.end()));
    },
  };
};

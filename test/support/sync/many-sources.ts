import type { Pool } from 'pg';
import { kindOf } from '../../../src/ingest/sources/registry.ts';

/** A day on which every source has been read, and some are due. */
export interface ManySources {
  readonly accounts: number;
  /** So many with a log of their own. Default: one for each 5,000 accounts, without one. */
  readonly organizations?: number;
  /** The delays of passes 1, 2, … */
  readonly settleDelaysMs: readonly number[];
  /** How old what the live lane has read is at most, and how much is not settled at most. */
  readonly liveMs: number;
  readonly settleMs: number;
  /** Of each thousand, so many have a settle pass that is due. */
  readonly settleDue: number;
}

/**
 * Makes accounts, and organizations if asked, with a log each, as after a first reading that has ended: all history is covered, in every pass as far as its delay allows, four lanes have
 * worked, and a round of the scrub lane has been read. By SQL alone, in the same way each time. Called by the study of many sources and by its test.
 */
export const fillManySources = async (pool: Pool, options: ManySources): Promise<void> => {
  const { accounts, settleDelaysMs, liveMs, settleMs, settleDue } = options;
  const { organizations = Math.floor(accounts / 5_000) + 1 } = options;
  const sinceMs = kindOf({ kind: 'account' }).firstEntryMs ?? 0;
  await pool.query(
    `insert into organizations (id, name) select md5('o' || n), 'Organization ' || n from generate_series(0, $1::integer - 1) n`,
    [organizations],
  );
  await pool.query(
    `insert into accounts (id, name, organization_id)
     select md5('a' || n), 'Account ' || n, md5('o' || n::bigint * $2 / ($1 + 1)) from generate_series(1, $1::integer) n`,
    [accounts, organizations],
  );
  await pool.query(
    `insert into account_listings (scope, next_at, last_attempt_at, last_success_at, accounts)
     select 'organization:' || id, clock_timestamp() + interval '1 hour', clock_timestamp(), clock_timestamp(), 5000 from organizations`,
  );
  await pool.query(
    `insert into account_organizations (account_id, scope, organization_id) select id, 'organization:' || organization_id, organization_id from accounts`,
  );
  // How far each has been read is a fraction by its id, so that it does not go with any order.
  await pool.query(
    `create temporary table read_state as
     select kind, id, n, ('x' || substr(md5(id), 1, 6))::bit(24)::integer / 16777216.0 as part,
       date_trunc('milliseconds', clock_timestamp()) as now
     from (select 'account' as kind, md5('a' || n) as id, n from generate_series(1, $1::integer) n
       union all select 'organization', md5('o' || n), n from generate_series(0, $2::integer - 1) n) logs`,
    [accounts, options.organizations ?? 0],
  );
  await pool.query(
    `insert into sources (kind, id, organization_id, account_id, filter_hash, wanted_since, wanted_history, lease_epoch, commit_seq,
       last_attempt_at, last_event_at, event_rate, recent_event_rate, largest_page)
     select kind, id, case kind when 'organization' then id end, case kind when 'account' then id end, 'none', to_timestamp($1::float8 / 1000), interval '548 days', 40 + n % 7, 90 + n % 11,
       now - part * $2::float8 * interval '1 millisecond', now - (1 + n % 90) * interval '1 hour',
       2.0 / (1 + n % 1000), 0.1 / (1 + n % 1000), n % 300
     from read_state`,
    [sinceMs, liveMs],
  );
  await pool.query(
    `insert into coverage (source_kind, source_id, filter_hash, pass, ranges, proven)
     select kind, id, 'none', pass, ranges, case pass when 0 then ranges else '{}' end
     from read_state cross join unnest($2::float8[]) with ordinality as passes (delay_ms, number)
       cross join lateral (select number - 1 as pass, tstzmultirange(tstzrange(to_timestamp($1::float8 / 1000),
         date_trunc('milliseconds', now - interval '2 seconds' - part * $3::float8 * interval '1 millisecond' - case number when 1 then interval '0' else
           (delay_ms + case when n % 1000 < $5 then 1.5 else 0.8 * ((n * 7919) % 1000) / 1000 end * greatest(delay_ms, $4::float8))
             * interval '1 millisecond' end)))) c (pass, ranges)
     where not isempty(ranges)`,
    [sinceMs, [0, ...settleDelaysMs], liveMs, settleMs, settleDue],
  );
  await pool.query(
    `insert into lanes (source_kind, source_id, filter_hash, lane, state, last_attempt_at, last_success_at)
     select kind, id, 'none', lane,
       jsonb_build_object('failures', 0, 'pageLimit', 1000, 'entriesPerDay', round((1 + part * 40)::numeric, 6))
         || case lane when 'scrub' then jsonb_build_object('round', jsonb_build_object('number', 1,
           'beganMs', floor(extract(epoch from now) * 1000 - part * 500000000),
           'untilMs', floor(extract(epoch from now) - part * 500000 - 3600) * 1000, 'read', jsonb_build_array(jsonb_build_object(
             'fromMs', $1::float8, 'toMs', floor(extract(epoch from now) - part * 500000 - 3600) * 1000)))) else '{}' end,
       now - interval '1 hour', now - interval '1 hour'
     from read_state cross join unnest(array['live', 'settle', 'backfill', 'scrub']) lane`,
    [sinceMs],
  );
  await pool.query('drop table read_state');
  await pool.query(
    `update discovery set last_attempt_at = clock_timestamp(), last_success_at = clock_timestamp(), server_time = clock_timestamp(), organizations = (select count(*) from organizations)`,
  );
  await pool.query('vacuum analyze');
};

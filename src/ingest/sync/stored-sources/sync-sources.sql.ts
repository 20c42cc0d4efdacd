import type { Pool } from 'pg';
import type { KindPolicy } from '../../planning/source.ts';
import { kindOf } from '../../sources/registry.ts';

/** What the views show of the kinds in force. */
const KINDS = `unnest($1::text[], $2::text[], $3::float8[], $4::text[]) as k (kind, filter_hash, horizon_ms, owner)`;

/**
 * Gives every known organization and account its sources, one of each kind in force, and all sources of these kinds the horizon and filter
 * set in force, for the views. `historyMs`: how much is wanted as of any moment. Returns how many sources are new. Called by discovery, after each page that brings something.
 */
export const syncSources = async (
  pool: Pool,
  kinds: readonly KindPolicy[],
  nowMs: number,
  historyMs: number,
): Promise<number> => {
  const parameters = [
    kinds.map(({ kind }) => kind),
    kinds.map(({ filterHash }) => filterHash),
    kinds.map(({ horizonMs }) => horizonMs(nowMs)),
    kinds.map((each) => kindOf(each).owner),
    historyMs,
  ];
  const { rowCount } = await pool.query(
    `with owners (owner, id) as (select 'organization', id from organizations union all select 'account', id from accounts)
     insert into sources (kind, id, organization_id, account_id, filter_hash, wanted_since, wanted_history)
     select k.kind, owners.id, case owner when 'organization' then owners.id end, case owner when 'account' then owners.id end,
       k.filter_hash, to_timestamp(k.horizon_ms / 1000), make_interval(secs => $5::float8 / 1000)
     from owners join ${KINDS} using (owner)
     where not exists (select from sources s where s.kind = k.kind and s.id = owners.id) order by k.kind, owners.id
     on conflict (kind, id) do nothing`,
    parameters,
  );
  // The horizon moves all the time; rows are not rewritten for less than an hour of it.
  await pool.query(
    `with old as (
       select s.kind, s.id, k.filter_hash, k.horizon_ms from sources s join ${KINDS} on k.kind = s.kind
       where s.filter_hash <> k.filter_hash or s.wanted_history is distinct from make_interval(secs => $5::float8 / 1000)
         or abs(extract(epoch from s.wanted_since) * 1000 - k.horizon_ms) > 3600000
       order by s.kind, s.id for update of s)
     update sources s set filter_hash = old.filter_hash, wanted_since = to_timestamp(old.horizon_ms / 1000),
       wanted_history = make_interval(secs => $5::float8 / 1000)
     from old where s.kind = old.kind and s.id = old.id`,
    parameters,
  );
  return rowCount ?? 0;
};

/**
 * Takes back what was claimed of the future: of a server whose clock was ahead, or by version 0.1. Returns how many rows of
 * coverage had some. `delaysMs`: of pass 0, 1, …: each may claim up to its delay before now.
 */
export const trimFuture = async (pool: Pool, delaysMs: readonly number[]): Promise<number> => {
  const { rows } = await pool.query<{ trimmed: number }>('select orgtrail_trim_coverage($1) as trimmed', [delaysMs]);
  return rows[0]?.trimmed ?? 0;
};

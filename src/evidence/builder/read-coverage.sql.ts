import type { Pool } from 'pg';
import { inTransaction } from '../../postgres/pool.ts';
import type { CoverageSnapshot } from '../append/new-statements.ts';
import type { Claim, CoverageQuery, NamedSource } from './ports.ts';

/** The most of each in one statement. */
const MAX_HOLES = 40;
const MAX_ROWS = 20_000;
/** A horizon that moves on with the clock is stated once an hour. */
const HORIZON_SLACK = "interval '2 hours'";

const instant = (time: string): string => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const ofSource = (name: string): string =>
  `${name}.source_kind = d.kind and ${name}.source_id = d.id and ${name}.filter_hash = d.filter_hash`;
/** From 1970 on, before the moment of the snapshot. */
const rangesOf = (ranges: string): string =>
  `(select coalesce(json_agg(json_build_array(${instant('lower(r)')}, ${instant('upper(r)')}) order by r), '[]')
    from unnest((${ranges}) * tstzmultirange(tstzrange('1970-01-01 00:00:00+00', now.at))) r)`;

/** Never stated with these filters, too long ago, asked for since, or the horizon moved unlike the clock (which may have gone back). */
const due = `
select s.kind, s.id, n.number, s.filter_hash, horizon.since as wanted_since, s.wanted_history is not null as is_rolling, e.index, e.adopted, e.windows,
  coalesce(latest.rows_last, 0) as rows_last
from sources s join evidence_sources n on n.kind = s.kind and n.id = s.id
  -- As of now: the row is of the last planning, and would show what has left the horizon since as a gap.
  cross join lateral (select least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as since) horizon
  left join evidence_coverage e on e.source_kind = s.kind and e.source_id = s.id and e.filter_hash = s.filter_hash
  left join (select source_kind, source_id, max(index) as index, max(rows_last) as rows_last from evidence_coverage group by 1, 2) as latest
    on latest.source_kind = s.kind and latest.source_id = s.id
  left join evidence_asked a on a.source_kind = s.kind and a.source_id = s.id
where (s.kind, s.filter_hash) in (select u.kind, u.hash from unnest($1::text[], $2::text[]) as u (kind, hash))
  and (s.kind, s.id) not in (select u.kind, u.id from unnest($5::text[], $6::text[]) as u (kind, id))
  and (e.stated_at is null or e.index < latest.index or a.asked_at > e.stated_at and a.asked_at <= clock_timestamp()
    -- The clock went back.
    or e.stated_at > clock_timestamp() + interval '1 minute'
    or e.stated_at < clock_timestamp() - make_interval(secs => $3::float8 / 1000) or e.wanted_since > horizon.since + interval '1 hour'
    or horizon.since - e.wanted_since > clock_timestamp() - e.stated_at + ${HORIZON_SLACK})
order by a.asked_at > e.stated_at desc nulls last, e.stated_at nulls first, s.kind, s.id limit $4`;

const holes = `
select json_build_array(${instant("greatest(h.since, '1970-01-01 00:00:00+00')")}, ${instant('least(h.before, now.at)')}) as range,
  left(h.reason, 60) as reason, ${instant('h.found_at')} as found_at
from coverage_holes h where ${ofSource('h')} and h.pass = 0 and isfinite(h.before) and h.since < now.at order by h.since desc limit ${MAX_HOLES}`;

/** Requests since the last statement of the source. No window counts beyond what the answers' own Date reached. */
const rows = `
select json_build_object('first', d.rows_last + 1, 'last', coalesce(max(r.number), d.rows_last),
  'sha256', encode(sha256(convert_to(coalesce(string_agg(orgtrail_read_text(r, d.number) || E'\\n', '' order by r.number), ''), 'UTF8')), 'hex'),
  'windows', ${rangesOf(`coalesce(range_agg(tstzrange(r.since, least(r.before, r.first_date, r.last_date))) filter (
    where r.filter_hash = d.filter_hash and r.first_date is not null and r.last_date is not null
      and r.since < least(r.before, r.first_date, r.last_date)), '{}')`)})
from evidence_reads r where r.source_kind = d.kind and r.source_id = d.id and r.number > d.rows_last and r.number <= d.rows_last + ${MAX_ROWS}`;

/** One snapshot of coverage and positions. Its clock is read after the snapshot was made. */
const snapshot = `
with now as materialized (select date_trunc('milliseconds', clock_timestamp()) as at),
due as materialized (${due})
select (select h.position from feed_head h)::float8 as head, ${instant('now.at')} as "asOf",
  (select coalesce(json_agg(json_build_object('kind', d.kind, 'id', d.id, 'number', d.number, 'filterHash', d.filter_hash,
      'wantedSince', ${instant('d.wanted_since')}, 'isRolling', d.is_rolling,
      'read', ${rangesOf(`coalesce((select c.proven from coverage c where ${ofSource('c')} and c.pass = 0), '{}')`)},
      'again', ${rangesOf(`coalesce((select c.read_again * c.proven from coverage c where ${ofSource('c')} and c.pass = 0), '{}')`)},
      'adopted', ${rangesOf(`coalesce(d.adopted, '{}')`)}, 'windows', ${rangesOf(`coalesce(d.windows, '{}')`)},
      'holes', (select coalesce(json_agg(to_jsonb(h)), '[]') from (${holes}) h),
      'holeCount', (select count(*) from coverage_holes h where ${ofSource('h')} and h.pass = 0),
      'rows', (${rows}),
      'before', (select j.text from evidence_statements j where j.index = d.index))), '[]') from due d) as sources
from now`;

/**
 * Undefined if the lease is lost. What the snapshot shows survives a crash of the server from here on: the transaction ends
 * with the flush of a write of its own, which comes after all that was seen.
 */
export const readCoverage = async (
  pool: Pool,
  { epoch }: Claim,
  { filters, everyMs, limit, except }: CoverageQuery,
  leaseMs: number,
): Promise<CoverageSnapshot | undefined> =>
  await inTransaction(pool, async (client) => {
    const { rows: found } = await client.query<CoverageSnapshot>(snapshot, [
      filters.map(({ kind }) => kind),
      filters.map(({ hash }) => hash),
      everyMs,
      limit,
      except.map(({ kind }) => kind),
      except.map(({ id }) => id),
    ]);
    const [first] = found;
    if (first === undefined || first.sources.length === 0) return first;
    await client.query(`select set_config('synchronous_commit', 'on', true)
      where current_setting('synchronous_commit') in ('off', 'local', 'remote_write')`);
    const held = 'select orgtrail_renew_evidence($1, $2) as held';
    const renewed = await client.query<{ held: boolean }>(held, [epoch, leaseMs]);
    return renewed.rows[0]?.held === true ? first : undefined;
  });

/** That are to be stated, and have no number. */
export const readUnnumbered = async (pool: Pool, { filters, limit }: CoverageQuery) => {
  const { rows: found } = await pool.query<NamedSource & { readonly organizationId: string | null }>(
    `select s.kind, s.id, s.organization_id as "organizationId" from sources s
     where (s.kind, s.filter_hash) in (select u.kind, u.hash from unnest($1::text[], $2::text[]) as u (kind, hash))
       and not exists (select from evidence_sources n where n.kind = s.kind and n.id = s.id) order by s.kind, s.id limit $3`,
    [filters.map(({ kind }) => kind), filters.map(({ hash }) => hash), limit],
  );
  return found;
};

import type { Pool } from 'pg';
import { inTransaction } from '../../postgres/pool.ts';
import type { CoverageSnapshot } from '../append/new-statements.ts';
import type { Claim, CoverageQuery } from './ports.ts';

/** The most of each in one statement. */
const MAX_HOLES = 40;
const MAX_READINGS = 60;
const MAX_READ_AGAIN = 40;
/** Least age of rows of `evidence_reads` when they are deleted: as an auditor is told. */
const READS_KEPT = "interval '31 days'";
/** A horizon that moves on with the clock is stated once an hour. */
const HORIZON_SLACK = "interval '2 hours'";

const instant = (time: string): string => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const start = (time: string): string =>
  `case when ${time} is null or not isfinite(${time}) then '-infinity' else ${instant(time)} end`;
const ofSource = (name: string): string =>
  `${name}.source_kind = d.kind and ${name}.source_id = d.id and ${name}.filter_hash = d.filter_hash`;

/** Never stated with these filters, too long ago, asked for since, or the horizon moved unlike the clock (which may have gone back). */
const due = `
select s.kind, s.id, s.filter_hash, horizon.since as wanted_since, s.commit_seq, e.index, latest.reads_count, latest.reads_after
from sources s
  -- As of now: the row is of the last planning, and would show what has left the horizon since as a gap.
  cross join lateral (select least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as since) horizon
  left join evidence_coverage e on e.generation = $1 and e.source_kind = s.kind and e.source_id = s.id and e.filter_hash = s.filter_hash
  left join (select source_kind, source_id, max(index) as index, max(reads_count) as reads_count, max(reads_after) as reads_after
      from evidence_coverage where generation = $1 group by 1, 2) as latest
    on latest.source_kind = s.kind and latest.source_id = s.id
  left join evidence_asked a on a.source_kind = s.kind and a.source_id = s.id
where (s.kind, s.filter_hash) in (select u.kind, u.hash from unnest($2::text[], $3::text[]) as u (kind, hash))
  and (s.kind, s.id) not in (select u.kind, u.id from unnest($6::text[], $7::text[]) as u (kind, id))
  and (e.stated_at is null or e.index < latest.index or a.asked_at > e.stated_at and a.asked_at <= clock_timestamp()
    -- The clock went back.
    or e.stated_at > clock_timestamp() + interval '1 minute'
    or e.stated_at < clock_timestamp() - make_interval(secs => $4::float8 / 1000) or e.wanted_since > horizon.since
    or horizon.since - e.wanted_since > clock_timestamp() - e.stated_at + ${HORIZON_SLACK})
order by a.asked_at > e.stated_at desc nulls last, e.stated_at nulls first, s.kind, s.id limit $5`;

const proven = `
select c.pass, (select coalesce(json_agg(json_build_array(${start('lower(r)')}, ${instant('upper(r)')}) order by r), '[]')
  from unnest(c.proven * tstzmultirange(tstzrange(null, now.at))) r) as ranges
from coverage c where ${ofSource('c')}`;

const holes = `
select h.pass, json_build_array(${start('h.since')}, ${instant('least(h.before, now.at)')}) as range, left(h.reason, 60) as reason, h.attempts,
  ${instant('h.found_at')} as found_at
from coverage_holes h where ${ofSource('h')} and isfinite(h.before) and h.since < now.at order by h.since desc limit ${MAX_HOLES}`;

const readings = `
select json_build_array(${start('r.since')}, ${instant('least(r.before, now.at)')}) as range, r.method, r.number, r.direction, r.found,
  ${instant('r.read_from')} as read_from, ${instant('r.read_to')} as read_to, r.since
from coverage_readings r where ${ofSource('r')} and isfinite(r.before) and r.since < now.at order by r.since desc limit ${MAX_READINGS}`;

const rowOfReads = (columns: string, more: string): string =>
  `select ${columns} from evidence_reads r where r.source_kind = d.kind and r.source_id = d.id ${more}`;
const rows = (name: string): string =>
  `'count', coalesce(${name}.number, 0), 'sha256', coalesce(encode(${name}.sha256, 'hex'), repeat('0', 64))`;

const readAgain = `
select json_build_array(${start('lower(r)')}, ${instant('upper(r)')}) as range, r
from coverage c cross join lateral unnest(c.read_again * c.proven * tstzmultirange(tstzrange(null, now.at))) r
where ${ofSource('c')} and c.pass = 0 order by r desc limit ${MAX_READ_AGAIN}`;

/**
 * Requests up to now, and from which row on they are promised: those of a month (by a clock that is not believed if it is ahead
 * of Cloudflare's), those that no statement has counted, and the last one. Of rows that are gone, the last is kept.
 */
const reads = `
select json_build_object(${rows('last')}, 'after', json_build_object(${rows('after')}))
from (values (0)) as none (number)
  left join lateral (${rowOfReads('r.number, r.sha256', 'order by r.number desc limit 1')}) last on true
  left join lateral (${rowOfReads('r.number', 'order by r.number limit 1')}) first on true
  left join lateral (${rowOfReads(
    'r.number, r.sha256',
    `and r.number = greatest(d.reads_after, nullif(first.number, 1), least(coalesce(d.reads_count, 0),
      last.number - 1, coalesce((${rowOfReads('r.number', 'and r.read_at >= now.kept_since order by r.number limit 1')}), last.number) - 1))`,
  )}) after on true`;

/** One snapshot of coverage and positions. Its clock is read after the snapshot was made. */
const snapshot = `
with now as materialized (
  select date_trunc('milliseconds', clock_timestamp()) as at,
    least(clock_timestamp(), (select d.server_time from discovery d) + interval '2 days') - ${READS_KEPT} as kept_since),
due as materialized (${due})
select (select h.position from feed_head h)::float8 as head, ${instant('now.at')} as "asOf",
  (select ${instant('d.server_time')} from discovery d) as "serverTime",
  (select coalesce(json_agg(json_build_object('kind', d.kind, 'id', d.id, 'filterHash', d.filter_hash,
      'wantedSince', ${instant('d.wanted_since')}, 'commits', d.commit_seq,
      'passes', (select coalesce(json_agg(json_build_object('pass', p.pass, 'ranges', p.ranges) order by p.pass), '[]') from (${proven}) p),
      'holes', (select coalesce(json_agg(to_jsonb(h)), '[]') from (${holes}) h),
      'holeCount', (select count(*) from coverage_holes h where ${ofSource('h')}),
      'readings', (select coalesce(json_agg(to_jsonb(r) - 'since' order by r.since), '[]') from (${readings}) r),
      'readAgain', (select coalesce(json_agg(a.range order by a.r), '[]') from (${readAgain}) a),
      'reads', (${reads}),
      'readingCount', (select count(*) from coverage_readings r where ${ofSource('r')}),
      'before', (select j.text from evidence_journal j where j.generation = $1 and j.index = d.index))), '[]') from due d) as sources
from now`;

/**
 * Undefined if the lease is lost. What the snapshot shows survives a crash of the server from here on: the transaction ends
 * with the flush of a write of its own, which comes after all that was seen.
 */
export const readCoverage = async (
  pool: Pool,
  { generation, epoch }: Claim,
  { filters, everyMs, limit, except }: CoverageQuery,
  leaseMs: number,
): Promise<CoverageSnapshot | undefined> =>
  await inTransaction(pool, async (client) => {
    const kinds = filters.map(({ kind }) => kind);
    const hashes = filters.map(({ hash }) => hash);
    const { rows } = await client.query<CoverageSnapshot>(snapshot, [
      generation,
      kinds,
      hashes,
      everyMs,
      limit,
      except.map(({ kind }) => kind),
      except.map(({ id }) => id),
    ]);
    const [found] = rows;
    if (found === undefined || found.sources.length === 0) return found;
    await client.query(`select set_config('synchronous_commit', 'on', true)
      where current_setting('synchronous_commit') in ('off', 'local', 'remote_write')`);
    const held = 'select orgtrail_renew_evidence($1, $2, $3) as held';
    const renewed = await client.query<{ held: boolean }>(held, [generation, epoch, leaseMs]);
    return renewed.rows[0]?.held === true ? found : undefined;
  });

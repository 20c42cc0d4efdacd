import type { Pool } from 'pg';
import type { SourceKey } from '../../ingest/planning/source.ts';
import type { SourceCoverage } from './overview.ts';

/** The newest of them are enough to be drawn and listed. */
const MAX_HOLES = 200;

const ms = (expression: string): string => `(extract(epoch from ${expression}) * 1000)::float8`;

/** Of these sources, in no order. Called by the console, for the sources of one page. */
export const readCoverage = async (pool: Pool, keys: readonly SourceKey[]): Promise<readonly SourceCoverage[]> => {
  const { rows } = await pool.query<SourceCoverage>(
    `select s.kind, s.id,
       ${ms('least(now(), greatest(s.wanted_since, now() - s.wanted_history))')} as "sinceMs", ${ms('now()')} as "nowMs",
       coalesce((select json_agg(json_build_array(${ms('g.since')}, ${ms('g.before')}) order by g.since)
         from coverage_gaps g where g.source_kind = s.kind and g.source_id = s.id), '[]') as gaps,
       coalesce((select json_agg(json_build_object('pass', c.pass, 'ranges', coalesce((
             select json_agg(json_build_array(${ms('lower(r)')}, ${ms('upper(r)')}) order by r) from unnest(c.ranges) r), '[]'))
           order by c.pass)
         from coverage c where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass > 0), '[]') as passes,
       coalesce((select json_agg(json_build_object('range', json_build_array(${ms('h.since')}, ${ms('h.before')}),
           'reason', h.reason, 'message', h.message, 'attempts', h.attempts, 'nextAttemptAtMs', ${ms('h.next_attempt_at')})
           order by h.since desc)
         from (select * from coverage_holes h
           where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = s.filter_hash and h.pass = 0
             and h.before > greatest(s.wanted_since, now() - s.wanted_history)
           order by h.since desc limit ${MAX_HOLES}) h), '[]') as holes,
       coalesce((select json_agg(json_build_object('lane', l.lane, 'readUntilMs', l.state #> '{walk,newestMs}',
           'range', json_build_array(l.state #> '{walk,claim,fromMs}', l.state #> '{walk,claim,toMs}')) order by l.lane)
         from lanes l where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = s.filter_hash
           and l.state ? 'walk'), '[]') as walks
     from sources s join unnest($1::text[], $2::text[]) as asked (kind, id) on asked.kind = s.kind and asked.id = s.id`,
    [keys.map(({ kind }) => kind), keys.map(({ id }) => id)],
  );
  return rows;
};

import type { Pool } from 'pg';
import type { SourceKey } from '../../ingest/planning/source.ts';
import type { ReadingPace } from './overview.ts';

/** The time left is estimated from what was read in the last so many minutes. */
export const PACE_MINUTES = 15;

/**
 * How much of the history of these sources was read lately. What was read before that, by a settle pass or the scrub lane, does not
 * count, nor does a piece that was begun earlier: the live tail of today is one. Called by the console, for first readings that are under way.
 */
export const readPace = async (pool: Pool, keys: readonly SourceKey[]): Promise<readonly ReadingPace[]> => {
  if (keys.length === 0) return [];
  const { rows } = await pool.query<ReadingPace>(
    `select s.kind, s.id, coalesce(lately.seconds, 0) as "readSeconds",
       extract(epoch from clock_timestamp() - greatest(lately.began, clock_timestamp() - $3::interval))::float8 as "overSeconds"
     from sources s join unnest($1::text[], $2::text[]) as asked (kind, id) on asked.kind = s.kind and asked.id = s.id
       cross join lateral (
         select min(r.read_from) as began,
           (sum(extract(epoch from r.before - r.since)) filter (where r.read_from > clock_timestamp() - $3::interval))::float8 as seconds
         from coverage_readings r
         where r.source_kind = s.kind and r.source_id = s.id and r.filter_hash = s.filter_hash and r.method = 'first reading') lately
     where lately.began is not null`,
    [keys.map(({ kind }) => kind), keys.map(({ id }) => id), `${PACE_MINUTES} minutes`],
  );
  return rows;
};

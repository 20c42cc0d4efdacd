import type { Pool } from 'pg';

/**
 * Since when the oldest round goes on or went on last, in seconds: of all active organizations the longest time since their round under way
 * began, or the last one if none is under way. If none has begun yet, since the organization was first seen. Undefined without organizations. `organizationIds` limits it to an allow-list.
 */
export const readScrubAge = async (
  pool: Pool,
  filterHash: string,
  organizationIds: readonly string[] | undefined,
): Promise<number | undefined> => {
  const { rows } = await pool.query<{ age: number | null }>(
    `select max(extract(epoch from clock_timestamp()
       - coalesce(to_timestamp((l.state #>> '{round,beganMs}')::float8 / 1000), o.first_seen_at)))::float8 as age
     from sources s join organizations o on o.id = s.organization_id
       left join lanes l on l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = $1 and l.lane = 'scrub'
     where o.state = 'active' and ($2::text[] is null or o.id = any($2))`,
    [filterHash, organizationIds ?? null],
  );
  return rows[0]?.age ?? undefined;
};

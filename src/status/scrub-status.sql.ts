import type { Pool } from 'pg';
import type { KindPolicy } from '../ingest/planning/source.ts';

/**
 * Since when the oldest round goes on or went on last, in seconds: of all active organizations the longest time since their round under way
 * began, or the last one if none is under way. If none has begun yet, since the organization was first seen. Undefined without organizations. `organizationIds` limits it to an allow-list.
 */
export const readScrubAge = async (
  pool: Pool,
  kinds: readonly Pick<KindPolicy, 'kind' | 'filterHash'>[],
  organizationIds: readonly string[] | undefined,
): Promise<number | undefined> => {
  const { rows } = await pool.query<{ age: number | null }>(
    `select max(extract(epoch from clock_timestamp()
       - coalesce(to_timestamp((l.state #>> '{round,beganMs}')::float8 / 1000), a.first_seen_at, o.first_seen_at)))::float8 as age
     from sources s join unnest($1::text[], $3::text[]) k (kind, filter_hash) on k.kind = s.kind
       left join accounts a on a.id = s.account_id
       left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
       left join lanes l on l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = k.filter_hash and l.lane = 'scrub'
     where s.access = 'granted' and coalesce(a.state, o.state) = 'active' and ($2::text[] is null or o.id = any($2))`,
    [kinds.map(({ kind }) => kind), organizationIds ?? null, kinds.map(({ filterHash }) => filterHash)],
  );
  return rows[0]?.age ?? undefined;
};

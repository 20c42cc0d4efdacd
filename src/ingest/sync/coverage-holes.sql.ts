import type { Pool } from 'pg';
import type { coverageHoles } from '../../postgres/tables/sources.ts';

/** Time that the API serves neither by itself nor in parts, of the first reading. */
export type CoverageHole = Readonly<Pick<typeof coverageHoles.$inferSelect, 'since' | 'before' | 'reason' | 'message'>>;

interface OrganizationHole extends CoverageHole {
  readonly organizationId: string;
  readonly organizationName: string | null;
}

export interface WantedHoles {
  /** Of all of them. */
  readonly seconds: number;
  /** Oldest first, no more than 1,000. */
  readonly holes: readonly OrganizationHole[];
}

export interface HoleScope {
  readonly filterHash: string;
  /** Undefined: all. */
  readonly organizationIds: readonly string[] | undefined;
  /** Undefined: what is wanted of each source as of now. */
  readonly window: { readonly sinceMs: number; readonly untilMs: number } | undefined;
}

const MAX_HOLES = 1_000;

/** The holes within the time that was asked for. Called by `sync` and `backfill` at their end. */
export const readHoles = async (
  pool: Pool,
  { filterHash, organizationIds, window }: HoleScope,
): Promise<WantedHoles> => {
  const { rows } = await pool.query<OrganizationHole & { readonly seconds: number }>(
    `select s.organization_id as "organizationId", o.name as "organizationName", h.since, h.before, h.reason, h.message,
       (sum(extract(epoch from h.before - h.since)) over ())::float8 as seconds
     from coverage_holes h
       join sources s on s.kind = h.source_kind and s.id = h.source_id
       join organizations o on o.id = s.organization_id
     where h.pass = 0 and h.filter_hash = $1 and o.state <> 'gone' and ($2::text[] is null or s.organization_id = any($2))
       and h.before > coalesce(to_timestamp($3::float8 / 1000), s.wanted_since, '-infinity')
       and h.before > coalesce(to_timestamp($3::float8 / 1000), now() - s.wanted_history, '-infinity')
       and h.since < coalesce(to_timestamp($4::float8 / 1000), 'infinity')
     order by h.since, s.organization_id limit ${MAX_HOLES}`,
    [filterHash, organizationIds ?? null, window?.sinceMs ?? null, window?.untilMs ?? null],
  );
  return { seconds: rows[0]?.seconds ?? 0, holes: rows.map(({ seconds: _, ...hole }) => hole) };
};

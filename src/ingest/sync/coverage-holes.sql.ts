import { and, eq, inArray, ne, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../postgres/db.ts';
import { organizations } from '../../postgres/tables/organizations.ts';
import { coverageHoles, sources } from '../../postgres/tables/sources.ts';

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
  const { since, before, reason, message, pass } = coverageHoles;
  const { wantedSince, wantedHistory, organizationId } = sources;
  const earliest = sql`to_timestamp(${window?.sinceMs ?? null}::float8 / 1000)`;
  const latest = sql`to_timestamp(${window?.untilMs ?? null}::float8 / 1000)`;
  const rows = await db(pool)
    .select({
      organizationId,
      organizationName: organizations.name,
      since,
      before,
      reason,
      message,
      seconds: sql<number>`(sum(extract(epoch from ${before} - ${since})) over ())::float8`,
    })
    .from(coverageHoles)
    .innerJoin(sources, and(eq(sources.kind, coverageHoles.sourceKind), eq(sources.id, coverageHoles.sourceId)))
    .innerJoin(organizations, eq(organizations.id, organizationId))
    .where(
      and(
        eq(pass, 0),
        eq(coverageHoles.filterHash, filterHash),
        ne(organizations.state, 'gone'),
        organizationIds && inArray(organizationId, organizationIds),
        sql`${before} > coalesce(${earliest}, ${wantedSince}, '-infinity')`,
        sql`${before} > coalesce(${earliest}, now() - ${wantedHistory}, '-infinity')`,
        sql`${since} < coalesce(${latest}, 'infinity')`,
      ),
    )
    .orderBy(since, organizationId)
    .limit(MAX_HOLES);
  return { seconds: rows[0]?.seconds ?? 0, holes: rows.map(({ seconds: _, ...hole }) => hole) };
};

import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../../postgres/queries.ts';
import { accounts, coverageHoles, organizations, sources } from '../../../postgres/tables/sources.ts';
import type { KindPolicy } from '../../planning/source.ts';

/** Time that the API serves neither by itself nor in parts, of the first reading. */
export type CoverageHole = Readonly<Pick<typeof coverageHoles.$inferSelect, 'since' | 'before' | 'reason' | 'message'>>;

interface OrganizationHole extends CoverageHole {
  readonly sourceKind: string;
  readonly sourceId: string;
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  readonly accountName: string | null;
}

export interface WantedHoles {
  /** All holes, not only those listed. */
  readonly seconds: number;
  /** Oldest first, no more than 1,000. */
  readonly holes: readonly OrganizationHole[];
}

export interface HoleScope {
  readonly kinds: readonly Pick<KindPolicy, 'kind' | 'filterHash'>[];
  readonly organizationIds: readonly string[] | undefined;
  /** Undefined: those of these organizations. */
  readonly accountIds?: readonly string[] | undefined;
  /** Undefined: what is wanted of each source as of now. */
  readonly window: { readonly sinceMs: number; readonly untilMs: number } | undefined;
}

const MAX_HOLES = 1_000;

export const readHoles = async (
  pool: Pool,
  { kinds, organizationIds, accountIds, window }: HoleScope,
): Promise<WantedHoles> => {
  const { since, before, reason, message, pass, sourceKind, sourceId } = coverageHoles;
  const { wantedSince, wantedHistory } = sources;
  const earliest = sql`to_timestamp(${window?.sinceMs ?? null}::float8 / 1000)`;
  const latest = sql`to_timestamp(${window?.untilMs ?? null}::float8 / 1000)`;
  const rows = await db(pool)
    .select({
      sourceKind,
      sourceId,
      organizationId: organizations.id,
      organizationName: organizations.name,
      accountName: accounts.name,
      since,
      before,
      reason,
      message,
      seconds: sql<number>`(sum(extract(epoch from ${before} - ${since})) over ())::float8`,
    })
    .from(coverageHoles)
    .innerJoin(sources, and(eq(sources.kind, sourceKind), eq(sources.id, sourceId)))
    .leftJoin(accounts, eq(accounts.id, sources.accountId))
    .leftJoin(organizations, eq(organizations.id, sql`coalesce(${sources.organizationId}, ${accounts.organizationId})`))
    .where(
      and(
        eq(pass, 0),
        or(...kinds.map(({ kind, filterHash }) => and(eq(sourceKind, kind), eq(coverageHoles.filterHash, filterHash)))),
        sql`coalesce(${accounts.state}, ${organizations.state}) <> 'gone'`,
        accountIds
          ? or(
              and(isNull(sources.accountId), organizationIds && inArray(organizations.id, organizationIds)),
              inArray(sources.accountId, accountIds),
            )
          : organizationIds && inArray(organizations.id, organizationIds),
        sql`${before} > coalesce(${earliest}, ${wantedSince}, '-infinity')`,
        sql`${before} > coalesce(${earliest}, now() - ${wantedHistory}, '-infinity')`,
        sql`${since} < coalesce(${latest}, 'infinity')`,
      ),
    )
    .orderBy(since, sourceKind, sourceId)
    .limit(MAX_HOLES);
  return { seconds: rows[0]?.seconds ?? 0, holes: rows.map(({ seconds: _, ...hole }) => hole) };
};

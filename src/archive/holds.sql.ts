import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../postgres/queries.ts';
import { holds } from '../postgres/tables/archive.ts';
import { databaseTime } from '../postgres/tables/column-types.ts';

/** RFC 3339; null: without an end on that side. */
const finite = (column: typeof holds.since | typeof holds.before) =>
  sql<
    string | null
  >`case when isfinite(${column}) then to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end`;

const columns = {
  id: holds.id,
  organizationId: holds.organizationId,
  organizationName: sql<string | null>`(select name from organizations o where o.id = ${holds.organizationId})`,
  accountId: holds.accountId,
  accountName: sql<string | null>`(select name from accounts a where a.id = ${holds.accountId})`,
  since: finite(holds.since),
  /** Exclusive. */
  before: finite(holds.before),
  reason: holds.reason,
  createdBy: holds.createdBy,
  createdAs: holds.createdAs,
  createdAt: holds.createdAt,
  releasedBy: holds.releasedBy,
  releasedAs: holds.releasedAs,
  releasedAt: holds.releasedAt,
};

/** As `hold list --json` prints it. */
export type Hold = Row<typeof columns>;

export interface NewHold {
  /** Undefined: all. */
  readonly organizationId: string | undefined;
  readonly accountId?: string | undefined;
  readonly sinceMs: number | undefined;
  readonly beforeMs: number | undefined;
  readonly reason: string;
  readonly by: string | undefined;
}

/** Waits for a drop that is under way. From its return on, nothing that the hold covers is dropped. */
export const addHold = async (pool: Pool, hold: NewHold): Promise<Hold> => {
  const [added] = await db(pool)
    .insert(holds)
    .values({
      organizationId: hold.organizationId,
      accountId: hold.accountId,
      since: dateOf(hold.sinceMs),
      before: dateOf(hold.beforeMs),
      reason: hold.reason,
      createdBy: hold.by,
    })
    .returning(columns);
  if (added === undefined) throw new Error('the hold was not stored');
  return added;
};

/** Undefined: the default of the table, which is infinite. */
const dateOf = (ms: number | undefined): Date | undefined => (ms === undefined ? undefined : new Date(ms));

/** Released ones too, oldest first. */
export const readHolds = async (pool: Pool): Promise<readonly Hold[]> =>
  await db(pool).select(columns).from(holds).orderBy(holds.id);

/** It stays in the table. Undefined if no hold of this id is in force. */
export const releaseHold = async (pool: Pool, id: number, by: string | undefined): Promise<Hold | undefined> => {
  const [released] = await db(pool)
    .update(holds)
    .set({ releasedAt: databaseTime, releasedAs: sql`session_user`, releasedBy: by })
    .where(and(eq(holds.id, id), isNull(holds.releasedAt)))
    .returning(columns);
  return released;
};

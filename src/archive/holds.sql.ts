import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { giveOrder, type Ordering } from '../postgres/access/access-log.sql.ts';
import { db, type Row } from '../postgres/queries.ts';
import { holds } from '../postgres/tables/archive.ts';

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
export const addHold = async (source: Ordering, { sinceMs, beforeMs, ...hold }: NewHold): Promise<Hold> => {
  const times = { since: instantOf(sinceMs), before: instantOf(beforeMs) };
  const [added] = await ordered(source, 'hold add', { ...hold, ...times });
  if (added === undefined) throw new Error('the hold was not stored');
  return added;
};

const ordered = async (source: Ordering, order: string, given: Readonly<Record<string, unknown>>) => {
  const done = await giveOrder<{ readonly id: number }>(source, order, given);
  return done === undefined ? [] : await db(source.pool).select(columns).from(holds).where(eq(holds.id, done.id));
};

const instantOf = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString();

/** Released ones too, oldest first. */
export const readHolds = async (pool: Pool): Promise<readonly Hold[]> =>
  await db(pool).select(columns).from(holds).orderBy(holds.id);

/** It stays in the table. Undefined if no hold of this id is in force. */
export const releaseHold = async (source: Ordering, id: number, by: string | undefined): Promise<Hold | undefined> =>
  (await ordered(source, 'hold release', { id, by }))[0];

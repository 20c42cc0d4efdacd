import { and, desc, eq, inArray, sql } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import { longStatement } from '../../postgres/pool.ts';
import { db, type Row } from '../../postgres/queries.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import { archiveThaws } from '../../postgres/tables/archive.ts';
import type { Month } from '../month-rows.sql.ts';

const LOCK_NOT_AVAILABLE = '55P03';
const MOST_SHOWN = 50;

const columns = {
  id: archiveThaws.id,
  month: sql<string>`to_char(${archiveThaws.month}, 'YYYY-MM')`,
  state: archiveThaws.state,
  endsAt: archiveThaws.endsAt,
  events: archiveThaws.events,
  copied: archiveThaws.copied,
  error: archiveThaws.error,
  reason: archiveThaws.reason,
  askedBy: archiveThaws.askedBy,
  askedAs: archiveThaws.askedAs,
  askedAt: archiveThaws.askedAt,
  thawedAt: archiveThaws.thawedAt,
  endedAt: archiveThaws.endedAt,
};

export type Thaw = Row<typeof columns>;

/** Those that are in force or on their way, and the last that are over; the newest first. */
export const readThaws = async (pool: Pool): Promise<readonly Thaw[]> =>
  await db(pool).select(columns).from(archiveThaws).orderBy(desc(archiveThaws.id)).limit(MOST_SHOWN);

export const readThaw = async (pool: Pool, id: number): Promise<Thaw | undefined> =>
  (await db(pool).select(columns).from(archiveThaws).where(eq(archiveThaws.id, id)))[0];

/** Events of other months that are back, or on their way. */
export const countThawed = async (pool: Pool, except: Month): Promise<number> => {
  const [row] = await db(pool)
    .select({ events: sql<number>`coalesce(sum(${archiveThaws.events}), 0)::float8` })
    .from(archiveThaws)
    .where(
      and(
        inArray(archiveThaws.state, ['asked', 'thawed']),
        sql`${archiveThaws.month} <> to_date(${except}, 'YYYY-MM')`,
      ),
    );
  return row?.events ?? 0;
};

export interface ClaimedThaw {
  readonly id: number;
  readonly month: Month;
  readonly task: 'copy' | 'find' | 'end';
  readonly owner: string;
}

type Held = Pick<ClaimedThaw, 'id' | 'owner'>;

export const claimThaw = async (pool: Pool, owner: string): Promise<ClaimedThaw | undefined> => {
  const { rows } = await pool.query<Omit<ClaimedThaw, 'owner'>>(
    'select thaw::float8 as id, of_month as month, task from orgtrail_claim_thaw($1)',
    [owner],
  );
  return rows[0] && { ...rows[0], owner };
};

/** False: it has gone to another replica. */
export const renewThaw = async (pool: Pool, { id, owner }: Held, copied: number): Promise<boolean> => {
  try {
    await pool.query('select from orgtrail_hold_thaw($1, $2, $3)', [id, owner, copied]);
    return true;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
};

/** Empty tables, for the rows of each kind, that are filled in the same transaction. */
export const beginThaw = async (client: PoolClient, { id, owner }: Held) => {
  const { rows } = await client.query<{ events: string; changes: string }>(
    'select events_table as events, changes_table as changes from orgtrail_begin_thaw($1, $2)',
    [id, owner],
  );
  if (rows[0] === undefined) throw new Error('orgtrail_begin_thaw gave no row');
  return rows[0];
};

export const indexThaw = async (pool: Pool, { id, owner }: Held, part: number, parts: number): Promise<void> => {
  await pool.query(longStatement('select orgtrail_index_thaw($1, $2, $3, $4)', [id, owner, part, parts]));
};

/** Undefined: it is what the catalogue says. */
export const checkThaw = async (pool: Pool, { id, owner }: Held): Promise<string | undefined> => {
  const { rows } = await pool.query<{ difference: string | null }>(
    longStatement('select orgtrail_check_thaw($1, $2) as difference', [id, owner]),
  );
  return rows[0]?.difference ?? undefined;
};

/** False: others read the history for long; try again. */
export const attachThaw = async (pool: Pool, { id, owner }: Held): Promise<boolean> => {
  try {
    await pool.query(longStatement('select orgtrail_attach_thaw($1, $2)', [id, owner]));
    return true;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
};

/** False: there are more. */
export const findThawed = async (pool: Pool, { id, owner }: Held, most: number): Promise<boolean> => {
  const { rows } = await pool.query<{ upto: string | null }>(
    longStatement('select orgtrail_find_thawed($1, $2, $3) as upto', [id, owner, most]),
  );
  return rows[0]?.upto == null;
};

export const failThaw = async (pool: Pool, { id, owner }: Held, reason: string): Promise<void> => {
  await pool.query('select orgtrail_fail_thaw($1, $2, $3)', [id, owner, reason]);
};

import type { Pool } from 'pg';

/** A legal hold, as `hold list --json` prints it. */
export interface Hold {
  readonly id: number;
  /** Null: of every organization. */
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  /** RFC 3339; null: without a beginning. */
  readonly since: string | null;
  /** Exclusive; null: without an end. */
  readonly before: string | null;
  readonly reason: string;
  /** Who says to have asked for it, and the account of the database that did. */
  readonly createdBy: string | null;
  readonly createdAs: string;
  readonly createdAt: Date;
  readonly releasedBy: string | null;
  readonly releasedAs: string | null;
  readonly releasedAt: Date | null;
}

export interface NewHold {
  /** Undefined: every organization. */
  readonly organizationId: string | undefined;
  readonly sinceMs: number | undefined;
  readonly beforeMs: number | undefined;
  readonly reason: string;
  readonly by: string | undefined;
}

const instant = (column: string): string =>
  `case when isfinite(${column}) then to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') end`;

const columns = `h.id::float8 as id, h.organization_id as "organizationId",
  (select name from organizations o where o.id = h.organization_id) as "organizationName",
  ${instant('h.since')} as since, ${instant('h.before')} as before, h.reason, h.created_by as "createdBy",
  h.created_as as "createdAs", h.created_at as "createdAt", h.released_by as "releasedBy", h.released_as as "releasedAs",
  h.released_at as "releasedAt"`;

/** Waits for a drop that is under way. From its return on, nothing that it covers is dropped. */
export const addHold = async (pool: Pool, hold: NewHold): Promise<Hold> => {
  const { rows } = await pool.query<Hold>(
    `insert into holds as h (organization_id, since, before, reason, created_by)
     values ($1, coalesce(to_timestamp($2::float8 / 1000), '-infinity'), coalesce(to_timestamp($3::float8 / 1000), 'infinity'),
       $4, $5) returning ${columns}`,
    [hold.organizationId ?? null, hold.sinceMs ?? null, hold.beforeMs ?? null, hold.reason, hold.by ?? null],
  );
  if (rows[0] === undefined) throw new Error('the hold was not stored');
  return rows[0];
};

/** All of them, released ones too, oldest first. */
export const readHolds = async (pool: Pool): Promise<readonly Hold[]> =>
  (await pool.query<Hold>(`select ${columns} from holds h order by h.id`)).rows;

/** Ends a hold; it stays in the table. Undefined if there is none of this id that is in force. */
export const releaseHold = async (pool: Pool, id: number, by: string | undefined): Promise<Hold | undefined> => {
  const { rows } = await pool.query<Hold>(
    `update holds h set released_at = clock_timestamp(), released_as = session_user, released_by = $2
     where id = $1 and released_at is null returning ${columns}`,
    [id, by ?? null],
  );
  return rows[0];
};

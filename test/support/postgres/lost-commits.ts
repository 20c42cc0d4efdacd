import type { Pool } from 'pg';

/** Leaves a database as a promoted standby has it that lacks what was committed behind this position. */
export const loseCommits = async (pool: Pool, after: number): Promise<void> => {
  await pool.query('delete from audit_events where position > $1', [after]);
  await pool.query("update feed_head set position = $1, timeline = 'of the lost server'", [after]);
};

/** The newest jump. */
export const lastJump = async (pool: Pool) => {
  const { rows } = await pool.query<{ id: number; from: number; to: number; old: string; new: string }>(
    `select id::float8 as id, from_position::float8 as from, to_position::float8 as to, old_timeline as old, new_timeline as new
     from position_jumps order by id desc limit 1`,
  );
  if (rows[0] === undefined) throw new Error('positions have not jumped');
  return rows[0];
};

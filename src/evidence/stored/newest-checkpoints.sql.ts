import type { Pool } from 'pg';
import type { LogName } from '../notes/origin.ts';

/** A checkpoint that was signed and stored. */
export interface NewestCheckpoint {
  readonly log: LogName;
  readonly origin: string;
  readonly generation: number;
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
  readonly madeAt: Date;
}

/** The newest of each log of the newest generation, `events` first. */
export const readNewestCheckpoints = async (pool: Pool): Promise<readonly NewestCheckpoint[]> => {
  const { rows } = await pool.query<NewestCheckpoint>(
    `select l.name as log, l.origin, l.generation, c.size::float8 as size, c.root, c.note, c.made_at as "madeAt"
     from evidence_logs l cross join lateral (
       select size, root, note, made_at from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
       order by c.size desc limit 1) as c
     where l.generation = (select max(generation) from evidence_logs) order by l.name`,
  );
  return rows;
};

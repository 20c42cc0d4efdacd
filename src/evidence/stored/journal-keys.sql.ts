import type { Pool } from 'pg';
import { readStatement } from '../journal/statement-text.ts';

/** The keys of both logs that are in force, by the journal; empty before the first statement. */
export const readVkeys = async (pool: Pool, generation: number): Promise<readonly string[]> => {
  const { rows } = await pool.query<{ text: string }>(
    `select text from evidence_journal where generation = $1 and kind in ('genesis', 'key', 'fork') order by index desc limit 1`,
    [generation],
  );
  const read = rows[0] === undefined ? undefined : readStatement(rows[0].text);
  if (read?.known !== true) return [];
  if (read.statement.type === 'genesis' || read.statement.type === 'fork') return read.statement.vkeys ?? [];
  return read.statement.type === 'key' ? read.statement.new_vkeys : [];
};

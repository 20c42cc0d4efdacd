import type { Pool } from 'pg';
import { words } from '../process/words.ts';

const evidenceTables = words(`
  evidence_log evidence_tiles evidence_checkpoints evidence_statements evidence_sources evidence_month_keys
  evidence_anchors evidence_coverage evidence_reads`);

/**
 * Remembers how feed and evidence stand, and these tables too; what it returns puts them back to that, as a restore of a backup does. A later
 * call replaces what is remembered.
 */
export const rememberForRewind = async (
  pool: Pick<Pool, 'query'>,
  more: readonly string[] = [],
): Promise<() => Promise<void>> => {
  const tables = [...evidenceTables, ...more];
  const remember = (table: string, columns = '*') =>
    pool.query(`drop table if exists rewind_${table}; create table rewind_${table} as select ${columns} from ${table}`);
  for (const table of tables) await remember(table);
  await remember('feed_head', 'position');
  return async () => {
    await pool.query(`truncate ${tables.join(', ')}`);
    // What is stated of a source is in its own table, and would be noted a second time.
    await pool.query('alter table evidence_statements disable trigger statement_is_noted');
    for (const table of tables)
      await pool.query(`insert into ${table} overriding system value select * from rewind_${table}`);
    await pool.query('alter table evidence_statements enable trigger statement_is_noted');
    await pool.query('delete from audit_events where position > (select position from rewind_feed_head)');
    await pool.query('update feed_head set position = (select position from rewind_feed_head)');
    // Not what a lease of before says.
    await pool.query('update evidence_log set lease_until = null');
  };
};

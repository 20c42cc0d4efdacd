import type { Pool } from 'pg';

const tables = [
  'evidence_logs',
  'evidence_tiles',
  'evidence_checkpoints',
  'evidence_journal',
  'evidence_sources',
  'evidence_month_keys',
  'evidence_anchors',
];

/** Remembers how feed and evidence stand; what it returns puts them back to that, as a restore of a backup does. */
export const rememberForRewind = async (pool: Pick<Pool, 'query'>): Promise<() => Promise<void>> => {
  for (const table of tables) await pool.query(`create table rewind_${table} as select * from ${table}`);
  await pool.query('create table rewind_feed_head as select position from feed_head');
  return async () => {
    await pool.query(`truncate ${tables.join(', ')}`);
    for (const table of tables) await pool.query(`insert into ${table} select * from rewind_${table}`);
    await pool.query('delete from audit_events where position > (select position from rewind_feed_head)');
    await pool.query('update feed_head set position = (select position from rewind_feed_head)');
    // Not what a lease of before says.
    await pool.query('update evidence_logs set lease_until = null');
  };
};

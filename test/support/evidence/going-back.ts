import type { Pool } from 'pg';

const tables = [
  'evidence_logs',
  'evidence_tiles',
  'evidence_checkpoints',
  'evidence_journal',
  'evidence_month_keys',
  'evidence_sources',
];

/** Keeps what the logs are now, as a copy of the data directory would; a later call replaces it. */
export const keepLogs = async (pool: Pool): Promise<void> => {
  for (const table of tables) {
    await pool.query(`drop table if exists kept_${table}; create table kept_${table} as select * from ${table}`);
  }
};

/** The logs are what they were, and so are the events: those after the leaves are gone, and other ones get their positions. */
export const goBack = async (pool: Pool): Promise<void> => {
  for (const table of tables)
    await pool.query(`delete from ${table}; insert into ${table} select * from kept_${table}`);
  await pool.query(
    `delete from audit_events where position > (select size from evidence_logs where name = 'events' order by generation desc limit 1)`,
  );
  await pool.query(
    `update feed_head set position = (select size from evidence_logs where name = 'events' order by generation desc limit 1)`,
  );
};

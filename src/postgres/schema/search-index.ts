import type { Pool } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import { longStatement } from '../pool.ts';
import { sqlState } from '../sql-state.ts';

/** What can be made searchable: the payload by containment, and the whole text of an entry by any part of it. */
export const searchIndexes = {
  json: { name: 'audit_events_payload', method: 'gin (orgtrail_payload(raw, defects) jsonb_path_ops)' },
  text: { name: 'audit_events_text', method: 'gin ((raw::text) gin_trgm_ops)' },
} as const;

export type SearchIndexKind = keyof typeof searchIndexes;

/** Feature not supported, or no such file: the extension is not installed on the server. Insufficient privilege. */
const NOT_TO_BE_HAD = ['0A000', '58P01', '42501', '42704'];

/**
 * Makes a search index on every partition, one after the other and without blocking writes, and then on the
 * parent, so that new partitions have it, too. What is there already is left alone; an attempt that was cut off is
 * begun again. Called by `migrate --search-index`. Throws OrgtrailError `configuration` if pg_trgm is not available.
 */
export const createSearchIndex = async (
  pool: Pool,
  kind: SearchIndexKind,
  onPartition: (partition: string) => void,
): Promise<void> => {
  const { name, method } = searchIndexes[kind];
  if (kind === 'text') await createTrigrams(pool);
  await pool.query(`create index if not exists ${name} on only audit_events using ${method}`);
  const { rows: partitions } = await pool.query<{
    partition: string;
    index: string;
    valid: boolean | null;
    attached: boolean;
  }>(
    `select c.relname as partition, c.relname || replace($1, 'audit_events', '') as index, x.indisvalid as valid,
       exists (select from pg_inherits h join pg_index y on y.indexrelid = h.inhrelid
         where h.inhparent = $1::regclass and y.indrelid = c.oid) as attached
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     left join pg_index x on x.indrelid = c.oid and x.indexrelid = to_regclass(c.relname || replace($1, 'audit_events', ''))
     where i.inhparent = 'audit_events'::regclass order by c.relname`,
    [name],
  );
  for (const { partition, index, valid, attached } of partitions) {
    if (attached) continue;
    onPartition(partition);
    if (valid === false) await pool.query(longStatement(`drop index concurrently ${index}`));
    await pool.query(longStatement(`create index concurrently if not exists ${index} on ${partition} using ${method}`));
    await pool.query(`alter index ${name} attach partition ${index}`);
  }
};

const createTrigrams = async (pool: Pool): Promise<void> => {
  try {
    await pool.query('create extension if not exists pg_trgm');
  } catch (error) {
    if (!NOT_TO_BE_HAD.includes(sqlState(error) ?? '') || !(error instanceof Error)) throw error;
    throw new OrgtrailError('configuration', `the extension pg_trgm is not available: ${error.message}`, {
      hint: 'let the administrator of the server run `create extension pg_trgm` in this database, then run this again',
      cause: error,
    });
  }
};

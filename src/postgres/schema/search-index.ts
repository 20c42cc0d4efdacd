import type { Pool } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import { sqlState } from '../sql-state.ts';
import { buildIndexOnline, type IndexObserver } from './online-index.ts';

/** What can be made searchable: the payload by containment, and the whole text of an entry by any part of it. */
export const searchIndexes = {
  json: { name: 'audit_events_payload', method: 'gin (orgtrail_payload(raw, defects) jsonb_path_ops)' },
  text: { name: 'audit_events_text', method: 'gin ((raw::text) gin_trgm_ops)' },
} as const;

export type SearchIndexKind = keyof typeof searchIndexes;

/** Feature not supported, or no such file: the extension is not installed on the server. Insufficient privilege. */
const NOT_TO_BE_HAD = ['0A000', '58P01', '42501', '42704'];

/**
 * Makes a search index as `buildIndexOnline` does. Called by `migrate --search-index`. Throws OrgtrailError `configuration` if pg_trgm is not available.
 */
export const createSearchIndex = async (
  pool: Pool,
  kind: SearchIndexKind,
  observer: IndexObserver = {},
): Promise<void> => {
  const { name, method } = searchIndexes[kind];
  if (kind === 'text') await createTrigrams(pool);
  await buildIndexOnline(pool, { name, definition: `using ${method}` }, observer);
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

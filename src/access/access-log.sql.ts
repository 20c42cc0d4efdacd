import type { Pool } from 'pg';
import type { AccessNote } from './access.ts';

/** Appends to `access_log`, all or none. Rejects if the database does not answer or refuses it. */
export const noteAccess = async (pool: Pool, notes: readonly AccessNote[]): Promise<void> => {
  await pool.query('select orgtrail_note_access($1::jsonb)', [JSON.stringify(notes, storable)]);
};

/** PostgreSQL keeps neither NUL nor half a surrogate pair. */
const storable = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : value;

import { readNamedAccounts } from '../organizations/named-accounts.sql.ts';
import type { Pool } from '../postgres/pool.ts';
import { requireOne } from './organization-ids.ts';

/**
 * The ids of the accounts that an option names by id or by name, of those that the database knows. Throws OrgtrailError `usage` for a
 * name that is unknown or that several accounts have.
 */
export const accountIds = async (pool: Pool, texts: readonly string[]): Promise<readonly string[]> => {
  const known = await readNamedAccounts(pool);
  return [...new Set(texts.map((text) => requireOne(text, known, 'account')))];
};

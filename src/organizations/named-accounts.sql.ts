import { sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../postgres/db.ts';
import { accounts } from '../postgres/tables/accounts.ts';
import type { NamedOrganization } from './named-organization.ts';

/** Every account that has ever been seen, gone ones included; people name it as they name an organization. */
export const readNamedAccounts = async (pool: Pool): Promise<readonly NamedOrganization[]> => {
  const { id, name, state } = accounts;
  return await db(pool)
    .select({ id, name, gone: sql<boolean>`${state} = 'gone'` })
    .from(accounts)
    .orderBy(id);
};

import { sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../postgres/db.ts';
import { organizations } from '../postgres/tables/organizations.ts';
import type { NamedOrganization } from './named-organization.ts';

/** Every organization that has ever been seen, gone ones included. Called by commands that take a name. */
export const readNamedOrganizations = async (pool: Pool): Promise<readonly NamedOrganization[]> => {
  const { id, name, state } = organizations;
  return await db(pool)
    .select({ id, name, gone: sql<boolean>`${state} = 'gone'` })
    .from(organizations)
    .orderBy(id);
};

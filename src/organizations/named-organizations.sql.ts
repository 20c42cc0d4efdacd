import type { Pool } from 'pg';
import type { NamedOrganization } from './named-organization.ts';

/** Every organization that has ever been seen, gone ones included. Called by commands that take a name. */
export const readNamedOrganizations = async (pool: Pool): Promise<readonly NamedOrganization[]> => {
  const { rows } = await pool.query<NamedOrganization>(
    `select id, name, state = 'gone' as gone from organizations order by id`,
  );
  return rows;
};

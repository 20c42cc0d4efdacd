import type { Pool } from 'pg';
import { readOnly } from '../postgres/read-only.ts';
import type { OrganizationLookup, OrganizationName } from './organization-name.ts';

const TIMEOUT_MS = 3_000;
/** Of one name; more would not be read. */
const MAX_CANDIDATES = 10;
/** Near ones are looked for among so many. */
const MAX_COMPARED = 20_000;

/** The organizations that are meant by an id, or by a name, whatever the case of its letters. An id counts before a name. */
export const lookUpOrganization = (pool: Pool, given: string): Promise<OrganizationLookup> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const { rows } = await client.query<OrganizationName>(
      `select id, name from organizations where id = $1 or lower(name) = lower($1) order by id <> $1, id limit ${MAX_CANDIDATES}`,
      [given],
    );
    const [first, second] = rows;
    if (first !== undefined && (second === undefined || first.id === given)) return { kind: 'found', ...first };
    if (first !== undefined) return { kind: 'ambiguous', candidates: rows };
    const all = await client.query<OrganizationName>(
      `select id, name from organizations where name is not null order by name, id limit ${MAX_COMPARED}`,
    );
    return { kind: 'unknown', known: all.rows };
  });

/** For suggestions while typing: the organizations by name, those that are gone included. */
export const readOrganizationNames = async (pool: Pool, limit: number): Promise<readonly OrganizationName[]> => {
  const { rows } = await pool.query<OrganizationName>(
    'select id, name from organizations order by name nulls last, id limit $1',
    [limit],
  );
  return rows;
};

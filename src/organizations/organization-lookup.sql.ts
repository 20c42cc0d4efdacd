import { eq, isNotNull, ne, or, sql } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import { db } from '../postgres/db.ts';
import { readOnly } from '../postgres/read-only.ts';
import { accounts } from '../postgres/tables/accounts.ts';
import { organizations } from '../postgres/tables/organizations.ts';
import type { OrganizationLookup, OrganizationName } from './organization-name.ts';

const TIMEOUT_MS = 3_000;
/** Of one name; more would not be read. */
const MAX_CANDIDATES = 10;
/** Near ones are looked for among so many. */
const MAX_COMPARED = 20_000;

type Named = typeof organizations | typeof accounts;

/** The organizations that are meant by an id, or by a name, whatever the case of its letters. An id counts before a name. */
export const lookUpOrganization = (pool: Pool, given: string): Promise<OrganizationLookup> =>
  lookUp(pool, organizations, given);

/** The accounts that are meant, in the same way. */
export const lookUpAccount = (pool: Pool, given: string): Promise<OrganizationLookup> => lookUp(pool, accounts, given);

const lookUp = (pool: Pool, table: Named, given: string): Promise<OrganizationLookup> =>
  readOnly(pool, TIMEOUT_MS, async (client) => {
    const { id, name } = table;
    const rows = await db(client)
      .select({ id, name })
      .from(table)
      .where(or(eq(id, given), sql`lower(${name}) = lower(${given})`))
      .orderBy(ne(id, given), id)
      .limit(MAX_CANDIDATES);
    const [first, second] = rows;
    if (first !== undefined && (second === undefined || first.id === given)) return { kind: 'found', ...first };
    if (first !== undefined) return { kind: 'ambiguous', candidates: rows };
    return { kind: 'unknown', known: await namesInOrder(client, table, MAX_COMPARED).where(isNotNull(name)) };
  });

/** For suggestions while typing: the organizations by name, those that are gone included. */
export const readOrganizationNames = async (pool: Pool, limit: number): Promise<readonly OrganizationName[]> =>
  await namesInOrder(pool, organizations, limit);

/** The same of accounts. */
export const readAccountNames = async (pool: Pool, limit: number): Promise<readonly OrganizationName[]> =>
  await namesInOrder(pool, accounts, limit);

/** Those without a name come last. */
const namesInOrder = (client: Pool | PoolClient, table: Named, limit: number) => {
  const { id, name } = table;
  return db(client).select({ id, name }).from(table).orderBy(name, id).limit(limit).$dynamic();
};

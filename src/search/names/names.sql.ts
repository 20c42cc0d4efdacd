import { eq, isNotNull, ne, or, sql } from 'drizzle-orm';
import type { Pool, PoolClient } from 'pg';
import type { AuditApiOptions } from '../../ingest/cloudflare/audit-api.ts';
import type { SourceKey } from '../../ingest/planning/source.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import { db, readOnly } from '../../postgres/queries.ts';
import { accounts, organizations } from '../../postgres/tables/sources.ts';
import type { NamedOrganization, OrganizationLookup, OrganizationName } from './names.ts';

const TIMEOUT_MS = 3_000;
/** With one name; more would not be read. */
const MAX_CANDIDATES = 10;
const MAX_COMPARED = 20_000;

type Named = typeof organizations | typeof accounts;

/** By an id, or by a name whatever the case of its letters. An id counts before a name. */
export const lookUpOrganization = (pool: Pool, given: string): Promise<OrganizationLookup> =>
  lookUp(pool, organizations, given);

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

/** For suggestions while typing: by name, those without one last, those that are gone included. */
export const readOrganizationNames = async (pool: Pool, limit: number): Promise<readonly OrganizationName[]> =>
  await namesInOrder(pool, organizations, limit);

export const readAccountNames = async (pool: Pool, limit: number): Promise<readonly OrganizationName[]> =>
  await namesInOrder(pool, accounts, limit);

const namesInOrder = (client: Pool | PoolClient, table: Named, limit: number) => {
  const { id, name } = table;
  return db(client).select({ id, name }).from(table).orderBy(name, id).limit(limit).$dynamic();
};

/** All that have ever been seen, gone ones included: for commands that take a name. */
export const readNamedOrganizations = (pool: Pool): Promise<readonly NamedOrganization[]> =>
  readNamed(pool, organizations);
export const readNamedAccounts = (pool: Pool): Promise<readonly NamedOrganization[]> => readNamed(pool, accounts);

const readNamed = async (pool: Pool, table: Named): Promise<readonly NamedOrganization[]> => {
  const { id, name, state } = table;
  return await db(pool)
    .select({ id, name, gone: sql<boolean>`${state} = 'gone'` })
    .from(table)
    .orderBy(id);
};

/** Undefined: it has no name, or is not known. */
export type NameOf = (organizationId: string) => string | undefined;

export interface Names {
  readonly organization: NameOf;
  readonly account: (accountId: string) => string | undefined;
  /** Of the owner of a log. */
  readonly source: (source: SourceKey) => string | undefined;
}

export const noNames: Names = { organization: () => undefined, account: () => undefined, source: () => undefined };

/** Knows the names that the database has, and those that listings have told since (`onListed`). A start does not wait for them. */
export const watchNames = (pool: Pool): { names: Names; onListed: NonNullable<AuditApiOptions['onListed']> } => {
  const organization = new Map<string, string>();
  const account = new Map<string, string>();
  learn(organization, readNamedOrganizations(pool));
  learn(account, readNamedAccounts(pool));
  const known = { organization, account };
  return {
    names: {
      organization: (id) => organization.get(id),
      account: (id) => account.get(id),
      source: (source) => known[kindOf(source).owner].get(source.id),
    },
    onListed: (owner, id, name) => known[owner].set(id, name),
  };
};

const learn = (names: Map<string, string>, reading: Promise<readonly NamedOrganization[]>): void => {
  reading.then(
    (known) => {
      for (const { id, name } of known) if (name !== null && !names.has(id)) names.set(id, name);
    },
    () => {
      // Log lines then have ids alone until the next listing. Whatever else asks the database says what is wrong with it.
    },
  );
};

import { type SQL, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { SourceKey } from '../../ingest/planning/source.ts';
import { db } from '../../postgres/db.ts';

/**
 * SQL: the source of a row of `table`, which has the columns source_kind and source_id, may be one of these. Arrays: the condition reaches the index
 * of each table through views and groups. It lets through an id of one kind for another kind, too. Undefined: all of them.
 */
export const mayBeAmong = (keys: readonly SourceKey[] | undefined, table: string): SQL => {
  if (keys === undefined) return sql`true`;
  const any = (values: readonly string[]) => sql`any(${sql.param(values)}::text[])`;
  const kinds = [...new Set(keys.map(({ kind }) => kind))];
  const [kind, id] = [sql.raw(`${table}.source_kind`), sql.raw(`${table}.source_id`)];
  return sql`${kind} = ${any(kinds)} and ${id} = ${any(keys.map((key) => key.id))}`;
};

/** The logs of organizations, without those of accounts. */
export const organizationKeys = (pool: Pool): Promise<readonly SourceKey[]> =>
  keysWhere(pool, sql`s.account_id is null`);

/** The log of an organization, and those of the accounts that belong to it now. */
export const keysOfOrganization = (pool: Pool, organizationId: string): Promise<readonly SourceKey[]> =>
  keysWhere(pool, sql`coalesce(s.organization_id, a.organization_id) = ${organizationId}`);

/** The logs of an account. */
export const keysOfAccount = (pool: Pool, accountId: string): Promise<readonly SourceKey[]> =>
  keysWhere(pool, sql`s.account_id = ${accountId}`);

const keysWhere = async (pool: Pool, condition: SQL): Promise<readonly SourceKey[]> => {
  const { rows } = await db(pool).execute<{ kind: string; id: string }>(
    sql`select s.kind, s.id from sources s left join accounts a on a.id = s.account_id where ${condition}`,
  );
  return rows;
};

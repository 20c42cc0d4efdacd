import { inArray, type SQL, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import type { SourceKey } from '../ingest/planning/source.ts';
import type { SourceScope } from '../ingest/sync/store/sources.sql.ts';
import { db } from '../postgres/queries.ts';
import { syncStatus } from '../postgres/tables/sources.ts';

/** What is missing limits nothing. */
export interface StatusScope {
  readonly kinds?: readonly string[] | undefined;
  readonly organizationIds?: SourceScope['organizationIds'];
  readonly accounts?: SourceScope['accounts'];
}

export const statusScopeOf = (config: {
  readonly sources: readonly string[];
  readonly organizationIds: SourceScope['organizationIds'];
  readonly accounts: SourceScope['accounts'];
}): StatusScope => ({
  kinds: config.sources,
  organizationIds: config.organizationIds,
  accounts: config.accounts,
});

/** The rows of sync_status that are shown: the same sources as `loadSources` plans. */
export const isShown = ({ kinds, organizationIds, accounts = 'all' }: StatusScope): SQL => {
  const { sourceKind, organizationId, accountId, organizationState, accountState } = syncStatus;
  const among = (ids: readonly string[]) => sql`any(${sql.param(ids)}::text[])`;
  const ofOrganization = organizationIds === undefined ? sql`true` : sql`${organizationId} = ${among(organizationIds)}`;
  const listed = sql`exists (select from account_organizations shown where shown.account_id = ${accountId}
    and shown.organization_id is not null
    and ${organizationIds === undefined ? sql`true` : sql`shown.organization_id = ${among(organizationIds)}`})`;
  const ofAccount =
    typeof accounts !== 'string'
      ? sql`${accountId} = ${among(accounts)}`
      : accounts === 'organizations' || organizationIds !== undefined
        ? listed
        : sql`true`;
  const ofKind = kinds === undefined ? sql`true` : inArray(sourceKind, [...kinds]);
  return sql`coalesce(${accountState}, ${organizationState}) <> 'gone' and ${ofKind}
    and case when ${accountId} is null then ${ofOrganization} else ${ofAccount} end`;
};

/** A superset of these sources for rows of `table`. Arrays, so that the condition reaches each table's index through views and groups. */
export const mayBeAmong = (keys: readonly SourceKey[] | undefined, table: string): SQL => {
  if (keys === undefined) return sql`true`;
  const any = (values: readonly string[]) => sql`any(${sql.param(values)}::text[])`;
  const kinds = [...new Set(keys.map(({ kind }) => kind))];
  const [kind, id] = [sql.raw(`${table}.source_kind`), sql.raw(`${table}.source_id`)];
  return sql`${kind} = ${any(kinds)} and ${id} = ${any(keys.map((key) => key.id))}`;
};

export const organizationKeys = (pool: Pool): Promise<readonly SourceKey[]> =>
  keysWhere(pool, sql`s.account_id is null`);

/** With the accounts that belong to it now. */
export const keysOfOrganization = (pool: Pool, organizationId: string): Promise<readonly SourceKey[]> =>
  keysWhere(pool, sql`coalesce(s.organization_id, a.organization_id) = ${organizationId}`);

export const keysOfAccount = (pool: Pool, accountId: string): Promise<readonly SourceKey[]> =>
  keysWhere(pool, sql`s.account_id = ${accountId}`);

const keysWhere = async (pool: Pool, condition: SQL): Promise<readonly SourceKey[]> => {
  const { rows } = await db(pool).execute<{ kind: string; id: string }>(
    sql`select s.kind, s.id from sources s left join accounts a on a.id = s.account_id where ${condition}`,
  );
  return rows;
};

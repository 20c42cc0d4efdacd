import { inArray, type SQL, sql } from 'drizzle-orm';
import type { SourceScope } from '../ingest/sync/stored-sources/load-sources.sql.ts';
import { syncStatus } from '../postgres/tables/sources.ts';

/** Which sources a status shows: those that are read. What is missing limits nothing. */
export interface StatusScope {
  /** The kinds that are read. */
  readonly kinds?: readonly string[] | undefined;
  readonly organizationIds?: SourceScope['organizationIds'];
  readonly accounts?: SourceScope['accounts'];
}

/** What is read under a configuration. */
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

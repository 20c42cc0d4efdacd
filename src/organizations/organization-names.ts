import type { SourceKey } from '../ingest/planning/source.ts';
import { kindOf } from '../ingest/sources/registry.ts';
import type { AccountsPage, AuditApi } from '../ingest/sync/ports.ts';
import type { Pool } from '../postgres/pool.ts';
import { readNamedAccounts } from './named-accounts.sql.ts';
import { readNamedOrganizations } from './named-organizations.sql.ts';

/** The name of an organization; undefined: it has none, or is not known. For log lines. */
export type NameOf = (organizationId: string) => string | undefined;

/** Names for log lines, of what is known at the moment. */
export interface Names {
  readonly organization: NameOf;
  readonly account: (accountId: string) => string | undefined;
  /** Of what a log belongs to. */
  readonly source: (source: SourceKey) => string | undefined;
}

export const noNames: Names = { organization: () => undefined, account: () => undefined, source: () => undefined };

/** Knows the names that the database has, and those of every listing since. A start does not wait for them. */
export const watchNames = (pool: Pool, api: AuditApi): { names: Names; api: AuditApi } => {
  const organizations = new Map<string, string>();
  const accounts = new Map<string, string>();
  learn(organizations, readNamedOrganizations(pool));
  learn(accounts, readNamedAccounts(pool));
  const seen = async function* (pages: AsyncIterable<AccountsPage>): AsyncIterable<AccountsPage> {
    for await (const page of pages) {
      for (const { id, name } of page.accounts) if (name !== undefined) accounts.set(id, name);
      yield page;
    }
  };
  return {
    names: {
      organization: (id) => organizations.get(id),
      account: (id) => accounts.get(id),
      source: (source) => (kindOf(source).owner === 'account' ? accounts : organizations).get(source.id),
    },
    api: {
      ...api,
      listOrganizations: async function* (filter, signal) {
        for await (const page of api.listOrganizations(filter, signal)) {
          for (const { id, name } of page) if (name !== undefined) organizations.set(id, name);
          yield page;
        }
      },
      listAccounts: (...asked) => seen(api.listAccounts(...asked)),
      listAccountsOf: (...asked) => seen(api.listAccountsOf(...asked)),
    },
  };
};

const learn = (
  names: Map<string, string>,
  reading: Promise<readonly { readonly id: string; readonly name: string | null }[]>,
): void => {
  reading.then(
    (known) => {
      for (const { id, name } of known) if (name !== null && !names.has(id)) names.set(id, name);
    },
    () => {
      // Log lines then have ids alone until the next listing. What else asks the database says what is wrong with it.
    },
  );
};

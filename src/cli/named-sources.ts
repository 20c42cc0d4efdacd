import type { ChooseSources, ChosenSources } from '../app/open-app.ts';
import type { Config } from '../config/config.ts';
import { OrgtrailError } from '../errors.ts';
import { readNamedAccounts } from '../organizations/named-accounts.sql.ts';
import { matchOrganization } from '../organizations/named-organization.ts';
import type { Pool } from '../postgres/pool.ts';
import { idForm, type ListOrganizations, organizationIds, requireOne } from './organization-ids.ts';

/** The values of `--organization` and `--account`, which commands take together. */
export interface NamedSources {
  readonly organization?: readonly string[] | undefined;
  readonly account?: readonly string[] | undefined;
}

/** What `--organization` and `--account` mean to the application: undefined when neither was given. */
export const chooseSources = (named: NamedSources, signal: AbortSignal): ChooseSources | undefined =>
  named.organization === undefined && named.account === undefined
    ? undefined
    : (config, pool, api) => chosenSources(config, pool, named, () => api.listOrganizations({}, signal));

/**
 * The sources that these options name, by id or by name. `--organization` is the organization's own log and those of its accounts; `--account` the
 * account's. With `list`, Cloudflare is asked for what the database does not know, and what has the form of an id is taken for one. Throws
 * OrgtrailError `usage` for a name that is unknown or that several have, and for accounts while they are not read.
 */
export const chosenSources = async (
  config: Pick<Config, 'sources' | 'organizationIds' | 'accounts'>,
  pool: Pool,
  { organization, account }: NamedSources,
  list?: ListOrganizations,
): Promise<ChosenSources> => {
  const chosen = organization && (await organizationIds(pool, organization, list));
  if (account === undefined) {
    if (chosen === undefined) return { ...config, newAccounts: [] };
    // Accounts that the configuration names one by one belong to no organization that was asked for.
    const sources =
      typeof config.accounts === 'string' ? config.sources : config.sources.filter((kind) => kind !== 'account');
    return { sources, organizationIds: chosen, accounts: 'organizations', newAccounts: [] };
  }
  if (!config.sources.includes('account')) {
    throw new OrgtrailError('usage', '--account names the log of an account, and these are not read', {
      hint: 'set ORGTRAIL_SOURCES=organizations,accounts',
    });
  }
  const { ids, unknown } = await accountIds(pool, account, list !== undefined);
  return {
    sources: chosen === undefined ? ['account'] : config.sources,
    organizationIds: chosen ?? config.organizationIds,
    accounts: ids,
    newAccounts: unknown,
  };
};

const accountIds = async (
  pool: Pool,
  texts: readonly string[],
  mayBeNew: boolean,
): Promise<{ readonly ids: readonly string[]; readonly unknown: readonly string[] }> => {
  const known = await readNamedAccounts(pool);
  const isNew = (text: string): boolean =>
    mayBeNew && idForm.test(text) && matchOrganization(text, known).kind === 'unknown';
  const unknown = [...new Set(texts.filter(isNew).map((text) => text.toLowerCase()))];
  const found = texts.filter((text) => !isNew(text)).map((text) => requireOne(text, known, 'account'));
  return { ids: [...new Set([...found, ...unknown])], unknown };
};

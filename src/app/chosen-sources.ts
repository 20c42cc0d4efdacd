import { ApiError, OrgtrailError } from '../base/errors.ts';
import type { FoundOrganization } from '../ingest/planning/source.ts';
import type { Pool } from '../postgres/pool.ts';
import { readNamedAccounts, readNamedOrganizations } from '../search/names/names.sql.ts';
import { matchOrganization, type NamedOrganization, oneNamed } from '../search/names/names.ts';
import type { Config } from './config/config.ts';
import type { ChooseSources, ChosenSources } from './open-app.ts';

const idForm = /^[0-9a-f]{32}$/i;

/** For organizations that the database does not know yet. */
type ListOrganizations = () => AsyncIterable<readonly FoundOrganization[]>;

/**
 * Ids of organizations given by id or name. With `list`, Cloudflare is asked for unknown names and any id is taken.
 * Throws OrgtrailError `usage` for unknown or ambiguous names.
 */
export const organizationIds = async (
  pool: Pool,
  texts: readonly string[],
  list?: ListOrganizations,
): Promise<readonly string[]> => {
  let known = await readNamedOrganizations(pool);
  const isId = (text: string) => list !== undefined && idForm.test(text);
  const isUnknown = (text: string) => !isId(text) && matchOrganization(text, known).kind === 'unknown';
  if (list !== undefined && texts.some(isUnknown)) known = [...known, ...(await listed(list, known))];
  return [...new Set(texts.map((text) => (isId(text) ? text.toLowerCase() : oneNamed(text, known))))];
};

const listed = async (list: ListOrganizations, known: readonly NamedOrganization[]): Promise<NamedOrganization[]> => {
  const ids = new Set(known.map(({ id }) => id));
  const more: NamedOrganization[] = [];
  try {
    for await (const page of list()) {
      for (const { id, name = null } of page) if (!ids.has(id)) more.push({ id, name, gone: false });
    }
  } catch (error) {
    // A credential that may not list can still read by id.
    if (!(error instanceof ApiError) || error.failure !== 'refused') throw error;
  }
  return more;
};

/** Accounts of the database, given by id or name. Throws OrgtrailError `usage` for unknown or ambiguous names. */
export const accountIds = async (pool: Pool, texts: readonly string[]): Promise<readonly string[]> => {
  const known = await readNamedAccounts(pool);
  return [...new Set(texts.map((text) => oneNamed(text, known, 'account')))];
};

export interface NamedSources {
  readonly organization?: readonly string[] | undefined;
  readonly account?: readonly string[] | undefined;
}

/** Undefined when neither was given. */
export const chooseSources = (named: NamedSources, signal: AbortSignal): ChooseSources | undefined =>
  named.organization === undefined && named.account === undefined
    ? undefined
    : (config, pool, api) => chosenSources(config, pool, named, () => api.listOrganizations({}, signal));

/**
 * `--organization`: its own log and those of its accounts; `--account`: the account's. `list` as above.
 * Throws OrgtrailError `usage` for unknown or ambiguous names, and for accounts while they are not read.
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
    // Accounts named one by one belong to no organization asked for.
    const sources =
      typeof config.accounts === 'string' ? config.sources : config.sources.filter((kind) => kind !== 'account');
    return { sources, organizationIds: chosen, accounts: 'organizations', newAccounts: [] };
  }
  if (!config.sources.includes('account')) {
    throw new OrgtrailError('usage', '--account names the log of an account, and these are not read', {
      hint: 'set ORGTRAIL_SOURCES=organizations,accounts',
    });
  }
  const { ids, unknown } = await accountIdsOrNew(pool, account, list !== undefined);
  return {
    sources: chosen === undefined ? ['account'] : config.sources,
    organizationIds: chosen ?? config.organizationIds,
    accounts: ids,
    newAccounts: unknown,
  };
};

const accountIdsOrNew = async (
  pool: Pool,
  texts: readonly string[],
  mayBeNew: boolean,
): Promise<{ readonly ids: readonly string[]; readonly unknown: readonly string[] }> => {
  const known = await readNamedAccounts(pool);
  const isNew = (text: string): boolean =>
    mayBeNew && idForm.test(text) && matchOrganization(text, known).kind === 'unknown';
  const unknown = [...new Set(texts.filter(isNew).map((text) => text.toLowerCase()))];
  const found = texts.filter((text) => !isNew(text)).map((text) => oneNamed(text, known, 'account'));
  return { ids: [...new Set([...found, ...unknown])], unknown };
};

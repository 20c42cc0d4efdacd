import type { SourceKey } from '../../planning/source.ts';
import { kindOf } from '../../sources/registry.ts';
import type { SourceBudget } from '../../sync/ports.ts';
import type { CredentialAccess } from './by-credential.ts';
import { type CredentialFacts, mayUse } from './choice.ts';

/** A credential, and whom it is counted for: the same for all credentials of a user. */
export interface CountedAccess
  extends Pick<CredentialAccess, 'name' | 'accounts' | 'organizations' | 'isUser' | 'budget'> {
  readonly countedFor: string;
}

/**
 * Whose budget each source is read with, for a plan: that of the credential that has read it last, before that of its account's own token,
 * else of the first that is for it. Looked up for each of many sources, so not by ranking all credentials. With one credential all sources
 * have its budget.
 */
export const createSourceBudgets =
  (current: () => readonly CountedAccess[], facts: Pick<CredentialFacts, 'reader' | 'onlyAccount'>) =>
  (): ((source: SourceKey) => SourceBudget) => {
    const all = current();
    const byName = new Map(all.map((access) => [access.name, access]));
    const ownOf = new Map(all.flatMap((access) => accountsOf(access, facts).map((id) => [id, access] as const)));
    const budgetOf = new Map(all.map(({ name, countedFor, budget }) => [name, { name: countedFor, requests: budget }]));
    const chosen = (source: SourceKey): CountedAccess | undefined => {
      const own = kindOf(source).owner === 'account' ? ownOf.get(source.id) : undefined;
      return own ?? byName.get(facts.reader(source) ?? '') ?? all.find((access) => mayUse(access, source)) ?? all[0];
    };
    return (source) => budgetOf.get(chosen(source)?.name ?? '') ?? { name: '', requests: Number.POSITIVE_INFINITY };
  };

/** The accounts that a credential comes first for: those that the configuration names, or that of an account's own token. */
const accountsOf = (access: CountedAccess, facts: Pick<CredentialFacts, 'onlyAccount'>): readonly string[] => {
  if (typeof access.accounts !== 'boolean') return access.accounts;
  const only = access.accounts && !access.isUser ? facts.onlyAccount(access.name) : undefined;
  return only === undefined ? [] : [only];
};

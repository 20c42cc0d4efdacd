import type { SourceKey } from '../../planning/source.ts';
import { kindOf } from '../../sources/registry.ts';
import type { SourceBudget } from '../../sync/ports.ts';
import { type Candidate, type CredentialFacts, loadsOf, mayUse } from './choice.ts';

/**
 * Whose budget each source is read with, for a plan: that of the credential that has read it last, before that of its account's own token,
 * else of that with room of those that list it, or of the first that is for it. Looked up for each of many sources, so not by ranking all credentials. With one credential all sources
 * have its budget.
 */
export const createSourceBudgets =
  (current: () => readonly Candidate[], facts: CredentialFacts) => (): ((source: SourceKey) => SourceBudget) => {
    const all = current();
    const byName = new Map(all.map((access) => [access.name, access]));
    const ownOf = new Map(all.flatMap((access) => accountsOf(access, facts).map((id) => [id, access] as const)));
    const budgetOf = new Map(all.map(({ name, countedFor, budget }) => [name, { name: countedFor, requests: budget }]));
    const planned = new Map<string, number>();
    const unread = (source: SourceKey): Candidate | undefined => {
      const may = all.filter((access) => mayUse(access, source));
      const listed = may.filter(({ name }) => facts.lists(name, source));
      const loadOf = loadsOf(all, facts, planned);
      const least = listed.reduce<Candidate | undefined>(
        (best, each) => (best === undefined || loadOf(each) < loadOf(best) ? each : best),
        undefined,
      );
      const access = least ?? may[0] ?? all[0];
      if (access !== undefined) planned.set(access.countedFor, (planned.get(access.countedFor) ?? 0) + 1);
      return access;
    };
    const chosen = (source: SourceKey): Candidate | undefined => {
      const own = kindOf(source).owner === 'account' ? ownOf.get(source.id) : undefined;
      return own ?? byName.get(facts.reader(source) ?? '') ?? (all.length > 1 ? unread(source) : all[0]);
    };
    return (source) => budgetOf.get(chosen(source)?.name ?? '') ?? { name: '', requests: Number.POSITIVE_INFINITY };
  };

/** The accounts that a credential comes first for: those that the configuration names, or that of an account's own token. */
const accountsOf = (access: Candidate, facts: Pick<CredentialFacts, 'onlyAccount'>): readonly string[] => {
  if (typeof access.accounts !== 'boolean') return access.accounts;
  const only = access.accounts && !access.isUser ? facts.onlyAccount(access.name) : undefined;
  return only === undefined ? [] : [only];
};

import { ApiError } from '../../base/errors.ts';
import type { FoundOrganization, SourceKey } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';
import { PartialListingError } from '../sync/discovery/discover.ts';
import type { AccountsPage, AuditApi, ListingFilter, SourceBudget } from '../sync/ports.ts';
import type { StoredFacts } from './credential-access.sql.ts';
import {
  byRoom,
  type Candidate,
  type CredentialFacts,
  isAllowed,
  isBroken,
  isRefusal,
  type LiveCredential,
  loadsOf,
  pickError,
  type Refusals,
  rankCandidates,
  shouldTryNext,
} from './credentials.ts';

export interface CredentialAccess extends LiveCredential, Candidate {
  readonly api: AuditApi;
  /** Its name in api_budget, the same in every process. */
  readonly key: string;
}

export interface ByCredentialOptions {
  readonly current: () => readonly CredentialAccess[];
  readonly facts: StoredFacts;
  readonly refusals: Refusals;
  /** A credential failed to list organizations that it may show; the others are listed. */
  readonly onListingFailed: (credential: string, error: ApiError) => void;
}

const organizationOf = (id: string): SourceKey => ({ kind: 'organization', id });

/** Each source is read with the best credential that may (credentials.ts); a refusal moves on to the next. */
export const createApiByCredential = (options: ByCredentialOptions): AuditApi => {
  const { current, facts } = options;
  const { candidates, first, firstListing } = createChooser(options);
  return {
    fetchPage: (source, walk, signal, attemptMs) =>
      first(
        source,
        LOG,
        async (access) => {
          const page = await access.api.fetchPage(source, walk, signal, attemptMs);
          await facts.hasRead(isAlone(current()) ? { key: access.key } : access, source);
          return page;
        },
        ({ failure }) => failure === 'not_found' && walk.cursor !== undefined,
      ),
    probeAuditLog: async (source, signal) => await probeWithEach(await candidates(source), source, signal),
    listOrganizations: (filter, signal) =>
      filter.parentId === undefined
        ? listWithEach(options, filter, signal)
        : firstListing(
            organizationOf(filter.parentId),
            ({ api }) => api.listOrganizations(filter, signal),
            (page) => page.length > 0,
          ),
    listAccounts: (signal, credential, from) => listAccounts(options, signal, credential, from),
    listAccountsOf: (id, signal, from) =>
      firstListing(
        organizationOf(id),
        ({ api }) => api.listAccountsOf(id, signal, from),
        ({ accounts }) => accounts.length > 0,
      ),
    getOrganization: (id, signal) =>
      first(organizationOf(id), 'organization', ({ api }) => api.getOrganization(id, signal)),
    getProfile: (id, signal) => first(organizationOf(id), 'profile', ({ api }) => api.getProfile(id, signal)),
    nowMs: () => current()[0]?.api.nowMs(),
  };
};

const LOG = 'log';

/** One that may be used for everything: there is nothing to choose, and no source need say which one reads it. */
const isAlone = (all: readonly CredentialAccess[]): boolean =>
  all.length === 1 && all[0]?.accounts === true && all[0].organizations === true;

const createChooser = (options: ByCredentialOptions) => {
  const { facts, refusals } = options;
  const { candidates, begin } = createRanking(options);
  const note = (access: CredentialAccess, what: string, error: ApiError): void => {
    if (isBroken(error)) refusals.broken(access, error);
    else refusals.refused(access, what, error);
  };
  return {
    candidates,
    /** `isOfRequest`: the error says nothing about the credential, as when a cursor has expired. */
    first: async <T>(
      source: SourceKey,
      what: string,
      call: (access: CredentialAccess) => Promise<T>,
      isOfRequest: (error: ApiError) => boolean = () => false,
    ): Promise<T> => {
      const key = `${what} ${source.kind}/${source.id}`;
      const skipped: { readonly access: CredentialAccess; readonly error: ApiError }[] = [];
      const errors: ApiError[] = [];
      const ask = async (access: CredentialAccess): Promise<{ readonly answer: T } | undefined> => {
        const end = what === LOG ? begin(access, source) : undefined;
        try {
          const answer = await call(access);
          refusals.answered(access, key);
          return { answer };
        } catch (error) {
          if (!shouldTryNext(error) || isOfRequest(error)) throw error;
          note(access, key, error);
          errors.push(error);
          return undefined;
        } finally {
          end?.();
        }
      };
      for (const access of await candidates(source, what === LOG)) {
        const error = refusals.why(access, key);
        const answered = error === undefined ? await ask(access) : undefined;
        if (answered !== undefined) return answered.answer;
        if (error !== undefined) skipped.push({ access, error });
      }
      if (errors.length > 0) throw pickError([...skipped.map(({ error }) => error), ...errors], source);
      // If nothing else is left, each is retried: the caller rests between its questions.
      for (const { access } of skipped) {
        const answered = await ask(access);
        if (answered !== undefined) return answered.answer;
      }
      throw pickError(errors, source);
    },
    /** From the first that is shown something. One that is shown nothing may just not see what is there: those that
     * list the source or have read it are asked as well, and it is empty only if none of them is shown anything. */
    firstListing: async function* <T>(
      source: SourceKey,
      list: (access: CredentialAccess) => AsyncIterable<T>,
      showsSomething: (page: T) => boolean,
    ): AsyncIterable<T> {
      const errors: ApiError[] = [];
      let empty: readonly T[] | undefined;
      for (const access of await candidates(source)) {
        if (empty !== undefined && !canSee(facts, access, source)) continue;
        let begun = false;
        const held: T[] = [];
        try {
          for await (const page of list(access)) {
            held.push(page);
            begun ||= showsSomething(page);
            if (begun) yield* held.splice(0);
          }
          if (begun) return;
          empty ??= held;
        } catch (error) {
          if (begun || !shouldTryNext(error)) throw error;
          errors.push(error);
        }
      }
      if (empty === undefined) throw pickError(errors, source);
      yield* empty;
    },
  };
};

const createRanking = ({ current, facts }: ByCredentialOptions) => {
  const indexOf = createIndex();
  /** First readings under way, by `countedFor`. */
  const begun = new Map<string, number>();
  const add = ({ countedFor }: CredentialAccess, change: 1 | -1): void => {
    begun.set(countedFor, (begun.get(countedFor) ?? 0) + change);
  };
  /** Those that are known to see it, and only if all of them fail any others: of thousands, one is asked. */
  const ranked = function* (source: SourceKey, byTheirRoom: boolean): Iterable<CredentialAccess> {
    const all = current();
    const near = indexOf(all).near(source, facts);
    const order = (among: readonly CredentialAccess[]) => {
      const compare = byTheirRoom && among.length > 1 ? byRoom(all, facts, begun) : undefined;
      return rankCandidates(among, source, facts, compare);
    };
    yield* order(near);
    yield* order(all)
      .filter((each) => !near.includes(each))
      .slice(0, MOST_STRANGERS);
  };
  return {
    candidates: async (source: SourceKey, isOfLog = false): Promise<Iterable<CredentialAccess>> => {
      if (!isAlone(current())) await facts.refresh();
      return ranked(source, isOfLog && facts.reader(source) === undefined);
    },
    /** The first reading of a source counts as one of the principal until it has ended. */
    begin: (access: CredentialAccess, source: SourceKey): (() => void) | undefined => {
      if (facts.reader(source) !== undefined) return undefined;
      add(access, 1);
      return () => add(access, -1);
    },
  };
};

/** Credentials that neither list a source nor have read it are not asked by the thousand. */
const MOST_STRANGERS = 50;

/** Made once for a list of credentials. */
const createIndex = () => {
  let of: readonly Candidate[] | undefined;
  let byName = new Map<string, number>();
  let named = new Map<string, number[]>();
  return <C extends Candidate>(all: readonly C[]) => {
    if (of !== all) {
      of = all;
      byName = new Map(all.map(({ name }, place) => [name, place]));
      named = new Map();
      for (const [place, { accounts }] of all.entries()) {
        if (typeof accounts === 'boolean') continue;
        for (const id of accounts) named.set(id, [...(named.get(id) ?? []), place]);
      }
    }
    return {
      /** Those for its account, its reader and those that list it, in the order of the configuration. */
      near: (source: SourceKey, facts: Pick<CredentialFacts, 'reader' | 'listers'>): readonly C[] => {
        const own = kindOf(source).owner === 'account' ? (named.get(source.id) ?? []) : [];
        const known = [...facts.listers(source), facts.reader(source) ?? ''].map((name) => byName.get(name));
        const places = new Set([...own, ...known]);
        places.delete(undefined);
        return [...places].toSorted((a = 0, b = 0) => a - b).flatMap((place = -1) => all[place] ?? []);
      },
    };
  };
};

const canSee = (facts: StoredFacts, { name }: CredentialAccess, source: SourceKey): boolean =>
  facts.lists(name, source) || facts.reader(source) === name;

const probeWithEach = async (candidates: Iterable<CredentialAccess>, source: SourceKey, signal: AbortSignal) => {
  let failed: ApiError | undefined;
  for (const { api } of candidates) {
    try {
      if ((await api.probeAuditLog(source, signal)) === 'open') return 'open';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failed ??= error;
    }
  }
  if (failed !== undefined) throw failed;
  return 'refused';
};

/** What GET /accounts shows to one credential, as far as it may be used for it. */
const listAccounts = async function* (
  { current, facts }: ByCredentialOptions,
  signal: AbortSignal,
  credential: string | undefined,
  from: string | undefined,
): AsyncIterable<AccountsPage> {
  const access = current().find(({ name }) => credential === undefined || name === credential);
  if (access === undefined) throw new ApiError('refused', `the credential ${credential} is not configured any more`);
  for await (const { accounts, total, ...page } of access.api.listAccounts(signal, credential, from)) {
    const mine = accounts.filter(({ id }) => isAllowed(access, { kind: 'account', id }));
    facts.hasListed(access.name, 'account', mine);
    yield { ...page, accounts: mine, total: typeof access.accounts === 'boolean' ? total : undefined };
  }
};

const LISTING = 'organizations';

/**
 * What GET /organizations shows to any of them. One that fails does not keep the others from being listed; if it may
 * show more and the listing must be whole, it ends with PartialListingError. A credential that may not list is
 * retried after an hour.
 */
const listWithEach = async function* (
  { current, facts, refusals, onListingFailed }: ByCredentialOptions,
  { mustBeWhole = false, ...filter }: ListingFilter,
  signal: AbortSignal,
): AsyncIterable<readonly FoundOrganization[]> {
  const configured = current();
  if (!isAlone(configured)) await facts.refresh(true);
  const all = mayList(configured);
  const rests = (access: CredentialAccess) => refusals.why(access, LISTING);
  const resting = all.filter((access) => rests(access) !== undefined);
  const asked = resting.length === all.length ? all : all.filter((access) => !resting.includes(access));
  const failed = resting.flatMap((access) => {
    const error = asked.includes(access) ? undefined : rests(access);
    return error === undefined ? [] : [{ access, error }];
  });
  let answered = 0;
  for (const access of asked) {
    try {
      for await (const page of access.api.listOrganizations({ ...filter, mustBeWhole }, signal))
        yield shownTo(access, page, facts);
      answered += 1;
      refusals.answered(access, LISTING);
    } catch (error) {
      if (!(error instanceof ApiError) || signal.aborted) throw error;
      failed.push({ access, error });
      if (error instanceof PartialListingError) {
        answered += 1;
        refusals.answered(access, LISTING);
        continue;
      }
      if (isBroken(error)) refusals.broken(access, error);
      else if (isRefusal(error)) refusals.refused(access, LISTING, error);
      // The token of an account, say, never may.
      const maySeeSome = !isRefusal(error) || facts.readsOrganizations(access.name);
      if (maySeeSome && !isAlone(configured)) onListingFailed(access.name, error);
    }
  }
  const errors = failed.map(({ error }) => error);
  if (answered === 0) throw pickError(errors, { kind: 'organization', id: '(any)' });
  const showsMore = failed.find(({ access, error }) => !isRefusal(error) || facts.readsOrganizations(access.name));
  if (mustBeWhole && showsMore !== undefined) throw new PartialListingError(showsMore.error);
};

/** The token of an account never may; alone, its refusal says so. */
const mayList = (configured: readonly CredentialAccess[]): readonly CredentialAccess[] => {
  const may = configured.filter(({ organizations }) => organizations !== false);
  const users = may.filter(({ isUser }) => isUser);
  return users.length > 0 ? users : may.slice(0, 1);
};

const shownTo = (
  access: CredentialAccess,
  page: readonly FoundOrganization[],
  facts: StoredFacts,
): readonly FoundOrganization[] => {
  const mine = page.filter(({ id }) => isAllowed(access, organizationOf(id)));
  facts.hasListed(access.name, 'organization', mine);
  return mine;
};

/**
 * Whose budget each source is read with, for a plan: that of its account's own token, else of the credential that read
 * it last, else of the least loaded of those that list it, else of those that may. Looked up for each of many
 * sources, so without ranking all credentials.
 */
export const createSourceBudgets =
  (current: () => readonly Candidate[], facts: CredentialFacts) => (): ((source: SourceKey) => SourceBudget) => {
    const all = current();
    const byName = new Map(all.map((access) => [access.name, access]));
    const ownOf = new Map(all.flatMap((access) => accountsOf(access, facts).map((id) => [id, access] as const)));
    const budgetOf = new Map(all.map(({ name, countedFor, budget }) => [name, { name: countedFor, requests: budget }]));
    const { near } = createIndex()(all);
    const users = all.filter(({ isUser }) => isUser);
    const planned = new Map<string, number>();
    const loadOf = loadsOf(all, facts, planned);
    const unread = (source: SourceKey): Candidate | undefined => {
      const listed = near(source, facts).filter((each) => isAllowed(each, source));
      const may = listed.length > 0 ? listed : users.filter((each) => isAllowed(each, source));
      const [first = all[0], ...others] = may;
      const least = others.reduce((best, each) => (best && loadOf(each) < loadOf(best) ? each : best), first);
      if (least !== undefined) planned.set(least.countedFor, (planned.get(least.countedFor) ?? 0) + 1);
      return least;
    };
    const chosen = (source: SourceKey): Candidate | undefined => {
      const own = kindOf(source).owner === 'account' ? ownOf.get(source.id) : undefined;
      return own ?? byName.get(facts.reader(source) ?? '') ?? (all.length > 1 ? unread(source) : all[0]);
    };
    return (source) => budgetOf.get(chosen(source)?.name ?? '') ?? { name: '', requests: Number.POSITIVE_INFINITY };
  };

/** The accounts that a credential comes first for: those that the configuration names, or an account's own token. */
const accountsOf = (access: Candidate, facts: Pick<CredentialFacts, 'onlyAccount'>): readonly string[] => {
  if (typeof access.accounts !== 'boolean') return access.accounts;
  const only = access.accounts && !access.isUser ? facts.onlyAccount(access.name) : undefined;
  return only === undefined ? [] : [only];
};

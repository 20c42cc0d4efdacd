import { ApiError, OrgtrailError } from '../../base/errors.ts';
import type { SourceKey } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';

/** How Cloudflare knows the caller: an API token, or the account email with the Global API Key. */
export type Credential =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'key'; readonly email: string; readonly key: string };

export interface NamedCredential {
  readonly name: string;
  readonly credential: Credential;
  /** Requests in any 5 minutes, of the principal; of several credentials of one user the smallest counts. */
  readonly budget: number;
  readonly accounts: boolean | readonly string[];
  readonly organizations: boolean | readonly string[];
}

export interface LiveCredential extends Omit<NamedCredential, 'credential'> {
  readonly source: CredentialSource;
}

export interface CredentialSource {
  /** The same object until it is renewed. */
  current(): Credential;
  /** Looks for a newer one; true if there is. */
  refresh(): boolean;
}

export const sourceOfCredential = (credential: Credential | CredentialSource): CredentialSource =>
  'current' in credential ? credential : { current: () => credential, refresh: () => false };

/**
 * Throws OrgtrailError `configuration` when a header cannot carry it, as with a line break inside, without quoting it.
 */
export function credentialHeaders(credential: Credential): Record<string, string> {
  const headers: Record<string, string> =
    credential.kind === 'token'
      ? { authorization: `Bearer ${credential.token}` }
      : { 'x-auth-email': credential.email, 'x-auth-key': credential.key };
  if (secretsOf(credential).some((secret) => secret === '' || /[^\x20-\x7e]/.test(secret))) {
    throw new OrgtrailError('configuration', 'The Cloudflare credential is empty or cannot be sent in a header.', {
      hint: 'It must be plain printable ASCII, on one line: look for a line break, a typographic quote or a space that came with a copy.',
    });
  }
  return headers;
}

/** Makes the credential unreadable in text from outside: a proxy's error page may quote the request. */
export type Redact = (text: string) => string;

export function createRedact(credential: Credential): Redact {
  const secrets = secretsOf(credential);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
}

function secretsOf(credential: Credential): readonly string[] {
  return credential.kind === 'token' ? [credential.token] : [credential.key, credential.email];
}

export interface Candidate extends Pick<LiveCredential, 'name' | 'accounts' | 'organizations' | 'budget'> {
  /** False once it is known to be counted by itself, as an account's token is. */
  readonly isUser: boolean;
  /** The same for all credentials of a user. */
  readonly countedFor: string;
  /** Requests of this process wait for its budget now. */
  isUsedUp(): boolean;
}

export interface CredentialFacts {
  lists(name: string, source: SourceKey): boolean;
  /** The names of all that list it. */
  listers(source: SourceKey): Iterable<string>;
  onlyAccount(name: string): string | undefined;
  reader(source: SourceKey): string | undefined;
  reads(name: string): number;
}

/** The sources that each principal reads, by its budget. `more`: what is about to be added, by `countedFor`. */
export const loadsOf = (
  candidates: readonly Candidate[],
  facts: Pick<CredentialFacts, 'reads'>,
  more: ReadonlyMap<string, number>,
): ((of: Candidate) => number) => {
  const reads = new Map<string, number>();
  for (const { name, countedFor } of candidates)
    reads.set(countedFor, (reads.get(countedFor) ?? 0) + facts.reads(name));
  return ({ countedFor, budget }) => ((reads.get(countedFor) ?? 0) + (more.get(countedFor) ?? 0)) / budget;
};

/** For a source that has not been read: a principal whose budget is used up comes last, else the least loaded first. */
export const byRoom = (
  candidates: readonly Candidate[],
  facts: Pick<CredentialFacts, 'reads'>,
  more: ReadonlyMap<string, number>,
): ((a: Candidate, b: Candidate) => number) => {
  const usedUp = new Set(candidates.filter((each) => each.isUsedUp()).map(({ countedFor }) => countedFor));
  const loadOf = loadsOf(candidates, facts, more);
  const isUsedUp = ({ countedFor }: Candidate): number => Number(usedUp.has(countedFor));
  return (a, b) => isUsedUp(a) - isUsedUp(b) || loadOf(a) - loadOf(b);
};

export const isAllowed = (
  credential: Pick<LiveCredential, 'accounts' | 'organizations'>,
  source: SourceKey,
): boolean => {
  const use = kindOf(source).owner === 'account' ? credential.accounts : credential.organizations;
  return typeof use === 'boolean' ? use : use.includes(source.id);
};

const OWN = 0;
const KNOWN = 1;
const UNKNOWN = 2;

/** Best first: the account's own token, the one that read it last, one that lists it, any other; among equals by
 * `compare`, then in the order of the configuration. The token of another account is none of them. */
export const rankCandidates = <C extends Candidate>(
  candidates: readonly C[],
  source: SourceKey,
  facts: CredentialFacts,
  compare: (a: C, b: C) => number = () => 0,
): readonly C[] => {
  const ofAccount = kindOf(source).owner === 'account';
  const reader = facts.reader(source);
  const tokenOf = (each: C): string | undefined => (each.isUser ? undefined : facts.onlyAccount(each.name));
  const rankOf = (each: C): number => {
    const isNamed = ofAccount && typeof each.accounts !== 'boolean';
    if (isNamed || (ofAccount && tokenOf(each) === source.id)) return OWN;
    return each.name === reader || facts.lists(each.name, source) ? KNOWN : UNKNOWN;
  };
  const isOfAnother = (each: C): boolean =>
    each.name !== reader && tokenOf(each) !== undefined && rankOf(each) === UNKNOWN;
  const may = candidates.filter((each) => isAllowed(each, source));
  const likely = may.filter((each) => !isOfAnother(each));
  const order = (each: C): number => 2 * rankOf(each) - (each.name === reader ? 1 : 0);
  // Without any other, the tokens of other accounts say why it cannot be read.
  return (likely.length > 0 ? likely : may.slice(0, 1)).toSorted((a, b) => order(a) - order(b) || compare(a, b));
};

/** Cloudflare's codes of a 400 for a token of a wrong form or without a meaning. */
const badTokenCodes = [6_003, 6_111];

export const isBroken = ({ failure, apiCodes }: ApiError): boolean =>
  failure === 'unauthorized' || (failure === 'bad_request' && apiCodes.some((code) => badTokenCodes.includes(code)));

export const isRefusal = ({ failure }: ApiError): boolean => failure === 'refused' || failure === 'not_found';

export const shouldTryNext = (error: unknown): error is ApiError =>
  error instanceof ApiError && (isRefusal(error) || isBroken(error));

/** A source counts as refused only if every credential is refused. */
export const pickError = (errors: readonly ApiError[], source: SourceKey): ApiError =>
  errors.find((error) => !isRefusal(error)) ??
  errors[0] ??
  new ApiError('refused', `no credential is for the ${kindOf(source).owner} ${source.id}`);

/** A rejected credential is retried after a minute, one without a permission after an hour. */
const BROKEN_REST_MS = 60_000;
const REFUSED_REST_MS = 3_600_000;

interface Refusal {
  readonly error: ApiError;
  readonly credential: Credential;
  readonly untilMs: number;
}

interface Named {
  readonly name: string;
  readonly source: CredentialSource;
}

/** What credentials were refused lately, so that they are not asked for each page. A renewed credential starts afresh.
 * `nowMs` never goes back. */
export const createRefusals = (nowMs: () => number) => {
  const known = new Map<string, Refusal>();
  const put = ({ source }: Named, key: string, error: ApiError, restMs: number): void => {
    known.set(key, { error, credential: source.current(), untilMs: nowMs() + restMs });
  };
  const inForce = ({ source }: Named, key: string): ApiError | undefined => {
    const found = known.get(key);
    if (found === undefined) return undefined;
    if (found.credential === source.current() && nowMs() < found.untilMs) return found.error;
    known.delete(key);
    return undefined;
  };
  return {
    why: (named: Named, what: string): ApiError | undefined =>
      inForce(named, named.name) ?? inForce(named, keyOf(named, what)),
    refused: (named: Named, what: string, error: ApiError) => put(named, keyOf(named, what), error, REFUSED_REST_MS),
    broken: (named: Named, error: ApiError) => put(named, named.name, error, BROKEN_REST_MS),
    answered: (named: Named, what: string): void => {
      known.delete(named.name);
      known.delete(keyOf(named, what));
    },
  };
};

export type Refusals = ReturnType<typeof createRefusals>;

const keyOf = ({ name }: Named, what: string): string => `${name} ${what}`;

import { ApiError, OrgtrailError } from '../../base/errors.ts';
import type { SourceKey } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';

/** How Cloudflare knows the caller: an API token, or the account email with the Global API Key. */
export type Credential =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'key'; readonly email: string; readonly key: string };

/** One of several credentials, and what it is for. */
export interface NamedCredential {
  readonly name: string;
  readonly credential: Credential;
  /** Requests in any 5 minutes of the one whom it is counted for; of several credentials of one user the smallest counts. */
  readonly budget: number;
  /** What it is used for: all of them, none, or these ids. */
  readonly accounts: boolean | readonly string[];
  readonly organizations: boolean | readonly string[];
}

/** The same while its secret may be renewed. */
export interface LiveCredential extends Omit<NamedCredential, 'credential'> {
  readonly source: CredentialSource;
}

/** The credential as it is now. */
export interface CredentialSource {
  /** The same object until it is renewed. */
  current(): Credential;
  /** Looks whether there is a newer one. True when `current` now gives it. */
  refresh(): boolean;
}

/** A credential by itself is one that is never renewed. */
export const sourceOfCredential = (credential: Credential | CredentialSource): CredentialSource =>
  'current' in credential ? credential : { current: () => credential, refresh: () => false };

/**
 * The headers that carry the credential. They belong in a request and nowhere else.
 *
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

/** Text from outside (a proxy's error page, say, that quotes the request) with the credential made unreadable. */
export type Redact = (text: string) => string;

export function createRedact(credential: Credential): Redact {
  const secrets = secretsOf(credential);
  return (text) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text);
}

function secretsOf(credential: Credential): readonly string[] {
  return credential.kind === 'token' ? [credential.token] : [credential.key, credential.email];
}

/** A credential that a source may be read with. */
export interface Candidate extends Pick<LiveCredential, 'name' | 'accounts' | 'organizations' | 'budget'> {
  /** It is not known to be counted by itself, as the token of an account is. */
  readonly isUser: boolean;
  /** Whom it is counted for: the same for all credentials of a user. */
  readonly countedFor: string;
}

/** What listings and earlier reading say of credentials and sources. */
export interface CredentialFacts {
  /** Whether the latest listing of this credential shows what the source belongs to. */
  lists(name: string, source: SourceKey): boolean;
  /** The account that this credential lists, if it is the only one. */
  onlyAccount(name: string): string | undefined;
  /** The credential that has read it last. */
  reader(source: SourceKey): string | undefined;
  /** How many sources it has read last. */
  reads(name: string): number;
}

/** A source that is asked at each tick takes so many requests of a budget. */
const REQUESTS_AT_EACH_TICK = 10;

/**
 * How much each has to read, for what has not been read yet: 1 while it has room, which is for so many sources as its budget lasts for at each tick,
 * and then in proportion to its budget. `more`: by whom it is counted for, what is about to be added.
 */
export const loadsOf = (
  candidates: readonly Candidate[],
  facts: Pick<CredentialFacts, 'reads'>,
  more: ReadonlyMap<string, number> = new Map(),
): ((of: Candidate) => number) => {
  const reads = new Map(more);
  for (const { name, countedFor } of candidates)
    reads.set(countedFor, (reads.get(countedFor) ?? 0) + facts.reads(name));
  return ({ countedFor, budget }) => Math.max(1, ((reads.get(countedFor) ?? 0) * REQUESTS_AT_EACH_TICK) / budget);
};

/** Whether the configuration lets it be used for what the source belongs to. */
export const mayUse = (credential: Pick<LiveCredential, 'accounts' | 'organizations'>, source: SourceKey): boolean => {
  const use = kindOf(source).owner === 'account' ? credential.accounts : credential.organizations;
  return typeof use === 'boolean' ? use : use.includes(source.id);
};

const OWN = 0;
const KNOWN = 1;
const UNKNOWN = 2;

/**
 * The credentials that a source may be read with, the best first: the account's own token, the one that has read it last, one whose listing
 * shows it, any other; among those that show it the one that has room, else in the order of the configuration. The token of another account is none
 * of them.
 */
export const rankCandidates = <C extends Candidate>(
  candidates: readonly C[],
  source: SourceKey,
  facts: CredentialFacts,
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
  const may = candidates.filter((each) => mayUse(each, source));
  const likely = may.filter((each) => !isOfAnother(each));
  const order = (each: C): number => 2 * rankOf(each) - (each.name === reader ? 1 : 0);
  const loadOf = loadsOf(candidates, facts);
  const byLoad = (a: C, b: C): number => (rankOf(a) === KNOWN ? loadOf(a) - loadOf(b) : 0);
  // Without any other, the tokens of other accounts say why it cannot be read.
  return (likely.length > 0 ? likely : may.slice(0, 1)).toSorted((a, b) => order(a) - order(b) || byLoad(a, b));
};

/** Cloudflare's codes of a 400 for a token of a wrong form or without a meaning. */
const badTokenCodes = [6_003, 6_111];

/** The credential itself is not taken, whatever is asked for. */
export const isBroken = ({ failure, apiCodes }: ApiError): boolean =>
  failure === 'unauthorized' || (failure === 'bad_request' && apiCodes.some((code) => badTokenCodes.includes(code)));

/** It may not do this. */
export const isRefusal = ({ failure }: ApiError): boolean => failure === 'refused' || failure === 'not_found';

/** Whether another credential may be answered otherwise. */
export const movesOn = (error: unknown): error is ApiError =>
  error instanceof ApiError && (isRefusal(error) || isBroken(error));

/** What all of these answered, as one: a source counts as refused only if each of them refuses it. */
export const oneOf = (errors: readonly ApiError[], source: SourceKey): ApiError =>
  errors.find((error) => !isRefusal(error)) ??
  errors[0] ??
  new ApiError('refused', `no credential is for the ${kindOf(source).owner} ${source.id}`);

/** A credential that is not taken at all is retried after so long, one that may not do something after an hour. */
const BROKEN_REST_MS = 60_000;
const REFUSED_REST_MS = 3_600_000;

interface Refusal {
  readonly error: ApiError;
  readonly credential: Credential;
  readonly untilMs: number;
}

/** What credentials were refused lately, so that they are not asked for each page. Of a credential that was renewed nothing is known. */
export interface Refusals {
  /** Why it is not worth trying now; undefined: it is. `what`: one thing that it was refused. */
  why(named: Named, what: string): ApiError | undefined;
  /** It may not do this. */
  refused(named: Named, what: string, error: ApiError): void;
  /** It is not taken, whatever is asked for. */
  broken(named: Named, error: ApiError): void;
  /** It was answered. */
  answered(named: Named, what: string): void;
}

interface Named {
  readonly name: string;
  readonly source: CredentialSource;
}

/** `nowMs` never goes back. */
export const createRefusals = (nowMs: () => number): Refusals => {
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
    why: (named, what) => inForce(named, named.name) ?? inForce(named, keyOf(named, what)),
    refused: (named, what, error) => put(named, keyOf(named, what), error, REFUSED_REST_MS),
    broken: (named, error) => put(named, named.name, error, BROKEN_REST_MS),
    answered: (named, what) => {
      known.delete(named.name);
      known.delete(keyOf(named, what));
    },
  };
};

const keyOf = ({ name }: Named, what: string): string => `${name} ${what}`;

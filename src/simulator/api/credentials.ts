import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { SourceRef } from '../entries/entry-text.ts';
import type { Occasion, Operation } from '../faults/fault-plan.ts';
import type { AccountRegistry } from '../world/accounts.ts';
import { errorReply, invalidHeaders, type Reply, refusal } from './reply.ts';

/** Ids, or places in the listing from 0. Absent: all; accounts: those of the organizations. */
export interface Reach {
  readonly organizations?: readonly (string | number)[];
  readonly accounts?: readonly (string | number)[];
}

/**
 * A user's token, a user's e-mail address and Global API key, or an account's token (its id or place in the listing).
 * Credentials of one user, `admin@example.com` by default, share a budget. `mayReadUser` false: without "User Details Read".
 */
export type AcceptedCredential =
  | ({ readonly token: string; readonly user?: string; readonly mayReadUser?: boolean } & Reach)
  | ({ readonly email: string; readonly key: string } & Reach)
  | { readonly token: string; readonly account: string | number };

export interface Caller {
  /** Twelve hexadecimal digits; `none` without a credential. */
  readonly fingerprint: string;
  /** Who is counted: `user:` and the e-mail address, or `token:` and the fingerprint. */
  readonly owner: string;
  readonly kind: 'user' | 'account';
  /** E-mail address and Global API key. */
  readonly hasKey: boolean;
  /** False: `GET /user` is refused. */
  readonly mayReadUser: boolean;
  /** 32 hexadecimal digits. */
  readonly tokenId: string;
  /** Of the user; of an account's token: the id of the account, and no address. */
  readonly id: string;
  readonly email: string;
  readonly reach: Reach;
  /** Member `actor` of the entries of this caller. */
  readonly actor: Readonly<Record<string, string>>;
}

type Admission = { readonly caller: Caller; readonly refusal?: Reply };
const standardUser = 'admin@example.com';
const accountTokenPrefix = 'cfat_';

const digitsOf = (text: string, length: number): string => hash('sha256', text).slice(0, length);

/** `owner`: by default the user with this address. */
type Facts = Pick<Caller, 'email' | 'hasKey' | 'reach'> &
  Readonly<{ secret: string; mayReadUser?: boolean | undefined; owner?: string }>;

function userCaller(facts: Facts): Caller {
  const { secret, email, hasKey, reach, mayReadUser = true, owner = `user:${email}` } = facts;
  const [fingerprint, tokenId, id] = [digitsOf(secret, 12), digitsOf(secret, 32), digitsOf(owner, 32)];
  const names = hasKey ? {} : { token_id: tokenId, token_name: 'simulated' };
  const context = hasKey ? 'api_key' : 'api_token';
  const actor = { id, context, email, ip_address: '127.0.0.1', ...names, type: 'user' };
  return { fingerprint, owner, kind: 'user', hasKey, mayReadUser, tokenId, id, email, reach, actor };
}

function accountCaller(secret: string, id: string): Caller {
  const owner = `token:${digitsOf(secret, 12)}`;
  const reach = { accounts: [id] };
  const caller = userCaller({ secret, email: '', hasKey: false, reach, mayReadUser: false, owner });
  const { email: _none, ...actor } = caller.actor;
  return { ...caller, kind: 'account', id, actor: { ...actor, id, type: 'account' } };
}

/**
 * `accepted` undefined: any credential; a token is a user of its own, or an account's if `cfat_` and the account's id. None: 401; a
 * wrong one: 403 (code 9109 for a token); another form of the header: 400, code 6003.
 */
export function admit(
  headers: IncomingHttpHeaders,
  accepted: readonly AcceptedCredential[] | undefined,
  accounts: AccountRegistry,
): Admission {
  const token = /^Bearer (\S+)$/.exec(headers.authorization ?? '')?.[1];
  if (token !== undefined) return admitToken(token, accepted, accounts);
  const email = headers['x-auth-email'];
  const key = headers['x-auth-key'];
  if (typeof email === 'string' && typeof key === 'string' && email !== '' && key !== '') {
    return admitKey(email, key, accepted);
  }
  const unknown = {
    ...userCaller({ secret: '', email: '', hasKey: false, reach: {} }),
    fingerprint: 'none',
    actor: {},
  };
  return { caller: unknown, refusal: headers.authorization === undefined ? refusal(401) : invalidHeaders() };
}

function admitToken(
  secret: string,
  accepted: readonly AcceptedCredential[] | undefined,
  accounts: AccountRegistry,
): Admission {
  const stranger = { secret, email: standardUser, hasKey: false, reach: {}, owner: `token:${digitsOf(secret, 12)}` };
  if (accepted === undefined) {
    const account = secret.startsWith(accountTokenPrefix)
      ? accounts.get(secret.slice(accountTokenPrefix.length))
      : undefined;
    return { caller: account === undefined ? userCaller(stranger) : accountCaller(secret, account.id) };
  }
  const known = accepted.find((one) => 'token' in one && one.token === secret);
  if (known === undefined || !('token' in known)) {
    return { caller: userCaller(stranger), refusal: errorReply(403, 9109, 'Invalid access token') };
  }
  if (!('account' in known)) {
    const { user: email = standardUser, mayReadUser } = known;
    return { caller: userCaller({ secret, email, hasKey: false, reach: known, mayReadUser }) };
  }
  const account = accounts
    .all()
    .find(({ id, seq }) => known.account === (typeof known.account === 'number' ? seq : id));
  return { caller: accountCaller(secret, account?.id ?? String(known.account)) };
}

function admitKey(email: string, key: string, accepted: readonly AcceptedCredential[] | undefined): Admission {
  const known = accepted?.find((one) => 'key' in one && one.email === email && one.key === key);
  const reach = known !== undefined && 'key' in known ? known : {};
  const caller = userCaller({ secret: `${email} ${key}`, email, hasKey: true, reach });
  return accepted === undefined || known !== undefined ? { caller } : { caller, refusal: refusal(403) };
}

export type RateBudget = Readonly<{ requests: number; windowMs: number; blockMs: number }>;
/** Cloudflare's published limit. */
export const defaultBudget: RateBudget = { requests: 1200, windowMs: 300_000, blockMs: 300_000 };

interface Usage {
  /** Within the window, oldest first, from `head`. */
  timesMs: number[];
  head: number;
  blockedUntilMs: number;
}

interface Verdict {
  /** Set if refused: whole seconds, rounded up. */
  readonly retryAfterSeconds?: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A sliding window per owner. The first request too many blocks for `blockMs`. */
export class RateLimit {
  readonly #budget: RateBudget | null;
  readonly #usage = new Map<string, Usage>();

  constructor(budget: RateBudget | null) {
    this.#budget = budget;
  }

  /** Counts unless blocked. */
  admit(owner: string, nowMs: number): Verdict {
    const budget = this.#budget;
    if (budget === null) return { headers: ratelimitHeaders(defaultBudget, defaultBudget.requests, 0) };
    const usage = this.#usage.get(owner) ?? { timesMs: [], head: 0, blockedUntilMs: 0 };
    this.#usage.set(owner, usage);
    if (usage.blockedUntilMs <= nowMs && usage.blockedUntilMs > 0) {
      Object.assign(usage, { timesMs: [], head: 0, blockedUntilMs: 0 });
    }
    if (usage.blockedUntilMs === 0) this.#count(usage, budget, nowMs);
    if (usage.blockedUntilMs > 0) {
      const leftMs = usage.blockedUntilMs - nowMs;
      return { retryAfterSeconds: Math.ceil(leftMs / 1000), headers: ratelimitHeaders(budget, 0, leftMs) };
    }
    const used = usage.timesMs.length - usage.head;
    const resetMs = (usage.timesMs[usage.head] as number) + budget.windowMs - nowMs;
    return { headers: ratelimitHeaders(budget, budget.requests - used, resetMs) };
  }

  #count(usage: Usage, budget: RateBudget, nowMs: number): void {
    while ((usage.timesMs[usage.head] ?? Number.POSITIVE_INFINITY) <= nowMs - budget.windowMs) usage.head++;
    if (usage.head > 1000) {
      usage.timesMs.splice(0, usage.head);
      usage.head = 0;
    }
    if (usage.timesMs.length - usage.head >= budget.requests) usage.blockedUntilMs = nowMs + budget.blockMs;
    else usage.timesMs.push(nowMs);
  }
}

const ratelimitHeaders = (budget: RateBudget, left: number, resetMs: number): Record<string, string> => ({
  Ratelimit: `"default";r=${left};t=${Math.ceil(resetMs / 1000)}`,
  'Ratelimit-Policy': `"default";q=${budget.requests};w=${Math.ceil(budget.windowMs / 1000)}`,
});

export interface ApiCall {
  readonly method: string;
  readonly operation: Operation;
  readonly source: SourceRef | undefined;
  readonly entryId: string | undefined;
  readonly query: URLSearchParams;
  readonly caller: Caller;
  readonly occasion: Occasion;
}

import { setTimeout } from 'node:timers/promises';
import type { ApiFailure } from '../../../base/errors.ts';
import { ApiError } from '../../../base/errors.ts';
import type { SourceKindName } from '../../sources/registry.ts';

/** A bounded label for metrics, unlike the path. */
export type ApiEndpoint =
  | 'organizations'
  | 'organization'
  | 'organization_profile'
  | 'organization_accounts'
  | 'accounts'
  | 'user'
  | `${SourceKindName}_audit_logs`;

/** One GET whose answer is a `T`. The path follows the base URL, starts with `/`, and has its variable parts encoded already. */
export interface ApiRequest<T> {
  readonly endpoint: ApiEndpoint;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Ends every wait, connection and body of the call; its own reason is thrown. */
  readonly signal: AbortSignal;
  /** How long one attempt may take, without the wait for the budget; undefined: as long as the client allows. */
  readonly attemptMs?: number | undefined;
  /** Nothing is retried, but for a newer credential. */
  readonly once?: boolean;
  /** A 429 that says nothing of its end is the caller's to judge, and stops no other request. */
  readonly mayBeTooWide?: boolean;
  /** Runs inside the attempt. Throws ApiError `unreadable` for what is to be sent again, as after a 5xx; else it ends
   * the call. */
  readonly decode: (answer: ApiText) => T;
}

export interface ApiText {
  readonly bytes: Buffer;
  release(): void;
  readonly text: string;
  /** False when some byte was no UTF-8, and became U+FFFD in `text`. */
  readonly validUtf8: boolean;
  readonly rateLimits: readonly RateLimit[];
  readonly dateMs: number | undefined;
  /** Its `CF-Ray` header, by which Cloudflare knows the request; undefined if it has another form. */
  readonly cfRay: string | undefined;
}

/** A failed attempt is a value as well: it tells about rate limits, and may be retried. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T; readonly rateLimits: readonly RateLimit[] }
  | { readonly ok: false; readonly error: ApiError; readonly rateLimits: readonly RateLimit[] };

export type Send = <T>(request: ApiRequest<T>) => Promise<Outcome<T>>;

/**
 * Shared by all replicas with the same credential (api-budget.sql.ts); asked before every attempt, retries included.
 */
export interface RequestBudget {
  /** A listing waits for no more than one other. Rejects when the signal aborts or the database is unreachable. */
  acquire(signal: AbortSignal, isListing?: boolean): Promise<void>;
  /** Sends nothing, from any replica, for this long: `Retry-After` of a 429, or a `Ratelimit` nearly spent. */
  pause(durationMs: number, reason: 'retry_after' | 'ratelimit'): Promise<void>;
}

/** Throws ApiError `bad_request` for an id that no encoding keeps from changing the path: servers resolve `%2E%2E`,
 * too. */
export function pathSegment(id: string): string {
  if (['', '.', '..'].includes(id)) throw new ApiError('bad_request', `The id "${id}" cannot be part of a path`);
  return encodeURIComponent(id.toWellFormed());
}

export async function sleep(durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(durationMs, undefined, { signal });
  } catch (error) {
    // The promise timer throws an AbortError of its own, with the reason only as its cause.
    signal.throwIfAborted();
    throw error;
  }
}

/**
 * `Ratelimit: "default";r=50;t=30` gives what remains, `Ratelimit-Policy: "default";q=100;w=60` the quota. Both are
 * lists, with arbitrary policy names. Cloudflare announced them on 2025-09-03 as always sent: the older `x-ratelimit-*`
 * are ignored.
 */
export interface RateLimit {
  readonly policy: string;
  readonly remaining: number;
  readonly resetMs: number;
  readonly quota: number | undefined;
}

/** The longest wait that any header can ask for: a garbled one must not stop the daemon for a day. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/** A block of Cloudflare's lasts 5 minutes; no pace has a reason to be slower than that. */
const MAX_PACING_MS = 300_000;

/** Fewer requests than this left, or than a tenth of the quota: spread them over the time until the reset. */
const SCARCE_REQUESTS = 20;
const SCARCE_SHARE = 0.1;

const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** The form that servers must send (IMF-fixdate): `Date.parse` alone takes nearly anything ("-5" is a day in 2001). */
export function parseHttpDate(value: string | undefined): number | undefined {
  const text = value?.trim() ?? '';
  if (!HTTP_DATE.test(text)) return undefined;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : dateMs;
}

/** 0 to MAX_RETRY_AFTER_MS. `serverNowMs`: the sender's clock, by which alone an HTTP date means something. */
export function parseRetryAfter(value: string | undefined, serverNowMs: number | undefined): number | undefined {
  const text = value?.trim() ?? '';
  const clamp = (ms: number) => Math.min(Math.max(Math.ceil(ms), 0), MAX_RETRY_AFTER_MS);
  if (/^\d+(\.\d+)?$/.test(text)) return clamp(Number(text) * 1000);
  const dateMs = parseHttpDate(text);
  return dateMs === undefined || serverNowMs === undefined ? undefined : clamp(dateMs - serverNowMs);
}

/** Every limit that tells both what remains and when it resets; never throws. */
export function parseRateLimits(rateLimit: string | undefined, policies: string | undefined): readonly RateLimit[] {
  const quotas = new Map<string, number>();
  for (const { name, parameters } of parseList(policies ?? '')) {
    const quota = parameters.get('q');
    if (quota !== undefined) quotas.set(name, quota);
  }
  // Cloudflare's own example names the limit "default" and its policy "burst": a lone policy is that of a lone limit.
  const loneQuota = quotas.size === 1 ? [...quotas.values()][0] : undefined;
  const items = parseList(rateLimit ?? '');
  return items.flatMap(({ name, parameters }) => {
    const [remaining, resetSeconds] = [parameters.get('r'), parameters.get('t')];
    if (remaining === undefined || resetSeconds === undefined) return [];
    const quota = quotas.get(name) ?? (items.length === 1 ? loneQuota : undefined);
    return [{ policy: name, remaining, resetMs: Math.min(resetSeconds * 1000, MAX_RETRY_AFTER_MS), quota }];
  });
}

/** How long to send nothing: 0 while plenty remains; when requests get scarce, the rest of the window shared among
 * them. */
export function pacing(rateLimits: readonly RateLimit[]): number {
  const pauses = rateLimits.map(({ remaining, resetMs, quota }) => {
    const plenty = remaining >= Math.max(SCARCE_REQUESTS, (quota ?? 0) * SCARCE_SHARE);
    return plenty ? 0 : Math.ceil(resetMs / (remaining + 1));
  });
  return Math.min(Math.max(0, ...pauses), MAX_PACING_MS);
}

/** When the spent limits open again; of all limits, if none is spent. */
export function resetOf(rateLimits: readonly RateLimit[]): number | undefined {
  const spent = rateLimits.filter(({ remaining }) => remaining < 1);
  const resets = (spent.length > 0 ? spent : rateLimits).map(({ resetMs }) => resetMs);
  return resets.length > 0 ? Math.max(...resets) : undefined;
}

export interface RetryFacts {
  readonly failure: ApiFailure;
  readonly status: number | undefined;
  /** What `Retry-After` asked for; obeyed on 429 and 5xx, if it is defined. */
  readonly retryAfterMs: number | undefined;
  /** When the spent rate limit resets; how long a 429 without `Retry-After` waits. */
  readonly rateLimitResetMs: number | undefined;
}

/** The first included. A 429 gets more, since each retry waits for as long as Cloudflare asks. 408 and 409 count as
 * `server`, as in Cloudflare's own SDKs. */
const MAX_ATTEMPTS: Record<ApiFailure, number> = {
  throttled: 10,
  server: 2,
  // The call has held a worker long enough; the lane's backoff is the retry.
  timeout: 1,
  connection: 4,
  unreadable: 2,
  bad_request: 1,
  unauthorized: 1,
  refused: 1,
  not_found: 1,
  too_large: 1,
  redirected: 1,
  unexpected: 1,
};

const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
/** Downwards only, so that MAX_BACKOFF_MS stays the longest. */
const JITTER = 0.25;

/** A 429 that says nothing about its end: Cloudflare's block lasts 5 minutes, so the doubling ends there. */
const FIRST_BLIND_THROTTLE_MS = 30_000;
const MAX_BLIND_THROTTLE_MS = 300_000;

/** Pure: the caller waits. `attempt`: how many have failed in this way (throttled, or any other), from 1. `random` in
 * [0, 1). */
export function nextRetry(
  facts: RetryFacts,
  attempt: number,
  random: () => number,
): { readonly retryInMs: number } | 'give_up' {
  if (attempt >= MAX_ATTEMPTS[facts.failure]) return 'give_up';
  if (facts.failure === 'throttled') return { retryInMs: throttlePauseMs(facts, attempt, random) };
  const floorMs = (facts.status ?? 0) >= 500 ? bounded(facts.retryAfterMs ?? 0) : 0;
  // A longer wait is for the caller, who holds a place that others want.
  if (floorMs > MAX_BACKOFF_MS) return 'give_up';
  return { retryInMs: Math.max(floorMs, backoffMs(attempt, random)) };
}

export const isBlind = ({ retryAfterMs, rateLimitResetMs }: Omit<RetryFacts, 'failure' | 'status'>): boolean =>
  retryAfterMs === undefined && rateLimitResetMs === undefined;

/** For how long none may send after a 429. Never less than `Retry-After` (within MAX_RETRY_AFTER_MS): asking earlier
 * prolongs the block. */
export function throttlePauseMs(facts: RetryFacts, attempt: number, random: () => number): number {
  const askedMs = facts.retryAfterMs ?? facts.rateLimitResetMs;
  if (askedMs !== undefined) return Math.max(bounded(askedMs), backoffMs(attempt, random));
  return Math.min(FIRST_BLIND_THROTTLE_MS * 2 ** (attempt - 1), MAX_BLIND_THROTTLE_MS);
}

function backoffMs(attempt: number, random: () => number): number {
  const fullMs = Math.min(FIRST_BACKOFF_MS * 2 ** (attempt - 1), MAX_BACKOFF_MS);
  return Math.round(fullMs * (1 - JITTER * random()));
}

function bounded(waitMs: number): number {
  return Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}

/** Structured-field lists (RFC 8941), as far as needed here: `"a";r=1;t=2, "b";r=3`. Unknown parts are skipped. */
function parseList(header: string): { name: string; parameters: Map<string, number> }[] {
  return splitOutsideQuotes(header, ',').map((item) => {
    const [name = '', ...rest] = splitOutsideQuotes(item, ';');
    const parameters = new Map<string, number>();
    for (const part of rest) {
      const [, key, value] = /^([a-zA-Z]+)\s*=\s*"?(\d{1,15}(?:\.\d+)?)"?$/.exec(part) ?? [];
      if (key !== undefined) parameters.set(key.toLowerCase(), Number(value));
    }
    return { name: name.replace(/^"(.*)"$/, '$1'), parameters };
  });
}

function splitOutsideQuotes(text: string, separator: ',' | ';'): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (character === separator && !quoted) {
      parts.push(part);
      part = '';
    } else {
      part += character;
    }
  }
  return [...parts, part].map((each) => each.trim()).filter((each) => each !== '');
}

export interface ServerClock {
  /** Takes the `Date` header of an answer that has just arrived; anything but a date is ignored. */
  observe(dateHeader: string | undefined): void;
  /** Never later than Cloudflare's own clock; undefined before the first answer. */
  nowMs(): number | undefined;
}

/**
 * The last `Date` header plus the time since then: a lower bound, since the header drops the fraction of its second and
 * was written before it arrived. The host's wall clock is never asked: were it wrong, time that Cloudflare has yet to
 * write would count as read, and never be read again (invariant 8). `monotonicNowMs` never goes back; that it can be
 * slow (while the host sleeps) is harmless.
 */
export function createServerClock(monotonicNowMs: () => number): ServerClock {
  let last: { readonly dateMs: number; readonly atMs: number } | undefined;
  return {
    observe(dateHeader) {
      const dateMs = parseHttpDate(dateHeader);
      // Use the most recent header, not the largest value, so that one fast server clock does not stick.
      if (dateMs !== undefined) last = { dateMs, atMs: monotonicNowMs() };
    },
    nowMs() {
      return last && last.dateMs + Math.floor(monotonicNowMs() - last.atMs);
    },
  };
}

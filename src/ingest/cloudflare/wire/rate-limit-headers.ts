import type { ApiFailure } from '../../../base/errors.ts';

/**
 * One rate limit as Cloudflare reported it in a response. `Ratelimit: "default";r=50;t=30` gives what remains,
 * `Ratelimit-Policy: "default";q=100;w=60` the quota. Both are lists, and policy names are arbitrary. The older
 * `x-ratelimit-*` headers are ignored: Cloudflare announced these ones on 2025-09-03 as always sent.
 */
export interface RateLimit {
  readonly policy: string;
  readonly remaining: number;
  readonly resetMs: number;
  /** Requests per window, if the policy header told. */
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

/**
 * Milliseconds since the epoch of an HTTP date in the form that servers must send (IMF-fixdate), else undefined.
 * `Date.parse` alone takes nearly anything for a date ("-5" is a day in 2001).
 */
export function parseHttpDate(value: string | undefined): number | undefined {
  const text = value?.trim() ?? '';
  if (!HTTP_DATE.test(text)) return undefined;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : dateMs;
}

/**
 * `Retry-After` in milliseconds, from 0 to MAX_RETRY_AFTER_MS; undefined when it is missing or says nothing.
 *
 * @param serverNowMs what the sender's clock said when it answered: an HTTP date means nothing by any other clock.
 */
export function parseRetryAfter(value: string | undefined, serverNowMs: number | undefined): number | undefined {
  const text = value?.trim() ?? '';
  const clamp = (ms: number) => Math.min(Math.max(Math.ceil(ms), 0), MAX_RETRY_AFTER_MS);
  if (/^\d+(\.\d+)?$/.test(text)) return clamp(Number(text) * 1000);
  const dateMs = parseHttpDate(text);
  return dateMs === undefined || serverNowMs === undefined ? undefined : clamp(dateMs - serverNowMs);
}

/** Every limit of the two headers that tells both what remains and when it resets; never throws. */
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

/**
 * How long to send nothing after a response that said this, in milliseconds: 0 while plenty remains; when requests
 * get scarce, the rest of the window shared among them; all of it when none is left.
 */
export function pacing(rateLimits: readonly RateLimit[]): number {
  const pauses = rateLimits.map(({ remaining, resetMs, quota }) => {
    const plenty = remaining >= Math.max(SCARCE_REQUESTS, (quota ?? 0) * SCARCE_SHARE);
    return plenty ? 0 : Math.ceil(resetMs / (remaining + 1));
  });
  return Math.min(Math.max(0, ...pauses), MAX_PACING_MS);
}

/** When the spent limits are open again, in milliseconds; of all limits, if none admits to be spent. */
export function resetOf(rateLimits: readonly RateLimit[]): number | undefined {
  const spent = rateLimits.filter(({ remaining }) => remaining < 1);
  const resets = (spent.length > 0 ? spent : rateLimits).map(({ resetMs }) => resetMs);
  return resets.length > 0 ? Math.max(...resets) : undefined;
}

/** What a failed attempt told about when another one may help. */
export interface RetryFacts {
  readonly failure: ApiFailure;
  readonly status: number | undefined;
  /** What `Retry-After` asked for; obeyed on 429 and 503, if it is defined. */
  readonly retryAfterMs: number | undefined;
  /** When the spent rate limit resets; how long a 429 without `Retry-After` waits. */
  readonly rateLimitResetMs: number | undefined;
}

/**
 * Attempts in all, the first included; 1 is no retry. A 429 gets more of them, since it is not an error and
 * each retry waits for as long as Cloudflare asks. 408 and 409 count as `server`, as in Cloudflare's own SDKs.
 */
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

/**
 * Whether to try again, and after how long. Pure: the caller waits.
 *
 * @param attempt how many attempts have failed in this way (throttled, or any other), this one included; from 1
 * @param random a number in [0, 1)
 */
export function nextRetry(
  facts: RetryFacts,
  attempt: number,
  random: () => number,
): { readonly retryInMs: number } | 'give_up' {
  if (attempt >= MAX_ATTEMPTS[facts.failure]) return 'give_up';
  if (facts.failure === 'throttled') return { retryInMs: throttlePauseMs(facts, attempt, random) };
  const floorMs = facts.status === 503 ? bounded(facts.retryAfterMs ?? 0) : 0;
  // A longer wait is for the caller, who holds a place that others want.
  if (floorMs > MAX_BACKOFF_MS) return 'give_up';
  return { retryInMs: Math.max(floorMs, backoffMs(attempt, random)) };
}

/**
 * For how long no process that shares the credential may send anything after a 429, whether or not this call is
 * retried. Never less than `Retry-After` (within MAX_RETRY_AFTER_MS): asking earlier prolongs the block.
 */
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

/** Structured-field lists, as far as they are needed here: `"a";r=1;t=2, "b";r=3`. Unknown parts are skipped. */
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

/** What time it is at Cloudflare, at the earliest. */
export interface ServerClock {
  /** Takes the `Date` header of an answer that has just arrived; anything but a date changes nothing. */
  observe(dateHeader: string | undefined): void;
  /** Milliseconds since the epoch, never later than Cloudflare's own clock; undefined before the first answer. */
  nowMs(): number | undefined;
}

/**
 * The last `Date` header plus the time since then. It is a lower bound, since the header drops the fraction of its
 * second and was written before it arrived. The host's wall clock is never asked: were it wrong, the part of the log
 * that Cloudflare has yet to write would count as read, and never be read again (invariant 8). The monotonic
 * clock can only be slow (it may stop while the host sleeps), and that is harmless.
 *
 * @param monotonicNowMs milliseconds that never go back, from any start: `performance.now`
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

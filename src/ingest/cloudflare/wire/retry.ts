import type { ApiFailure } from '../../../errors.ts';
import { MAX_RETRY_AFTER_MS } from './rate-limit-headers.ts';

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

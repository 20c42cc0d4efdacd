import { setTimeout } from 'node:timers/promises';
import type { ApiError, ApiFailure } from '../../../base/errors.ts';
import type { CredentialSource } from '../credentials.ts';
import { MAX_RETRY_AFTER_MS, pacing, resetOf } from './rate-limit-headers.ts';
import type { ApiEndpoint, ApiRequest, Outcome, RequestBudget, Send } from './request.ts';

/** Hooks for metrics and logs. They must not throw. None of them sees a header, a path or a body. */
export interface RequestObserver {
  /**
   * After every attempt that was not aborted. `status` is the HTTP status if it decided, else the failure.
   * `durationMs` runs from the free budget to the end of the body.
   */
  onAttempt?(attempt: { endpoint: ApiEndpoint; status: number | ApiFailure; durationMs: number }): void;
  /** On every 429: for how long it stopped all requests. Those of concurrent 429s overlap. */
  onThrottled?(throttle: { waitMs: number }): void;
  /** Before another attempt: `attempt` have failed so far. */
  onRetry?(retry: { endpoint: ApiEndpoint; failure: ApiFailure; attempt: number; waitMs: number }): void;
}

/** Tells the observer about every attempt. */
export function withObserver(send: Send, observer: RequestObserver): Send {
  return async <T>(request: ApiRequest<T>) => {
    const startMs = performance.now();
    const outcome = await send(request);
    observer.onAttempt?.({
      endpoint: request.endpoint,
      status: statusOf(outcome),
      durationMs: performance.now() - startMs,
    });
    return outcome;
  };
}

function statusOf(outcome: Outcome<unknown>): number | ApiFailure {
  if (outcome.ok) return 200;
  const { failure, status } = outcome.error;
  // These failed in spite of their status 200.
  return failure === 'too_large' || failure === 'unreadable' ? failure : (status ?? failure);
}

/** What finds sources, and says whom requests are counted for. */
const listings: ReadonlySet<ApiEndpoint> = new Set(['organizations', 'accounts', 'organization_accounts', 'user']);

/** Waits for the right to send before every attempt; slows all requests down while Cloudflare says that little is left. */
export function withBudget(send: Send, budget: RequestBudget): Send {
  return async <T>(request: ApiRequest<T>) => {
    request.signal.throwIfAborted();
    try {
      await budget.acquire(request.signal, listings.has(request.endpoint));
    } catch (error) {
      request.signal.throwIfAborted();
      throw error;
    }
    const outcome = await send(request);
    // The pause of a 429 depends on how many there were: the retry knows.
    const throttled = !outcome.ok && outcome.error.failure === 'throttled';
    const pauseMs = throttled ? 0 : pacing(outcome.rateLimits);
    if (pauseMs > 0) await budget.pause(pauseMs, 'ratelimit');
    return outcome;
  };
}

/** Cloudflare's codes of a 400 for a token of a wrong form or without a meaning. */
const badTokenCodes = [6_003, 6_111];

/**
 * After an answer that may be due to an old credential, looks for a newer one and sends the request once more with it. Tokens are
 * rotated while the daemon runs.
 */
export function withFreshCredential(send: Send, source: CredentialSource): Send {
  return async <T>(request: ApiRequest<T>) => {
    const used = source.current();
    const outcome = await send(request);
    if (outcome.ok || !mayBeOld(outcome.error)) return outcome;
    // Another request may have found it meanwhile.
    const isRenewed = source.current() !== used || source.refresh();
    return isRenewed ? await send(request) : outcome;
  };
}

/** Cloudflare answers a token that was revoked with 401, with 403 or with 400, from service to service. */
const mayBeOld = ({ failure, apiCodes }: ApiError): boolean =>
  failure === 'unauthorized' ||
  failure === 'refused' ||
  (failure === 'bad_request' && apiCodes.some((code) => badTokenCodes.includes(code)));

interface RetryDeps {
  readonly budget: RequestBudget;
  readonly observer: RequestObserver;
  readonly random: () => number;
  readonly sleep: (durationMs: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Tries again what may still succeed. Each request is the same as the one before, and the loop ends since
 * `nextRetry` gives up after a bounded number of failures of either kind.
 */
export function withRetry(send: Send, { budget, observer, random, sleep }: RetryDeps): Send {
  return async <T>(request: ApiRequest<T>) => {
    // Counted apart: a call that sat out a long block still has its retries against a 502.
    const failures = { throttled: 0, other: 0 };
    for (;;) {
      const outcome = await send(request);
      if (outcome.ok) return outcome;
      const facts = factsOf(outcome);
      const kind = facts.failure === 'throttled' ? 'throttled' : 'other';
      failures[kind] += 1;
      const decision = request.once === true ? 'give_up' : nextRetry(facts, failures[kind], random);
      if (kind === 'throttled') {
        // Also when giving up: the block holds for all that share the credential.
        const waitMs = decision === 'give_up' ? throttlePauseMs(facts, failures.throttled, random) : decision.retryInMs;
        observer.onThrottled?.({ waitMs });
        await budget.pause(waitMs, 'retry_after');
      }
      if (decision === 'give_up') return outcome;
      observer.onRetry?.({
        endpoint: request.endpoint,
        failure: facts.failure,
        attempt: failures.throttled + failures.other,
        waitMs: decision.retryInMs,
      });
      // After a 429 the budget itself makes the next attempt wait, as it does all others.
      if (kind === 'other') await sleep(decision.retryInMs, request.signal);
    }
  };
}

function factsOf({ error, rateLimits }: Outcome<unknown> & { ok: false }): RetryFacts {
  return {
    failure: error.failure,
    status: error.status,
    retryAfterMs: error.retryAfterMs,
    rateLimitResetMs: resetOf(rateLimits),
  };
}

/** Waits; rejects with the signal's own reason as soon as it aborts. */
export async function sleep(durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(durationMs, undefined, { signal });
  } catch (error) {
    // The promise timer throws an AbortError of its own, with the reason only as its cause.
    signal.throwIfAborted();
    throw error;
  }
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

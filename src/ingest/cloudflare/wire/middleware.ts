import { setTimeout } from 'node:timers/promises';
import type { ApiError, ApiFailure } from '../../../errors.ts';
import type { CredentialSource } from '../credential.ts';
import { pacing, resetOf } from './rate-limit-headers.ts';
import type { ApiEndpoint, ApiRequest, Outcome, RequestBudget, Send } from './request.ts';
import { nextRetry, type RetryFacts, throttlePauseMs } from './retry.ts';

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

export interface RetryDeps {
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

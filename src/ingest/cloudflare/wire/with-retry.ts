import type { RequestBudget } from './budget.ts';
import { resetOf } from './rate-limit-headers.ts';
import type { Outcome, Send } from './request.ts';
import { nextRetry, type RetryFacts, throttlePauseMs } from './retry.ts';
import type { RequestObserver } from './with-observer.ts';

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
  return async (request) => {
    // Counted apart: a call that sat out a long block still has its retries against a 502.
    const failures = { throttled: 0, other: 0 };
    for (;;) {
      const outcome = await send(request);
      if (outcome.ok) return outcome;
      const facts = factsOf(outcome);
      const kind = facts.failure === 'throttled' ? 'throttled' : 'other';
      failures[kind] += 1;
      const decision = nextRetry(facts, failures[kind], random);
      if (kind === 'throttled') {
        // Also when giving up: the block is for everybody who shares the credential.
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

function factsOf({ error, rateLimits }: Outcome & { ok: false }): RetryFacts {
  return {
    failure: error.failure,
    status: error.status,
    retryAfterMs: error.retryAfterMs,
    rateLimitResetMs: resetOf(rateLimits),
  };
}

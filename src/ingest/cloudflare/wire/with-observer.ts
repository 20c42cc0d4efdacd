import type { ApiFailure } from '../../../errors.ts';
import type { ApiEndpoint, Outcome, Send } from './request.ts';

/** Hooks for metrics and logs. They must not throw. None of them sees a header, a path or a body. */
export interface RequestObserver {
  /**
   * After every attempt that was not aborted. `status` is the HTTP status where it decided, else the failure.
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
  return async (request) => {
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

function statusOf(outcome: Outcome): number | ApiFailure {
  if (outcome.ok) return outcome.response.status;
  const { failure, status } = outcome.error;
  // These failed in spite of their 2xx.
  return failure === 'too_large' || failure === 'unreadable' ? failure : (status ?? failure);
}

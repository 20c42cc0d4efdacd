import type { RequestBudget } from './budget.ts';
import { pacing } from './rate-limit-headers.ts';
import type { Send } from './request.ts';

/** Waits for the right to send before every attempt; slows everybody down while Cloudflare says that little is left. */
export function withBudget(send: Send, budget: RequestBudget): Send {
  return async (request) => {
    request.signal.throwIfAborted();
    try {
      await budget.acquire(request.signal);
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

import { ApiError } from '../../../errors.ts';
import type { Send } from './request.ts';

/** Lets the caller look at the body inside the attempt, so that one that cannot be read is asked for again. */
export function withValidation(send: Send): Send {
  return async (request) => {
    const outcome = await send(request);
    if (!outcome.ok) return outcome;
    try {
      request.validate?.(outcome.response);
      return outcome;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { ok: false, error, rateLimits: outcome.rateLimits };
    }
  };
}

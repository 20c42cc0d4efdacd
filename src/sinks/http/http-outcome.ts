import type { DeliveryOutcome } from '../delivery.ts';
import { type HttpAnswer, NoAnswer } from './http-post.ts';
import type { ReasonText } from './reason-text.ts';

/** What to look at when a receiver does not let the sink in, or does not know the path. */
export interface Checks {
  /** 401 and 403. */
  readonly credential: string;
  /** 404 and 405. */
  readonly address: string;
}

/** `failed`, with what the answer says of waiting. */
export const failedBy = (answer: HttpAnswer, reason: string): DeliveryOutcome => ({
  kind: 'failed',
  reason,
  ...(answer.retryAfterMs !== undefined && { retryAfterMs: answer.retryAfterMs }),
});

/** What an answer that is not 2xx means, if the receiver's own protocol says nothing more exact. */
export const outcomeOfStatus = (answer: HttpAnswer, checks: Checks, reasonText: ReasonText): DeliveryOutcome => {
  const { status, redirectHost } = answer;
  const said = answer.body.trim() === '' ? '' : `: ${answer.body}`;
  if (status >= 300 && status < 400) {
    const where = redirectHost === undefined ? '' : ` to ${redirectHost}`;
    return failedBy(
      answer,
      reasonText(`HTTP ${status}: redirects${where}, which is not followed; set url to the target`),
    );
  }
  if (status === 400 || status === 413 || status === 422) {
    return { kind: 'refused', reason: reasonText(`HTTP ${status}${said}`) };
  }
  const check =
    status === 401 || status === 403 ? checks.credential : status === 404 || status === 405 ? checks.address : '';
  return failedBy(answer, reasonText(`HTTP ${status}${check === '' ? '' : `: check ${check}`}${said}`));
};

/** Resolves with `failed` if no complete answer came: the receiver may have the events or not. */
export const failedWithoutAnswer = async (outcome: Promise<DeliveryOutcome>): Promise<DeliveryOutcome> => {
  try {
    return await outcome;
  } catch (error) {
    if (error instanceof NoAnswer)
      return { kind: 'failed', reason: error.message, ...(error.because !== undefined && { because: error.because }) };
    throw error;
  }
};

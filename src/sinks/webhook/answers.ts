import { MAX_RETRY_AFTER_MS } from '../../ingest/cloudflare/wire/rate-limit-headers.ts';
import type { DeliveryOutcome } from '../delivery.ts';
import { failedBy, outcomeOfStatus } from '../http/http-outcome.ts';
import type { HttpAnswer } from '../http/http-post.ts';
import type { ReasonText } from '../http/reason-text.ts';

const checks = { credential: 'secret, and other credentials that the receiver requires', address: 'url' };

/** What the receiver's answer means. Any 2xx is success. */
export const webhookOutcome = (answer: HttpAnswer, reasonText: ReasonText): DeliveryOutcome => {
  if (answer.status >= 200 && answer.status < 300) return { kind: 'delivered', refused: [] };
  if (answer.status !== 410) return outcomeOfStatus(answer, checks, reasonText);
  // The receiver has unsubscribed; only the operator can remove it from the configuration.
  const reason = 'HTTP 410: the receiver has unsubscribed; remove the sink or change its url';
  return failedBy({ ...answer, retryAfterMs: MAX_RETRY_AFTER_MS }, reason);
};

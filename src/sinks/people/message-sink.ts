import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import { type Checks, failedWithoutAnswer, outcomeOfStatus } from '../http/http-outcome.ts';
import { createHttpPost, type HttpAnswer, type HttpPostOptions } from '../http/http-post.ts';
import type { ReasonText } from '../http/reason-text.ts';

export interface MessageSinkOptions extends Omit<HttpPostOptions, 'headers'> {
  /** Where it delivers to, for logs: no credential in it. */
  readonly target: string;
  /** Most findings of one message. */
  readonly maxEvents: number;
  /** A larger message is not sent: its findings go out in halves. */
  readonly maxBytes: number;
  /** Between one message and the next: what the receiver takes without complaint. Milliseconds. */
  readonly pauseMs: number;
  readonly checks: Checks;
  /** JSON of the message with these findings. */
  readonly write: (events: readonly OutgoingEvent[]) => string;
  /** What an answer with 2xx means. Default: they are delivered. */
  readonly readSuccess?: (answer: HttpAnswer, reasonText: ReasonText) => DeliveryOutcome;
}

const delivered: DeliveryOutcome = { kind: 'delivered', refused: [] };

/** A sink that makes one message of each delivery: of several findings a digest. Used by the kinds that write to people. */
export const createMessageSink = (options: MessageSinkOptions): Sink => {
  const { maxEvents, maxBytes, pauseMs, write, readSuccess = () => delivered } = options;
  const http = createHttpPost({ ...options, headers: { 'content-type': 'application/json' } });
  let nextAtMs = 0;
  const deliver = async ({ events }: Delivery, signal: AbortSignal): Promise<DeliveryOutcome> => {
    signal.throwIfAborted();
    if (events.length > maxEvents) {
      return { kind: 'refused', reason: `not sent: a message has ${maxEvents} findings at most` };
    }
    const body = write(events);
    const bytes = Buffer.byteLength(body, 'utf8');
    if (bytes > maxBytes) {
      return { kind: 'refused', reason: `not sent: it takes ${bytes} bytes, and a message has ${maxBytes} at most` };
    }
    await sleep(Math.max(0, nextAtMs - performance.now()), undefined, { signal });
    const answer = await http.post(body, { signal });
    nextAtMs = performance.now() + pauseMs;
    const isSuccess = answer.status >= 200 && answer.status < 300;
    return isSuccess ? readSuccess(answer, http.reasonText) : outcomeOfStatus(answer, options.checks, http.reasonText);
  };
  return {
    target: options.target,
    maxEvents,
    eventBytes: (event) => Buffer.byteLength(write([event]), 'utf8'),
    deliver: (delivery, signal) => failedWithoutAnswer(deliver(delivery, signal)),
    close: http.close,
  };
};

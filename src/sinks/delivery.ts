import type { Finding } from '../findings/finding.ts';
import type { FeedEvent } from '../formats/feed-event.ts';

/** One event on its way to a sink. */
export interface OutgoingEvent {
  readonly event: FeedEvent;
  /** What a detection found, if the sink is sent that; `event` then has its position, times and place. */
  readonly finding?: Finding | undefined;
  /**
   * The idempotency key: of the entry itself (a hash of source and id, 43 characters of base64url), so that it is the same
   * whatever is restarted, replayed or restored.
   */
  readonly key: string;
  /** In the format of the sink: one line, without the newline. */
  readonly text: string;
}

/** Some events in order of position, handed to a sink at once. Never empty. */
export interface Delivery {
  /** Names just these events: the same at every attempt, also of another process. Up to 64 characters of [A-Za-z0-9_-]. */
  readonly id: string;
  readonly events: readonly OutgoingEvent[];
  /** Its only event is the record of a checkpoint of the evidence, which is JSON whatever the format is. */
  readonly checkpoint?: {
    /** Of the log of events. */
    readonly size: number;
    /** In base64. */
    readonly root: string;
    /** What is under `orgtrail_checkpoint`, as JSON. */
    readonly record: string;
  };
}

/** What the receiver said. Only what it confirmed counts as delivered. */
export type DeliveryOutcome =
  /** It has all of them, but for those that it refuses for what is in them (indexes into `events`). */
  | { readonly kind: 'delivered'; readonly refused: readonly { readonly index: number; readonly reason: string }[] }
  /** It refuses the delivery as a whole for what is in it, and has none of it: smaller ones may be taken. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Nothing is certain; it is to be retried. Slow: it took too long. Receiver: it cannot be for what is in it. */
  | {
      readonly kind: 'failed';
      readonly reason: string;
      readonly retryAfterMs?: number;
      readonly because?: 'slow' | 'receiver';
    };

/** A place that events are pushed to. One delivery at a time. */
export interface Sink {
  /** Where it delivers to, for logs: no credential in it. */
  readonly target: string;
  /** Most events of one delivery, whatever the settings say. Default: no limit of its own. */
  readonly maxEvents?: number | undefined;
  /** Most bytes of entries, as Cloudflare sent them, of one delivery. Default: 4 MB. */
  readonly maxBytes?: number | undefined;
  /** What an event takes as this sink writes it. Default: the bytes of its text. */
  eventBytes?(event: OutgoingEvent): number;
  /** Resolves with the outcome. May reject: that counts as `failed`. Ends early, by rejecting, when `signal` aborts. */
  deliver(delivery: Delivery, signal: AbortSignal): Promise<DeliveryOutcome>;
  close(): Promise<void>;
}

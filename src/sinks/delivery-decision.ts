import { sinkBackoffMs } from '../time/backoff.ts';
import type { DeliveryOutcome } from './delivery.ts';

/** So many events refused, with none accepted in between, are the fault of the settings and not of the events. */
export const MAX_DEAD_LETTERS_IN_ROW = 10;
/** After so many deliveries of the size that goes, the size that did not is retried. */
const DELIVERIES_UNTIL_LARGER = 20;
/** A receiver may ask for a pause, not for a day off. */
const MAX_PAUSE_MS = 3_600_000;

/** What a sink has taken of late. Only for speed: it may be forgotten at any time. */
export interface DeliverySizes {
  /** Most events of the next delivery. */
  readonly ceiling: number;
  /** So many were refused as a whole. */
  readonly refusedSize: number | undefined;
  /** Deliveries accepted since. */
  readonly acceptedSince: number;
}

export const firstSizes = (batchEvents: number): DeliverySizes => ({
  ceiling: batchEvents,
  refusedSize: undefined,
  acceptedSince: 0,
});

interface DeadLetter {
  readonly index: number;
  readonly reason: string;
}

export interface DeliveryFacts {
  readonly outcome: DeliveryOutcome;
  /** In the delivery. */
  readonly events: number;
  /** Smaller deliveries of them cannot be: they are one, or share a position. */
  readonly isIndivisible?: boolean;
  /** Failures in a row before it. */
  readonly failures: number;
  /** Dead letters in a row before it. */
  readonly refusedInRow: number;
  readonly sizes: DeliverySizes;
  /** The largest that the settings allow. */
  readonly batchEvents: number;
}

export type DeliveryDecision =
  /** All of it is dealt with: the position moves on. */
  | {
      readonly kind: 'advance';
      readonly accepted: number;
      readonly deadLetters: readonly DeadLetter[];
      readonly refusedInRow: number;
      readonly sizes: DeliverySizes;
    }
  /** Its first half at once, to find out which event is refused. */
  | { readonly kind: 'split'; readonly sizes: DeliverySizes }
  /** `misconfigured`: too many events in a row were refused; nothing is given up until one is accepted. */
  | { readonly kind: 'retry'; readonly reason: string; readonly afterMs: number; readonly misconfigured: boolean };

/**
 * What follows from an attempt at a delivery. `random` in [0, 1) spreads sinks that failed together.
 *
 * An event becomes a dead letter only if it was refused by itself: alone, or by index beside others that were accepted.
 */
export const decideDelivery = (facts: DeliveryFacts, random: number): DeliveryDecision => {
  const { outcome, events, failures } = facts;
  const pauseMs = sinkBackoffMs(failures + 1, random);
  if (outcome.kind === 'failed') {
    const askedMs = Math.min(MAX_PAUSE_MS, outcome.retryAfterMs ?? 0);
    return { kind: 'retry', reason: outcome.reason, afterMs: Math.max(askedMs, pauseMs), misconfigured: false };
  }
  const refused = outcome.kind === 'delivered' ? outcome.refused : everyEvent(events, outcome.reason);
  if (refused.length < events) return advance(facts, refused);
  if (events > 1 && facts.isIndivisible !== true) return { kind: 'split', sizes: smaller(events) };
  if (facts.refusedInRow < MAX_DEAD_LETTERS_IN_ROW) return advance(facts, refused);
  const reason = `${facts.refusedInRow} events in a row were refused, and so is the next: ${refused[0]?.reason}`;
  return { kind: 'retry', reason, afterMs: pauseMs, misconfigured: true };
};

const everyEvent = (events: number, reason: string): DeadLetter[] =>
  Array.from({ length: events }, (_, index) => ({ index, reason }));

const advance = (facts: DeliveryFacts, deadLetters: readonly DeadLetter[]): DeliveryDecision => {
  const accepted = facts.events - deadLetters.length;
  return {
    kind: 'advance',
    accepted,
    deadLetters,
    refusedInRow: accepted > 0 ? 0 : facts.refusedInRow + deadLetters.length,
    // The one that was refused is found: what was too large with it may not be too large without it.
    sizes: accepted > 0 ? larger(facts) : { ...facts.sizes, refusedSize: undefined, acceptedSince: 0 },
  };
};

const smaller = (events: number): DeliverySizes => ({
  ceiling: Math.floor(events / 2),
  refusedSize: events,
  acceptedSince: 0,
});

/** Twice as many, but not as many as were refused: for a while. Halves alone would be sent if the size is what is refused. */
const larger = ({ sizes, batchEvents }: DeliveryFacts): DeliverySizes => {
  const ceiling = Math.min(batchEvents, sizes.ceiling * 2);
  const acceptedSince = sizes.acceptedSince + 1;
  const wait = sizes.refusedSize !== undefined && ceiling >= sizes.refusedSize;
  if (wait && acceptedSince < DELIVERIES_UNTIL_LARGER) return { ...sizes, acceptedSince };
  return { ceiling, refusedSize: wait ? undefined : sizes.refusedSize, acceptedSince: wait ? 0 : acceptedSince };
};

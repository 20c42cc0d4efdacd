import { sinkBackoffMs } from '../time/backoff.ts';
import type { DeliveryOutcome } from './delivery.ts';

/** So many events refused, with none accepted in between, are the fault of the settings and not of the events. */
export const MAX_DEAD_LETTERS_IN_ROW = 10;
/** After so many failures in a row a delivery is one event alone, and another is tried beside one that is not taken. */
const FAILURES_UNTIL_ALONE = 3;
/** An event that fails alone is given up once another one was taken after so many attempts at it in a row. */
export const OTHERS_UNTIL_BLAMED = 3;
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
  /** Of its first event. */
  readonly position?: number | undefined;
  /** In a row: after an attempt at it alone, another event was taken. */
  readonly othersTaken?: number;
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
  | {
      readonly kind: 'retry';
      readonly reason: string;
      readonly afterMs: number;
      readonly misconfigured: boolean;
      readonly sizes: DeliverySizes;
    };

const isAlone = ({ events, isIndivisible }: DeliveryFacts): boolean => events === 1 || isIndivisible === true;

/** What was not taken; all of it, if the receiver took none. Undefined: it took some. */
const notTaken = ({ outcome, events }: DeliveryFacts): readonly DeadLetter[] | undefined => {
  if (outcome.kind !== 'delivered') return everyEvent(events, outcome.reason);
  return outcome.refused.length < events ? undefined : outcome.refused;
};

/** How long the receiver asks to be left alone; 0 if it does not. */
export const askedPauseMs = ({ outcome }: DeliveryFacts): number =>
  Math.min(MAX_PAUSE_MS, outcome.kind === 'failed' ? (outcome.retryAfterMs ?? 0) : 0);

/** Whether it may be the event, or the receiver takes nothing at all: another event will tell. */
export const needsAnother = (facts: DeliveryFacts): boolean => {
  const { outcome, failures, refusedInRow } = facts;
  if (!isAlone(facts) || failures + 1 < FAILURES_UNTIL_ALONE || notTaken(facts) === undefined) return false;
  return outcome.kind === 'failed' ? outcome.because !== 'receiver' : refusedInRow >= MAX_DEAD_LETTERS_IN_ROW;
};

/**
 * What follows from an attempt at a delivery. `random` in [0, 1) spreads sinks that failed together.
 *
 * An event becomes a dead letter only by itself: refused alone, or by index beside others that were accepted, or not taken alone while others are.
 */
export const decideDelivery = (facts: DeliveryFacts, random: number): DeliveryDecision => {
  const { outcome, events, failures, refusedInRow, sizes, position, othersTaken = 0 } = facts;
  const letters = notTaken(facts);
  if (letters === undefined) return advance(facts, outcome.kind === 'delivered' ? outcome.refused : []);
  const isFailed = outcome.kind === 'failed';
  if (!isFailed && !isAlone(facts)) return { kind: 'split', sizes: smaller(events) };
  if (!isFailed && refusedInRow < MAX_DEAD_LETTERS_IN_ROW) return advance(facts, letters);
  const said = letters[0]?.reason ?? '';
  if (othersTaken >= OTHERS_UNTIL_BLAMED) {
    const reason = `it alone is not taken, others are, so look at what is in it: ${said}`;
    return advance(
      facts,
      letters.map(({ index }) => ({ index, reason })),
    );
  }
  const afterMs = Math.max(askedPauseMs(facts), sinkBackoffMs(failures + 1, random));
  const retry = { kind: 'retry', afterMs, sizes: isFailed ? sizesAfterFailure(facts) : sizes } as const;
  if (othersTaken > 0) {
    const waits = `a dead letter after attempt ${OTHERS_UNTIL_BLAMED}, this is ${othersTaken}`;
    const reason = `one event is not taken, others are: position ${position} (${waits}): ${said}`;
    return { ...retry, reason, misconfigured: false };
  }
  if (isFailed) return { ...retry, reason: said, misconfigured: false };
  const reason = `${refusedInRow} events in a row were refused, and so is the next: ${said}`;
  return { ...retry, reason, misconfigured: true };
};

/**
 * The first retries are of the same delivery, since the receiver may know its id; but not if it was too large for the time, or if
 * a smaller one passed before. Then one event alone tells whether the receiver takes any, and those behind it are twice as many each time.
 */
const sizesAfterFailure = ({ outcome, events, failures, sizes, batchEvents }: DeliveryFacts): DeliverySizes => {
  const because = outcome.kind === 'failed' ? outcome.because : undefined;
  if (because === 'receiver' || events === 1) return sizes;
  if (failures + 1 >= FAILURES_UNTIL_ALONE) return firstSizes(1);
  return because === 'slow' || sizes.ceiling < batchEvents ? smaller(events) : sizes;
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

import { sinkBackoffMs } from '../base/time.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from './delivery.ts';
import type { DeliveryResult } from './ports.ts';

/** So many events refused, with none accepted in between, are the fault of the settings and not of the events. */
export const MAX_DEAD_LETTERS_IN_ROW = 10;
/** After so many failures in a row a delivery is one event alone, and another is tried beside one that is not taken. */
const FAILURES_UNTIL_ALONE = 3;
/** An event that fails alone is given up once others were taken after so many attempts at it in a row. */
const OTHERS_UNTIL_BLAMED = 4;
/** After so many deliveries of the size that goes, the size that did not is retried, and an event that was given up is forgotten. */
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
  /** How an event failed that was given up a short while ago: more of its kind may follow. */
  readonly blamedFor?: string | undefined;
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
  /** After so many attempts at it alone, in a row, another event was taken. */
  readonly othersTaken?: number;
  /** Failures in a row before it. */
  readonly failures: number;
  /** Dead letters in a row before it. */
  readonly refusedInRow: number;
  readonly sizes: DeliverySizes;
  /** The largest that the settings allow. */
  readonly batchEvents: number;
}

type DeliveryDecision =
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

/** What a receiver says behind the first colon may have numbers that are never the same. */
const kindOf = (reason: string): string => reason.split(':', 1)[0] ?? '';

/** It fails as an event did that was given up a short while ago. */
const isKnownFailure = ({ outcome, sizes }: DeliveryFacts): boolean =>
  outcome.kind === 'failed' && sizes.blamedFor === kindOf(outcome.reason);

/** Whether it may be the event, or the receiver takes nothing at all: another event will tell. */
export const needsAnother = (facts: DeliveryFacts): boolean => {
  const { outcome, failures, refusedInRow } = facts;
  if (!isAlone(facts) || notTaken(facts) === undefined) return false;
  if (outcome.kind !== 'failed') return refusedInRow >= MAX_DEAD_LETTERS_IN_ROW;
  return outcome.because !== 'receiver' && (isKnownFailure(facts) || failures + 1 >= FAILURES_UNTIL_ALONE);
};

/** Enough others were taken: it is given up unless it is taken now. */
export const isLastAttempt = (facts: DeliveryFacts): boolean => {
  const isSure = facts.outcome.kind !== 'failed' || isKnownFailure(facts);
  return needsAnother(facts) && (facts.othersTaken ?? 0) >= (isSure ? 1 : OTHERS_UNTIL_BLAMED);
};

/**
 * What follows from an attempt at a delivery. `random` in [0, 1) spreads sinks that failed together.
 *
 * An event becomes a dead letter only by itself: refused alone, or by index beside others that were accepted, or not taken alone while others are.
 */
export const decideDelivery = (facts: DeliveryFacts, random: number): DeliveryDecision => {
  const { outcome, failures, refusedInRow, sizes, position, othersTaken = 0 } = facts;
  const letters = notTaken(facts);
  if (letters === undefined) return advance(facts, outcome.kind === 'delivered' ? outcome.refused : []);
  const isFailed = outcome.kind === 'failed';
  const askedMs = askedPauseMs(facts);
  if (!isAlone(facts) && (!isFailed || (isKnownFailure(facts) && askedMs === 0))) {
    return { kind: 'split', sizes: smaller(facts) };
  }
  const said = letters[0]?.reason ?? '';
  if (isLastAttempt(facts)) {
    const reason = `it alone is not taken, others are, so look at what is in it: ${said}`;
    const blamed = isFailed ? { ...facts, sizes: { ...sizes, blamedFor: kindOf(said) } } : facts;
    return advance(
      blamed,
      letters.map(({ index }) => ({ index, reason })),
    );
  }
  if (!isFailed && refusedInRow < MAX_DEAD_LETTERS_IN_ROW) return advance(facts, letters);
  // A receiver that takes others is there: what it has not taken need not wait long.
  const pauseMs = sinkBackoffMs(othersTaken > 0 ? othersTaken : failures + 1, random);
  const afterMs = Math.max(askedMs, pauseMs);
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
const sizesAfterFailure = (facts: DeliveryFacts): DeliverySizes => {
  const { outcome, events, failures, sizes, batchEvents } = facts;
  const because = outcome.kind === 'failed' ? outcome.because : undefined;
  if (because === 'receiver') return sizes;
  if (events === 1) return { ...sizes, blamedFor: undefined };
  if (failures + 1 >= FAILURES_UNTIL_ALONE) return firstSizes(1);
  return because === 'slow' || sizes.ceiling < batchEvents ? smaller(facts) : sizes;
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

const smaller = ({ events, sizes }: DeliveryFacts): DeliverySizes => ({
  ...sizes,
  ceiling: Math.floor(events / 2),
  refusedSize: events,
  acceptedSince: 0,
});

/** Twice as many, but not as many as were refused: for a while. Halves alone would be sent if the size is what is refused. */
const larger = ({ sizes, batchEvents, othersTaken = 0 }: DeliveryFacts): DeliverySizes => {
  const ceiling = Math.min(batchEvents, sizes.ceiling * 2);
  const acceptedSince = sizes.acceptedSince + 1;
  const isLong = acceptedSince >= DELIVERIES_UNTIL_LARGER;
  // What failed and is taken now failed by chance: so may others.
  const blamedFor = isLong || othersTaken > 0 ? undefined : sizes.blamedFor;
  const wait = sizes.refusedSize !== undefined && ceiling >= sizes.refusedSize;
  if (wait && !isLong) return { ...sizes, acceptedSince, blamedFor };
  return {
    ceiling,
    refusedSize: wait ? undefined : sizes.refusedSize,
    acceptedSince: wait ? 0 : acceptedSince,
    blamedFor,
  };
};

interface Refusal {
  readonly index: number;
  readonly reason: string;
}

/** All have one position, which is dealt with as a whole: several detections may have found the same event. */
export const isIndivisible = (events: readonly OutgoingEvent[]): boolean =>
  events.every(({ event }) => event.position === events[0]?.event.position);

/** Finds out which of them is refused, by sending each alone. What failed is sent again later, with all others, or is refused as well. */
export const deliverOneByOne = async (
  sink: Sink,
  delivery: Delivery,
  signal: AbortSignal,
  isFailedRefused = false,
): Promise<DeliveryOutcome> => {
  const refused: Refusal[] = [];
  for (const [index, event] of delivery.events.entries()) {
    const outcome = await sink.deliver({ id: event.key, events: [event] }, signal);
    if (outcome.kind === 'failed' && !isFailedRefused) return outcome;
    if (outcome.kind !== 'delivered') refused.push({ index, reason: outcome.reason });
    else refused.push(...outcome.refused.map(({ reason }) => ({ index, reason })));
  }
  return { kind: 'delivered', refused };
};

/** By position, each once: that of several findings has the reasons of all that were refused. */
export const deadLettersOf = (
  events: readonly OutgoingEvent[],
  refused: readonly Refusal[],
  otherwise: number,
): DeliveryResult['deadLetters'] => {
  const reasons = new Map<number, string[]>();
  for (const { index, reason } of refused) {
    const position = events[index]?.event.position ?? otherwise;
    reasons.set(position, [...(reasons.get(position) ?? []), reason]);
  }
  return [...reasons].map(([position, said]) => ({ position, reason: [...new Set(said)].join('; ') }));
};

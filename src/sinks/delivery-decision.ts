import { sinkBackoffMs } from '../base/time.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from './delivery.ts';
import type { DeliveryResult } from './ports.ts';

/** As many refused events with none accepted in between are the fault of the settings, not of the events. */
export const MAX_DEAD_LETTERS_IN_ROW = 10;
/** After this, a delivery is one event alone, and another is tried beside one that is not taken. */
const FAILURES_UNTIL_ALONE = 3;
/** Attempts in a row at a failing event, each with others taken, before it is given up. */
const OTHERS_UNTIL_BLAMED = 4;
/** Deliveries of the size that goes before the larger size is retried and an event that was given up is forgotten. */
const DELIVERIES_UNTIL_LARGER = 20;
/** A receiver may ask for a pause, not for a day off. */
const MAX_PAUSE_MS = 3_600_000;

/** What a sink has taken of late. For speed only: may be forgotten at any time. */
export interface DeliverySizes {
  readonly ceiling: number;
  /** Size refused as a whole. */
  readonly refusedSize: number | undefined;
  readonly acceptedSince: number;
  /** How an event failed that was given up recently: more of its kind may follow. */
  readonly blamedFor?: string | undefined;
}

export const firstSizes = (batchEvents: number): DeliverySizes => ({
  ceiling: batchEvents,
  refusedSize: undefined,
  acceptedSince: 0,
});

type DeadLetter = Readonly<{ index: number; reason: string }>;

export interface DeliveryFacts {
  readonly outcome: DeliveryOutcome;
  readonly events: number;
  /** One event, or several with one position: cannot be split. */
  readonly isIndivisible?: boolean;
  readonly position?: number | undefined;
  /** Attempts at it alone, in a row, after which another event was taken. */
  readonly othersTaken?: number;
  readonly failures: number;
  readonly refusedInRow: number;
  readonly sizes: DeliverySizes;
  readonly batchEvents: number;
}

type DeliveryDecision =
  | {
      readonly kind: 'advance';
      readonly accepted: number;
      readonly deadLetters: readonly DeadLetter[];
      readonly refusedInRow: number;
      readonly sizes: DeliverySizes;
    }
  /** Sends the first half at once, to find the refused event. */
  | { readonly kind: 'split'; readonly sizes: DeliverySizes }
  /** `misconfigured`: too many events in a row were refused; none is given up until one is accepted. */
  | {
      readonly kind: 'retry';
      readonly reason: string;
      readonly afterMs: number;
      readonly misconfigured: boolean;
      readonly sizes: DeliverySizes;
    };

const isAlone = ({ events, isIndivisible }: DeliveryFacts): boolean => events === 1 || isIndivisible === true;

/** What was not taken: all if the receiver took none, undefined if it took some. */
const notTaken = ({ outcome, events }: DeliveryFacts): readonly DeadLetter[] | undefined => {
  if (outcome.kind !== 'delivered') return everyEvent(events, outcome.reason);
  return outcome.refused.length < events ? undefined : outcome.refused;
};

export const askedPauseMs = ({ outcome }: DeliveryFacts): number =>
  Math.min(MAX_PAUSE_MS, outcome.kind === 'failed' ? (outcome.retryAfterMs ?? 0) : 0);

/** What follows the first colon may have numbers that never repeat. */
const kindOf = (reason: string): string => reason.split(':', 1)[0] ?? '';

const isKnownFailure = ({ outcome, sizes }: DeliveryFacts): boolean =>
  outcome.kind === 'failed' && sizes.blamedFor === kindOf(outcome.reason);

/** Whether it may be the event or the receiver: another event will tell. */
export const needsAnother = (facts: DeliveryFacts): boolean => {
  const { outcome, failures, refusedInRow } = facts;
  if (!isAlone(facts) || notTaken(facts) === undefined) return false;
  if (outcome.kind !== 'failed') return refusedInRow >= MAX_DEAD_LETTERS_IN_ROW;
  // Who asks for a pause says that it is no fault of the event.
  if (outcome.because === 'receiver' || outcome.retryAfterMs !== undefined) return false;
  return isKnownFailure(facts) || failures + 1 >= FAILURES_UNTIL_ALONE;
};

/** Enough others were taken: given up unless it is taken now. */
export const isLastAttempt = (facts: DeliveryFacts): boolean => {
  const isSure = facts.outcome.kind !== 'failed' || isKnownFailure(facts);
  return needsAnother(facts) && (facts.othersTaken ?? 0) >= (isSure ? 1 : OTHERS_UNTIL_BLAMED);
};

/**
 * What follows from an attempt at a delivery. `random` in [0, 1) spreads sinks that failed together. An event becomes a dead
 * letter only by itself: refused alone, or by index beside accepted ones, or not taken alone while others are.
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
 * The first retries are of the same delivery, since the receiver may know its id, unless it took too long or a smaller one
 * passed before. Then one event alone tells whether the receiver takes any; those behind it double each time.
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
    // Found the refused one: what was too large with it may not be without it.
    sizes: accepted > 0 ? larger(facts) : { ...facts.sizes, refusedSize: undefined, acceptedSince: 0 },
  };
};

const smaller = ({ events, sizes }: DeliveryFacts): DeliverySizes => ({
  ...sizes,
  ceiling: Math.floor(events / 2),
  refusedSize: events,
  acceptedSince: 0,
});

/** Doubles, but stays below a refused size for a while: else only halves would be sent if the size is what is refused. */
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

type Refusal = Readonly<{ index: number; reason: string }>;

/** Several findings of one event share its position, which is dealt with as a whole. */
export const isIndivisible = (events: readonly OutgoingEvent[]): boolean =>
  events.every(({ event }) => event.position === events[0]?.event.position);

/** Sends each alone to find the refused ones. A failed one is sent again later, with all others, or counts as refused. */
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

/** One per position, with the reasons of all its refused findings. */
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

import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../delivery.ts';
import type { DeliveryResult } from '../ports.ts';

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

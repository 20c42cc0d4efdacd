import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { DeliveryOutcome, OutgoingEvent, Sink } from '../../../src/sinks/delivery.ts';

/** What a delivery loop does: one after the other, each until it is delivered. Returns how often that took another attempt. */
export const deliverInOrder = async (
  sink: Sink,
  events: readonly OutgoingEvent[],
  options: {
    readonly batchEvents: number;
    readonly onOutcome?: (outcome: DeliveryOutcome) => void;
  },
): Promise<number> => {
  const { signal } = new AbortController();
  let repeated = 0;
  for (let from = 0; from < events.length; ) {
    const batch = events.slice(from, from + options.batchEvents);
    const outcome = await sink.deliver({ id: `from-${from}`, events: batch }, signal);
    options.onOutcome?.(outcome);
    if (outcome.kind === 'refused' || (outcome.kind === 'delivered' && outcome.refused.length > 0)) {
      throw new Error(`refused: ${JSON.stringify(outcome)}`);
    }
    if (outcome.kind === 'delivered') {
      from += batch.length;
    } else {
      repeated += 1;
      await sleep(10);
    }
  }
  return repeated;
};

/** What at-least-once promises: none is missing, first occurrences in order, and a repeat is the same to the byte. */
export const expectAtLeastOnce = (
  received: readonly { readonly key: string; readonly position: number; readonly text: string }[],
  events: readonly OutgoingEvent[],
): void => {
  const sent = new Map(events.map(({ key, event, text }) => [key, `${event.position} ${text}`]));
  const first = new Map<string, number>();
  for (const { key, position, text } of received) {
    if (sent.get(key) !== `${position} ${text}`) throw new Error(`not as it was sent: ${position} ${key}`);
    if (!first.has(key)) first.set(key, position);
  }
  expect([...first.values()]).toEqual(events.map(({ event }) => event.position));
};

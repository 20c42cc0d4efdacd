import { expect } from 'vitest';
import type { DeliveryOutcome, OutgoingEvent, Sink } from '../../../../src/sinks/delivery.ts';
import { delivery, ordinaryEvents } from '../outgoing-events.ts';
import type { Fault, HttpReceiver, ReceivedEvent } from './http-receiver.ts';

export const attempt = (sink: Sink, events: readonly OutgoingEvent[]): Promise<DeliveryOutcome> =>
  sink.deliver(delivery(events), new AbortController().signal);

/** One attempt that meets this fault. */
export const attemptWith = (receiver: HttpReceiver, sink: Sink, fault: Fault, events = ordinaryEvents(3, 'native')) => {
  receiver.faults.push(fault);
  return attempt(sink, events);
};

/** Every event arrived, in order but for repeats, which have the same content; returns how many repeats there were. */
export const expectComplete = (received: readonly ReceivedEvent[], events: readonly OutgoingEvent[]): number => {
  const first = new Map<string, ReceivedEvent>();
  for (const event of received) {
    const before = first.get(event.key);
    if (before === undefined) first.set(event.key, event);
    else expect(event).toEqual(before);
  }
  const wanted = events.map(({ key, event, text }) => ({ key, position: event.position, text }));
  expect([...first.values()]).toEqual(wanted);
  return received.length - first.size;
};

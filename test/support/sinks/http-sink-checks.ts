import { expect } from 'vitest';
import type { DeliveryOutcome, OutgoingEvent, Sink } from '../../../src/sinks/delivery.ts';
import { seededRandom } from '../process/seeded-random.ts';
import type { Fault, HttpReceiver, ReceivedEvent } from './http-receiver.ts';
import { deliverAll, delivery, ordinaryEvents } from './outgoing-events.ts';

/** One attempt. */
export const attempt = (sink: Sink, events: readonly OutgoingEvent[]): Promise<DeliveryOutcome> =>
  sink.deliver(delivery(events), new AbortController().signal);

/** One attempt that meets this fault. */
export const attemptWith = (receiver: HttpReceiver, sink: Sink, fault: Fault, events = ordinaryEvents(3, 'native')) => {
  receiver.faults.push(fault);
  return attempt(sink, events);
};

/** Statuses that mean the same to every HTTP sink, when nothing more exact is said. */
export const commonStatuses: readonly (readonly [number, DeliveryOutcome['kind']])[] = [
  ...[301, 302, 307, 308, 401, 403, 404, 405, 408, 409, 411, 415, 429, 431, 500, 502, 503, 504].map(
    (status) => [status, 'failed'] as const,
  ),
  ...[400, 413, 422].map((status) => [status, 'refused'] as const),
];

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

const randomFaults = (random: () => number): readonly Fault[] => [
  { kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: 'busy' },
  { kind: 'answer', status: 429 },
  { kind: 'answer', status: 500, early: true, body: '<html>Bad Gateway</html>' },
  { kind: 'answer', status: 302, headers: { location: 'https://elsewhere.example/' } },
  { kind: 'cut', at: 'start' },
  { kind: 'cut', at: { bodyBytes: 1 + Math.floor(random() * 3_000) } },
  { kind: 'cut', at: 'answer' },
  { kind: 'cut', at: 'mid-answer' },
  { kind: 'answer', status: 413 },
];

/** 1,000 events through random faults and restarts of the receiver; returns how many came more than once. */
export const deliverThroughFaults = async (
  sink: Sink,
  receiver: HttpReceiver,
  seed: number,
  events: readonly OutgoingEvent[],
) => {
  const random = seededRandom(seed);
  const beforeAttempt = async () => {
    if (receiver.faults.length > 0 || random() < 0.4) return;
    const faults = randomFaults(random);
    const fault = faults[Math.floor(random() * faults.length)];
    if (fault !== undefined) receiver.faults.push(fault);
    if (random() < 0.2) {
      await receiver.stop();
      await receiver.restart();
    }
  };
  const report = await deliverAll(sink, events, 40, beforeAttempt);
  const hint = `seed ${seed}`;
  expect(report.deadLetters, hint).toEqual([]);
  expect(report.failures.length, hint).toBeGreaterThan(10);
  return expectComplete(receiver.received(), events);
};

import { createHash } from 'node:crypto';
import type { FeedEvent } from '../../../src/formats/feed-event.ts';
import { type FormatName, formats } from '../../../src/formats/formats.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from '../../../src/sinks/delivery.ts';
import { storedEvents } from '../../unit/formats/simulated-events.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../sync/defective-entries.ts';

const organizationId = '019c4f65e7607d8c9f6f6b58aa3aff50';

export const outgoing = (event: FeedEvent, format: FormatName = 'native'): OutgoingEvent => ({
  event,
  key: createHash('sha256').update(`${event.sourceKind}\n${event.sourceId}\n${event.id}`).digest('base64url'),
  text: formats[format].format(event),
});

/** Ordinary entries, as the store hands them out. */
export const ordinaryEvents = (count: number, format: FormatName, padding = ''): OutgoingEvent[] => {
  const texts = Array.from({ length: count }, (_, n) =>
    JSON.stringify({
      id: `entry-${n}`,
      action: { type: 'create', time: new Date(Date.UTC(2026, 8, 30) + n * 1_000).toISOString() },
      actor: { email: `user-${n}@example.com` },
      padding,
    }),
  );
  return storedEvents(texts, organizationId).map((event) => outgoing(event, format));
};

/** Whatever the store can hold: defects, large numbers, U+2028, control characters, deep nesting, an entry of 1 MB. */
export const hostileEvents = (format: FormatName): OutgoingEvent[] => {
  const time = '"action":{"time":"2026-01-10T08:00:00.123Z"}';
  const more = [
    `{"id":"hostile-separators",${time},"a":"\u2028\u2029\u0085\ufeff\u007f"}`,
    `{"id":"hostile-numbers",${time},"a":[12345678901234567890,-0,1E+2,0.10,1e-9999]}`,
    `{"id":"hostile-quotes",${time},"a":"\\"}],\\\\\\"{\\u0022"}`,
    `{"id":"hostile-large",${time},"a":"${'ä'.repeat(500_000)}"}`,
  ];
  const defective = [...unnamedEntries, ...unholdableEntries, ...strangeEntries].map(({ text }) => text);
  return storedEvents([...defective, ...more], organizationId).map((event) => outgoing(event, format));
};

/** Events in a delivery, named after them. */
export const delivery = (events: readonly OutgoingEvent[]): Delivery => ({
  id: `d-${events[0]?.event.position}-${events.at(-1)?.event.position}`,
  events,
});

export interface DeliveryReport {
  readonly deadLetters: readonly { readonly event: OutgoingEvent; readonly reason: string }[];
  /** Why attempts failed. */
  readonly failures: readonly string[];
}

/**
 * What the delivery loop does, without its pauses: tries a delivery until it succeeds, halves one that is refused, sets aside a single
 * event that is refused. Throws after 1,000 attempts.
 */
export const deliverAll = async (
  sink: Sink,
  events: readonly OutgoingEvent[],
  batchEvents: number,
  beforeAttempt: () => Promise<void> = async () => {},
): Promise<DeliveryReport> => {
  const deadLetters: { event: OutgoingEvent; reason: string }[] = [];
  const failures: string[] = [];
  let attempts = 0;
  const once = async (part: readonly OutgoingEvent[]): Promise<DeliveryOutcome> => {
    attempts += 1;
    if (attempts > 1_000) throw new Error(`no end after ${attempts} attempts: ${failures.slice(-5).join('; ')}`);
    await beforeAttempt();
    return await sink.deliver(delivery(part), new AbortController().signal);
  };
  const deliverPart = async (part: readonly OutgoingEvent[]): Promise<void> => {
    const outcome = await once(part);
    const [first] = part;
    if (outcome.kind === 'failed') {
      failures.push(outcome.reason);
      await deliverPart(part);
    } else if (outcome.kind === 'delivered') {
      for (const { index, reason } of outcome.refused) {
        const event = part[index];
        if (event !== undefined) deadLetters.push({ event, reason });
      }
    } else if (part.length === 1 && first !== undefined) {
      deadLetters.push({ event: first, reason: outcome.reason });
    } else {
      const middle = Math.ceil(part.length / 2);
      await deliverPart(part.slice(0, middle));
      await deliverPart(part.slice(middle));
    }
  };
  for (let at = 0; at < events.length; at += batchEvents) await deliverPart(events.slice(at, at + batchEvents));
  return { deadLetters, failures };
};

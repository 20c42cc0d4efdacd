import { createHash } from 'node:crypto';
import type { FeedEvent } from '../../../src/formats/format.ts';
import { type FormatName, formats } from '../../../src/formats/registry.ts';
import type { Delivery, OutgoingEvent, Sink } from '../../../src/sinks/delivery.ts';
import { decideDelivery, firstSizes } from '../../../src/sinks/delivery-decision.ts';
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
 * What the delivery loop does, by the decisions that it takes, without its pauses and its database. Throws after 1,000 attempts. Before
 * each attempt `sinkFor` says which sink makes it.
 */
export const deliverAll = async (
  sinkFor: (part: readonly OutgoingEvent[]) => Sink | Promise<Sink>,
  events: readonly OutgoingEvent[],
  batchEvents: number,
): Promise<DeliveryReport> => {
  const deadLetters: { event: OutgoingEvent; reason: string }[] = [];
  const failures: string[] = [];
  let sizes = firstSizes(batchEvents);
  let refusedInRow = 0;
  let attempts = 0;
  for (let at = 0; at < events.length; ) {
    attempts += 1;
    if (attempts > 1_000) throw new Error(`no end after ${attempts} attempts: ${failures.slice(-5).join('; ')}`);
    const part = events.slice(at, at + sizes.ceiling);
    const outcome = await (await sinkFor(part)).deliver(delivery(part), new AbortController().signal);
    const facts = { outcome, events: part.length, failures: 0, refusedInRow, sizes, batchEvents };
    const decision = decideDelivery(facts, 0);
    if (decision.kind === 'retry') {
      failures.push(decision.reason);
      continue;
    }
    sizes = decision.sizes;
    if (decision.kind === 'split') continue;
    refusedInRow = decision.refusedInRow;
    for (const { index, reason } of decision.deadLetters) {
      const event = part[index];
      if (event !== undefined) deadLetters.push({ event, reason });
    }
    at += part.length;
  }
  return { deadLetters, failures };
};

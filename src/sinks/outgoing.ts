import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type FoundEvent, findingKeyParts } from '../findings/finding.ts';
import { findingLine } from '../findings/finding-lines.ts';
import type { FeedEvent } from '../formats/feed-event.ts';
import { type FormatName, formats } from '../formats/formats.ts';
import type { Delivery, DeliveryOutcome, OutgoingEvent, Sink } from './delivery.ts';

/** Some milliseconds of work: then others have their turn. */
const EVENTS_AT_ONCE = 200;

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** The idempotency key of an event: it never changes, whichever database the event is in. */
const eventKey = (event: Pick<FeedEvent, 'sourceKind' | 'sourceId' | 'id'>): string =>
  digest(`${event.sourceKind}\0${event.sourceId}\0${event.id}`);

const outgoingOf = (event: FeedEvent | FoundEvent, format: FormatName): OutgoingEvent => {
  if (!('finding' in event)) return { event, key: eventKey(event), text: formats[format].format(event) };
  const key = digest(findingKeyParts(event).join('\0'));
  return { event, finding: event.finding, key, text: findingLine(event, key, format) };
};

/** What an event takes as it is formatted. */
export const textBytes = ({ text }: OutgoingEvent): number => Buffer.byteLength(text, 'utf8');

interface Refusal {
  readonly index: number;
  readonly reason: string;
}

/** Some events in order of position, and those of them that are sent. */
export interface Outgoing {
  readonly events: readonly OutgoingEvent[];
  /** By index into `events`. */
  readonly tooLarge: readonly Refusal[];
  /** All others; undefined if there is none. */
  readonly delivery: Delivery | undefined;
}

export interface OutgoingOptions {
  readonly format: FormatName;
  /** An event that takes more is not sent. */
  readonly maxEventBytes?: number | undefined;
  readonly sink: Pick<Sink, 'eventBytes'>;
}

/** At least one event, as handed to a sink. */
export const createOutgoing = async (
  events: readonly (FeedEvent | FoundEvent)[],
  options: OutgoingOptions,
): Promise<Outgoing> => {
  const outgoing: OutgoingEvent[] = [];
  const tooLarge: Refusal[] = [];
  for (const event of events) {
    const next = outgoingOf(event, options.format);
    const reason = whyTooLarge(next, options);
    if (reason !== undefined) tooLarge.push({ index: outgoing.length, reason });
    outgoing.push(next);
    if (outgoing.length % EVENTS_AT_ONCE === 0) await nextTurn();
  }
  const left = new Set(tooLarge.map(({ index }) => index));
  const sent = outgoing.filter((_, index) => !left.has(index));
  const id = digest(sent.map(({ key }) => key).join('\0'));
  return { events: outgoing, tooLarge, delivery: sent.length === 0 ? undefined : { id, events: sent } };
};

const whyTooLarge = (event: OutgoingEvent, { maxEventBytes, sink }: OutgoingOptions): string | undefined => {
  if (maxEventBytes === undefined) return undefined;
  const bytes = sink.eventBytes?.(event) ?? textBytes(event);
  return bytes <= maxEventBytes
    ? undefined
    : `not sent: it has ${bytes} bytes, and max_event_bytes is ${maxEventBytes}`;
};

/** What the outcome for those that were sent means for all of them: refusals by index into `events`. */
export const outcomeOfAll = ({ events, tooLarge }: Outgoing, outcome: DeliveryOutcome): DeliveryOutcome => {
  if (outcome.kind !== 'delivered' || tooLarge.length === 0) return outcome;
  const left = new Set(tooLarge.map(({ index }) => index));
  const sent = events.flatMap((_, index) => (left.has(index) ? [] : [index]));
  const refused = outcome.refused.flatMap(({ index, reason }) => {
    const place = sent[index];
    return place === undefined ? [] : [{ index: place, reason }];
  });
  return { kind: 'delivered', refused: [...refused, ...tooLarge].sort((a, b) => a.index - b.index) };
};
